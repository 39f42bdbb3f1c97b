"""How a message is written in SMTP's words: the MAIL command with its parameters, and the content of DATA."""

from __future__ import annotations

from typing import Any

from batches.smtp.connection import Capabilities, Outgoing


class MailCommand:
    """Writes MAIL for a relay with these capabilities, with one format for each kind of message."""

    __slots__ = ("_eight_bit", "_has_size", "_seven_bit")

    def __init__(self, capabilities: Capabilities) -> None:
        self._has_size = capabilities.size
        self._seven_bit = b"MAIL FROM:<%b>" + b" SIZE=%d" * capabilities.size
        self._eight_bit = self._seven_bit + b" BODY=8BITMIME" * capabilities.eight_bit

    def write(self, outgoing: Outgoing[Any]) -> bytes:
        """Return MAIL for one message, with SIZE (RFC 1870), BODY (RFC 6152) and SMTPUTF8 (RFC 6531) where needed."""
        command = self._eight_bit if outgoing.is_8bit else self._seven_bit
        command += b"\r\n" if outgoing.recipient.isascii() else b" SMTPUTF8\r\n"
        if self._has_size:
            return command % (outgoing.sender, len(outgoing.content))
        return command % outgoing.sender


def stuff(content: bytes) -> bytes:
    """Double the dot at the beginning of each line (RFC 5321 section 4.5.2)."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed
