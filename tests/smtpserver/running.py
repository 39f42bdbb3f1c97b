"""The server in a process of its own, which survives every kill of a test, and the handle that a test has on it."""

from __future__ import annotations

import dataclasses
import json
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.smtpserver.behaviour import Behaviour
from tests.smtpserver.record import Accepted, read_record

ROOT = Path(__file__).resolve().parents[2]


class RunningServer:
    """Start it with ``with RunningServer(Behaviour(...)) as server``. Then ``server.url`` is an EMAIL_URL."""

    def __init__(self, behaviour: Behaviour | None = None, *, keep_raw: bool = False, record: bool = True) -> None:
        self.behaviour = behaviour or Behaviour()
        self.folder = Path(tempfile.mkdtemp(prefix="smtpserver-"))
        self.record_path = self.folder / "record.jsonl"
        self.certificate = self.folder / "certificate.pem"
        self.control_path = self.folder / "control.sock"
        self.arguments = ["--keep-raw"] * keep_raw + ["--record", str(self.record_path)] * record

    def __enter__(self) -> Self:
        behaviour = json.dumps(self.behaviour.dump())
        argv = [sys.executable, "-m", "tests.smtpserver", "--port", "0", *self.arguments, "--behaviour", behaviour]
        argv += ["--control", str(self.control_path), "--certificate", str(self.certificate)]
        # It ends with its standard input. So it survives every kill of a test, and ends with the test itself.
        argv += ["--until-eof"]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, process_group=0)
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        if not ready:
            raise RuntimeError("The recording SMTP server did not start; its own message is above.")
        self.port: int = json.loads(ready)["port"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.terminate()
        self.process.wait(timeout=10)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def become(self, behaviour: Behaviour) -> dict[str, int]:
        """Replace the behaviour."""
        self.behaviour = behaviour
        return self.order({"behaviour": behaviour.dump()})

    def configure(self, **changes: Any) -> dict[str, int]:
        """Change some fields of the behaviour and keep the others."""
        return self.become(dataclasses.replace(self.behaviour, **changes))

    def kick(self, reply: str = "") -> dict[str, int]:
        """Send this reply on every connection, unasked, and close it."""
        return self.order({"kick": reply})

    def stats(self) -> dict[str, int]:
        return self.order({})

    def order(self, order: dict[str, Any]) -> dict[str, int]:
        """Send an order over the control socket. Return the statistics, which are the answer to every order."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(10)
            control.connect(str(self.control_path))
            control.sendall(json.dumps(order).encode() + b"\n")
            with control.makefile("rb") as answers:
                answer: dict[str, int] = json.loads(answers.readline())
        return answer

    def accepted(self) -> list[Accepted]:
        """Return the record so far."""
        return read_record(self.record_path)
