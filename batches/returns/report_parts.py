"""The parts of a message that came back, each read in the same forgiving way: fields, texts, and what was returned.

Octets of strangers enter. Nothing here says what they mean, and nothing raises for what they hold, except for nesting
that is too deep.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import html
import quopri
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from email.utils import parsedate_to_datetime
from typing import cast

PARTS_MAX = 200
"""A report has three parts. More than this are not read."""

FIELD_MAX_CHARS = 10_000

_ORIGINAL_TYPES = frozenset({"message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"})
_BLANK_LINES = re.compile(rb"\r?\n[ \t]*(?:\r?\n[ \t]*)+")
_HIDDEN = ("style", "script", "head", "title")

Fields = Message
"""A group of header fields: names in any case, and no body of interest."""


def parse_fields(octets: bytes) -> Fields:
    """Read some header fields."""
    return BytesParser().parsebytes(octets, headersonly=True)


def read_field(fields: Fields, name: str) -> str:
    """Return the value of a field on one line, decoded (RFC 2047). Empty: there is none."""
    value = next((value for each, value in fields.raw_items() if each.lower() == name.lower()), None)
    if value is None:
        return ""
    # Servers write octets beyond ASCII as they are, in UTF-8 or in Latin-1, though they should not.
    text = decode(str(value)[:FIELD_MAX_CHARS].encode("utf-8", "surrogateescape"))
    with contextlib.suppress(ValueError, LookupError, HeaderParseError):  # It stays as it is.
        text = str(make_header(decode_header(text)))
    return clean_line(text)


def clean_line(text: str) -> str:
    """Return a text on one line, without controls and without what no database stores."""
    text = text.encode("utf-8", "replace").decode()
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def read_date(text: str) -> datetime | None:
    """Read a date (RFC 5322). One without a zone is UTC."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def walk(message: Message) -> Iterator[Message]:
    """Yield the parts of a message in their order, without what is inside of a message that it holds."""
    waiting, count = [message], 0
    while waiting and count < PARTS_MAX:
        part = waiting.pop(0)
        count += 1
        yield part
        if part.get_content_maintype() == "multipart" and isinstance(part.get_payload(), list):
            waiting[:0] = cast("list[Message]", part.get_payload())


def find_part(message: Message, *types: str) -> Message | None:
    """Return the first part of one of these types."""
    return next((part for part in walk(message) if part.get_content_type() in types), None)


def read_groups(part: Message) -> list[Fields]:
    """Return the groups of fields of a delivery status (RFC 3464 section 2.1): first the message's, then recipients'.

    The parser has taken them for messages, or for one whose body has the rest; or they are encoded, against the rule.
    """
    groups = _BLANK_LINES.split(_gather(part).strip())
    return [parse_fields(group + b"\n\n") for group in groups if group.strip()]


def find_original(message: Message) -> Fields | None:
    """Return the fields of the message that is returned in a report, if it has them."""
    part = find_part(message, *_ORIGINAL_TYPES)
    if part is None:
        return None
    return parse_fields(_gather(part))


def read_text(message: Message, *, max_chars: int) -> str:
    """Return the texts that a person reads, the returned message not included. Tags of HTML are taken out."""
    texts, size = [], 0
    for part in walk(message):
        if part.get_content_type() not in ("text/plain", "text/html") or size > max_chars:
            continue
        text = read_body(part)
        text = text[:max_chars] if part.get_content_type() == "text/plain" else strip_tags(text[: 5 * max_chars])
        texts.append(text)
        size += len(text)
    return "\n".join(texts)[:max_chars]


def strip_tags(text: str) -> str:
    """Return what a person reads of HTML. In one pass, so that no HTML of a stranger takes more than linear time."""
    texts: list[str] = []
    hidden = ""
    for piece in text.split("<"):
        tag, _, rest = piece.partition(">")
        name = tag.strip().lower().split(maxsplit=1)[:1]
        if hidden:
            hidden = "" if name == [f"/{hidden}"] else hidden
        elif name and name[0] in _HIDDEN:
            hidden = name[0]
        if not hidden:
            texts.append(rest if texts or text.startswith("<") else piece)
    return html.unescape(" ".join(texts))


def read_body(part: Message) -> str:
    """Return the text of one part. Octets that fit no declared charset are read as UTF-8, else as Latin-1."""
    payload = part.get_payload(decode=True)
    octets = payload if isinstance(payload, bytes) else b""
    charset = part.get_content_charset() or "utf-8"
    try:
        return octets.decode(charset)
    except (LookupError, UnicodeError, ValueError):
        return decode(octets)


def decode(octets: bytes) -> str:
    """Return octets as UTF-8, or else as Latin-1."""
    try:
        return octets.decode("utf-8")
    except UnicodeError:
        return octets.decode("latin-1")


def _gather(part: Message) -> bytes:
    """Return the body of a part as octets, decoded, whether the parser has made messages of it or not."""
    payload = part.get_payload()
    if isinstance(payload, list):
        inner = (_write_fields(each) + _gather(each) for each in payload if isinstance(each, Message))
        return _undo_encoding(part, b"\n\n".join(inner))
    octets = part.get_payload(decode=True)
    return octets if isinstance(octets, bytes) else b""


def _write_fields(message: Message) -> bytes:
    """Return the fields of a message as they came. Python refuses to write some of them, and folds others again."""
    fields = "".join(f"{name}: {value}\n" for name, value in message.raw_items())
    return f"{fields}\n".encode("utf-8", "surrogateescape")


def _undo_encoding(part: Message, octets: bytes) -> bytes:
    encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    with contextlib.suppress(ValueError, binascii.Error):
        if encoding == "base64":
            return base64.b64decode(octets)
        if encoding == "quoted-printable":
            return quopri.decodestring(octets)
    return octets
