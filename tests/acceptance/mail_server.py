"""A real mail server for one test, apart from the system's: it has a private folder, and listens on loopback."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from emailbatch.localstack.processes import die_with_parent
from tests.chaos.stack import wait_until

START_SECONDS = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class MailServer(ABC):
    """It runs in a ``with`` block. A subclass writes its configuration into ``folder``, and starts the program."""

    name: str

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.name.lower()}-"))
        self.folder.chmod(0o755)  # the server has a user of its own
        self.port = free_port()
        self.output_path = self.folder / "output"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @abstractmethod
    def start(self) -> None:
        """Start the server, and wait for its greeting."""

    def run(self, argv: Sequence[str | Path]) -> None:
        """Run the program, and wait for its greeting. It is our own child, and ends with the tests, even if killed."""
        with self.output_path.open("ab") as output:
            self.process = subprocess.Popen(
                argv,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )
        wait_until(
            self.is_up, seconds=START_SECONDS, what=lambda: f"{self.name} to answer; its output is {self.output}"
        )

    def is_up(self) -> bool:
        assert self.process.poll() is None, self.output
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as client:
                client.settimeout(2)
                is_up = client.recv(100).startswith(b"220 ")
                client.sendall(b"QUIT\r\n")
                return is_up
        except OSError:
            return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)

    @property
    def output(self) -> str:
        """What the program said."""
        return self.output_path.read_text(errors="replace")
