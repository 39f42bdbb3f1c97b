"""Postfix's measuring tools: smtp-sink accepts everything, and smtp-source sends as fast as the wire allows."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

START_SECONDS = 10


def find_tools() -> bool:
    """Return whether both tools are installed."""
    return bool(shutil.which("smtp-sink") and shutil.which("smtp-source"))


@contextmanager
def running_sink() -> Iterator[tuple[int, int]]:
    """Run smtp-sink on a free port of loopback. Yield its port and the id of its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    argv = ["smtp-sink", *(["-u", "nobody"] if os.geteuid() == 0 else []), f"127.0.0.1:{port}", "1000"]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _wait_for_port(port)
        yield port, process.pid
    finally:
        process.terminate()
        process.communicate(timeout=START_SECONDS)


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def run_source(port: int, *, sessions: int, count: int, size_bytes: int) -> float:
    """Send with smtp-source over connections that stay open. Return messages per second."""
    argv = ["smtp-source", "-s", str(sessions), "-d", "-m", str(count), "-l", str(size_bytes)]
    argv += ["-f", "post@example.org", "-t", "reader@example.org", f"127.0.0.1:{port}"]
    start = time.perf_counter()
    # With pipes, Python sees the end of the process at once. Without pipes it would poll every 50 ms.
    subprocess.run(argv, check=True, timeout=300, capture_output=True)
    return count / (time.perf_counter() - start)
