"""How a message is written in SMTP's words: the MAIL command with its parameters, and the content of DATA."""

from __future__ import annotations

from typing import Any

from batches.smtp.connection import Capabilities, Outgoing


class MailCommand:
    """Writes MAIL for a relay with these capabilities. The sender is the same in nearly every message."""

    __slots__ = ("_capabilities", "_sender", "_start")

    def __init__(self, capabilities: Capabilities) -> None:
        self._capabilities = capabilities
        self._sender = ""
        self._start = b"MAIL FROM:<>"

    def write(self, outgoing: Outgoing[Any]) -> bytes:
        """Return MAIL for one message, with SIZE (RFC 1870), BODY (RFC 6152) and SMTPUTF8 (RFC 6531) where needed."""
        if outgoing.sender != self._sender:
            self._sender = outgoing.sender
            self._start = b"MAIL FROM:<" + outgoing.sender.encode() + b">"
        command = self._start
        capabilities = self._capabilities
        if capabilities.size:
            command += b" SIZE=%d" % len(outgoing.content)
        if outgoing.is_8bit and capabilities.eight_bit:
            command += b" BODY=8BITMIME"
        if not outgoing.recipient.isascii():
            command += b" SMTPUTF8"
        return command + b"\r\n"


def stuff(content: bytes) -> bytes:
    """Double the dot at the beginning of each line (RFC 5321 section 4.5.2)."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed
