"""Cut a relay's octets into replies (RFC 5321 section 4.2), and refuse what is not SMTP."""

from __future__ import annotations

import re
from typing import NamedTuple

LINE_MAX_OCTETS = 4096
"""RFC 5321 section 4.5.3.1.5 allows 512. Some relays write more, but none needs this much."""

LINES_MAX = 100
"""How many lines one reply may have."""

TEXT_MAX_CHARS = 500
"""How much of a reply's text is kept."""

KNOWN_MAX = 64
"""How many lines are cached with the reply that they mean. A relay says nearly the same to every envelope."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]+")
_CODES = {b"%d " % code: code for code in range(200, 600)}


class ReplyViolation(Exception):
    """The relay sent something that is not an SMTP reply. The connection cannot be trusted any more."""


class Reply(NamedTuple):
    """A whole reply: its code, and the octets of its lines joined by blanks."""

    code: int
    octets: bytes

    @property
    def text(self) -> str:
        """The reply as one printable line. Octets of no known charset are replaced.

        It is made only when asked for, because most texts are never read.
        """
        return _clean(self.octets)


class ReplyReader:
    """Turn octets, as they arrive, into whole replies."""

    __slots__ = ("_code", "_known", "_lines", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._code = b""
        self._lines: list[bytes] = []
        self._known: dict[bytes, Reply] = {}

    def feed(self, data: bytes) -> list[Reply]:
        """Return the replies that these octets complete, in order.

        Raises:
            ReplyViolation: a line is too long or has no code, or a reply has too many lines.
        """
        if self._rest:
            data = self._rest + data
        lines = data.split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LINE_MAX_OCTETS:
            raise ReplyViolation("The relay sent a line without an end.")
        replies = []
        for line in lines:
            reply = self._known.get(line) if not self._lines else None
            if reply is None:
                reply = self._read_line(line)
            if reply is not None:
                replies.append(reply)
        return replies

    def _read_line(self, line: bytes) -> Reply | None:
        code = _CODES.get(line[:4])
        if code is None or self._lines or len(line) > LINE_MAX_OCTETS:
            return self._read_unusual_line(line)
        reply = Reply(code, line[4:])
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[line] = reply
        return reply

    def _read_unusual_line(self, line: bytes) -> Reply | None:
        """Read a line of a reply of several lines, a line without text, or what is no reply."""
        code, mark, text = line[:3], line[3:4], line[4:].rstrip(b"\r")
        if mark == b"\r":
            mark = b""
        if not code.isdigit() or len(code) != 3 or mark not in (b" ", b"-", b"") or not b"200" <= code <= b"599":
            raise ReplyViolation("The relay sent a line that is not an SMTP reply.")
        if len(line) > LINE_MAX_OCTETS or len(self._lines) >= LINES_MAX or (self._lines and code != self._code):
            raise ReplyViolation("The relay sent a reply that is too long or changes its code.")
        if mark == b"-":
            self._code = code
            self._lines.append(text)
            return None
        if self._lines:
            text = b" ".join((*self._lines, text))
            self._lines.clear()
        return Reply(int(code), text)


def _clean(text: bytes) -> str:
    cleaned = text.decode("utf-8", "replace")
    if not cleaned.isprintable():
        cleaned = _UNPRINTABLE.sub(" ", cleaned)
    return cleaned[:TEXT_MAX_CHARS].strip()
