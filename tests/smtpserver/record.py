"""The record: every message that the server accepted, written before the server confirms it.

The server writes one line of JSON for each recipient of each message, and the kernel has it before the client gets its
250. So the record is true, whatever is killed next. With ``fsync`` it is also true after a crash of the machine.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
import re
import time
from pathlib import Path

import orjson

MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """One message accepted for one recipient."""

    recipient: str
    sender: str
    message_id: str
    sha256: str
    size: int
    at: float
    """Unix time."""
    connection: int
    """The server counts its connections from 1."""
    port: int = 0
    """The client's port; 0 if unknown."""
    raw: bytes | None = None
    """The message without dot-stuffing, if the server keeps messages."""


class Recorder:
    """Gathers lines and writes them in groups. The caller must flush before it answers a client."""

    def __init__(self, path: Path | None, *, fsync: bool = False, keep_raw: bool = False) -> None:
        self.pending: list[bytes] = []
        self.keep_raw = keep_raw
        self.fsync = fsync
        self.file = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def add(self, *, recipients: list[str], sender: str, content: bytes, connection: int, port: int) -> None:
        """Gather one line for each recipient of a message."""
        if self.file is None:
            return
        headers_end = content.find(b"\r\n\r\n")
        found = MESSAGE_ID.search(content[: headers_end + 2])
        entry = {
            "recipient": "",
            "sender": sender,
            "message_id": found[1].decode("utf-8", "replace") if found else "",
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "at": time.time(),
            "connection": connection,
            "port": port,
            "raw": base64.b64encode(content).decode() if self.keep_raw else None,
        }
        for recipient in recipients:
            entry["recipient"] = recipient
            self.pending.append(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))

    def flush(self) -> None:
        """Give the gathered lines to the kernel, in one write."""
        if self.file is None or not self.pending:
            return
        block = b"".join(self.pending)
        self.pending.clear()
        written = os.write(self.file, block)
        if written != len(block):
            raise OSError("The record could not be written in full. Free some disk space.")
        if self.fsync:
            os.fsync(self.file)

    def close(self) -> None:
        if self.file is not None:
            self.flush()
            os.close(self.file)
            self.file = None


def read_record(path: Path) -> list[Accepted]:
    """Return every acceptance so far, in order. Safe while the server writes: an unfinished last line is left out."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [_parse(line) for line in lines]


def _parse(line: bytes) -> Accepted:
    values = orjson.loads(line)
    if values["raw"] is not None:
        values["raw"] = base64.b64decode(values["raw"])
    return Accepted(**values)
