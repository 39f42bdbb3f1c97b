"""Two clients of the recording server: one sends any bytes, the other sends a correct mail."""

from __future__ import annotations

import smtplib
import socket

from tests.smtpserver import Accepted, RunningServer

MESSAGE = b"Subject: Hello\r\nMessage-ID: <one@test>\r\n\r\nBody\r\n"


class Line:
    """A raw connection, for bytes that no library would send."""

    def __init__(self, port: int, *, greet: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.file = self.socket.makefile("rb")
        if greet:
            assert self.reply().startswith(b"220")

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *exc: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> bytes:
        """Read one reply with all its lines; empty when the server has closed the connection."""
        lines = []
        while line := self.file.readline():
            lines.append(line)
            if line[3:4] != b"-":
                break
        return b"".join(lines)

    def ask(self, data: bytes) -> bytes:
        """Send one command, and read its reply."""
        self.send(data + b"\r\n")
        return self.reply()

    def envelope(self, recipient: bytes) -> None:
        """Send EHLO, MAIL and RCPT, which must be accepted."""
        assert self.ask(b"EHLO client").startswith(b"250")
        assert self.ask(b"MAIL FROM:<a@test>").startswith(b"250")
        assert self.ask(b"RCPT TO:<" + recipient + b">").startswith(b"250")


def received(server: RunningServer, recipient: str) -> list[Accepted]:
    return [each for each in server.accepted() if each.recipient == recipient]


def deliver(server: RunningServer, recipient: str, content: bytes = MESSAGE) -> None:
    with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as client:
        client.sendmail("a@test", [recipient], content)
