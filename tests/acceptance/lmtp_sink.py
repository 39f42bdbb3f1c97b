"""An LMTP server that keeps what it is given, for one test."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import Envelope

from tests.acceptance.mail_server import free_port


class LmtpSink(Controller):
    """Start it with ``with LmtpSink() as sink``. ``taken`` has the recipients and the message of each delivery."""

    def __init__(self) -> None:
        super().__init__(self, hostname="127.0.0.1", port=free_port())
        self.taken: list[tuple[list[str], Message]] = []

    def factory(self) -> LMTP:
        return LMTP(self.handler, **self.SMTP_kwargs)

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        self.taken.append((list(envelope.rcpt_tos), message_from_bytes(content)))
        return "250 OK"

    def __enter__(self) -> LmtpSink:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
