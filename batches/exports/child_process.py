"""Let a child process write a large export, so that the web process answers everybody else meanwhile.

An Export enters, and chunks of bytes leave. The child waits for its reader, and ends with it: a client that stops
reading stops the work, and one that reads slowly costs a sleeping process.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

from batches.exports.export import Export

ROOT = Path(__file__).resolve().parents[2]
CHUNK_BYTES = 1 << 16


class ExportBroken(Exception):
    """The child process ended before the file was whole. The client must not take what it has for the file."""


async def write_in_child(export: Export) -> AsyncGenerator[bytes]:
    """Yield the file as the child process writes it.

    Raises:
        ExportBroken: the child process failed. Its standard error says why, in the log of the web process.
    """
    command = [sys.executable, "-m", "batches.exports.child_program", export.to_json()]
    process = await asyncio.to_thread(_start, command)
    assert process.stdout is not None  # noqa: S101  it is a pipe
    reader = asyncio.StreamReader(limit=CHUNK_BYTES)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), process.stdout)
    try:
        while chunk := await reader.read(CHUNK_BYTES):
            yield chunk
        if status := await asyncio.to_thread(process.wait):
            raise ExportBroken(f"The export of batch {export.batch_id} ended with status {status}.")
    finally:
        transport.close()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await asyncio.to_thread(process.wait)


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, cwd=ROOT)  # noqa: S603
