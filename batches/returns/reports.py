"""Read a message that came back: the events in it leave, or the token of somebody who unsubscribes by mail.

The order matters (field notes of issue 14): a delivery status (RFC 3464), a feedback report (RFC 5965), an automatic
reply (RFC 3834), and only then the bounces in words of their own, which flufl.bounce knows, or which name a status.
What is none of these is not understood: the door leaves it where it is.

Nothing is looked up and nothing is stored here. Everything that a report says is a claim of a stranger.
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.utils import parseaddr

from django.conf import settings

from batches.models import ReturnKind
from batches.return_paths import is_return_path_like, read_return_path
from batches.returns import report_parts as parts
from batches.returns.automatic import is_automatic_reply, is_from_mail_system
from batches.returns.bounces import read_bounces, read_delivery_status
from batches.returns.complaints import read_complaint
from batches.returns.events import ReturnEvent, make_key
from batches.returns.told import Told
from batches.unsubscribe_tokens import read_token

logger = logging.getLogger(__name__)

READ_MAX_BYTES = 128 * 1024
"""So much of a message is read. What a report says comes before the message that it quotes."""

DIGEST_MAX_BYTES = 256 * 1024
"""So much of a body tells one report from another."""

WORDS_MAX_BYTES = 64 * 1024
"""So much is read of what is no report. Some expressions of flufl.bounce take more than linear time."""

TEXT_MAX_CHARS = 500

UNSUBSCRIBE_LOCAL = "unsubscribe"
"""The local part of the address in List-Unsubscribe, before the plus sign and the token."""

_ENVELOPE_FIELDS = (
    "Delivered-To", "X-Original-To", "X-Envelope-To", "Envelope-To", "X-Delivered-To", "X-Rcpt-To", "X-Forwarded-To",
    "X-Original-Recipient", "To", "Cc",
)  # fmt: skip
_TOKEN = re.compile(rf"{UNSUBSCRIBE_LOCAL}\+([A-Za-z0-9_-]{{20,64}})@", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s<>,;:\"()]{1,250}@[^\s<>,;:\"()@]{1,250}")
_MESSAGE_ID = re.compile(r"<[^<>@\s]{1,250}@[^<>@\s]{1,250}>")
_QUOTED_ID = re.compile(r"^[ \t>|]*message-id:\s*(<[^<>@\s]{1,250}@[^<>@\s]{1,250}>)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What one message says."""

    events: list[ReturnEvent] = field(default_factory=list)
    unsubscribe_token: str | None = None
    """The token of somebody who unsubscribes by mail (RFC 2369). Not checked."""
    is_understood: bool = False
    """False: the door leaves the message where it is. True without events: a notice such as that of a delay."""


def read_report(raw: bytes, *, door: str, rcpt: str = "") -> Report:
    """Read one message. Never raises for what is in it.

    Args:
        raw: The message as it came, with any line ends.
        door: ``imap`` or ``lmtp``.
        rcpt: The address in RCPT TO, if the door knows it. Otherwise the fields are searched for a return path.
    """
    try:
        return _read(message_from_bytes(raw[:READ_MAX_BYTES]), raw, door=door, rcpt=rcpt)
    except RecursionError:
        logger.warning("A message at the door %s is nested too deep, so it is not read.", door)
    except Exception:
        # The message is a stranger's. A fault in reading it must not stop the messages after it.
        logger.exception("A message at the door %s could not be read.", door)
    return Report()


def _read(message: Message, raw: bytes, *, door: str, rcpt: str) -> Report:
    is_automatic = is_automatic_reply(message)
    if not is_automatic and (token := _find_token(message, rcpt)):
        return Report(unsubscribe_token=token, is_understood=True)
    told = _interpret(message, raw, is_automatic=is_automatic)
    if told is None:
        return Report()
    return Report(events=_make_events(told, message, raw, door=door, rcpt=rcpt), is_understood=True)


def _interpret(message: Message, raw: bytes, *, is_automatic: bool) -> list[Told] | None:
    """Return what a message tells, or None if it is not understood. An empty list: nothing of interest."""
    if (told := read_delivery_status(message)) is not None:
        return told
    if (told := read_complaint(message)) is not None:
        return told
    if _is_forward(message):
        return None
    # Some mail systems mark their bounces as automatic, so the others are asked for first.
    if is_automatic and not is_from_mail_system(message):
        return [Told(kind=ReturnKind.AUTO_REPLY, recipient=parseaddr(parts.read_field(message, "From"))[1])]
    if (told := read_bounces(raw[:WORDS_MAX_BYTES])) is not None:
        return told
    if is_automatic:
        return [Told(kind=ReturnKind.AUTO_REPLY)]
    return None


def _is_forward(message: Message) -> bool:
    """Whether a person asks about a report, which is attached. It is a letter, so it is left to a person."""
    if message.get_content_type() == "multipart/report" or is_from_mail_system(message):
        return False
    attached = parts.find_original(message)
    return attached is not None and attached.get_content_type() == "multipart/report"


def _make_events(told: list[Told], message: Message, raw: bytes, *, door: str, rcpt: str) -> list[ReturnEvent]:
    original = parts.find_original(message)
    date = parts.read_date(parts.read_field(message, "Date"))
    message_id = _find_message_id(message, original, is_reply=any(each.kind == ReturnKind.AUTO_REPLY for each in told))
    return_path = _find_return_path(message, original, told=told, rcpt=rcpt)
    content = _digest_content(message, raw, return_path)
    return [
        ReturnEvent(
            kind=each.kind,
            return_class=each.return_class,
            door=door,
            key=make_key("report", content, str(number)),
            return_path=return_path,
            message_id=each.message_id or message_id,
            recipient=each.recipient[:320],
            status_code=each.status_code[:11],
            text=parts.clean_line(each.text)[:TEXT_MAX_CHARS],
            happened_at=each.happened_at or date,
        ).clean()
        for number, each in enumerate(told)
    ]


def _digest_content(message: Message, raw: bytes, return_path: str) -> str:
    """Return a digest of a report that is the same at each door: without the fields that servers add on the way.

    Two bounces of one server may differ in nothing but the return path to which they come.
    """
    _, _, body = raw.replace(b"\r\n", b"\n").partition(b"\n\n")
    # A door may have cut a long message, in another place than the other door.
    stripped = b"\n".join(line.rstrip() for line in body[:DIGEST_MAX_BYTES].strip().split(b"\n"))
    path = read_return_path(return_path, bounce_address=settings.BOUNCE_ADDRESS)
    names = ("From", "Date", "Subject", "Message-ID")
    head = "\0".join(" ".join(str(message.get(name, "")).split()) for name in names)
    if path is not None:
        head += f"\0{path.email_id:x}.{path.tag}"
    return hashlib.sha256(head.encode("utf-8", "surrogateescape") + b"\0" + stripped).hexdigest()


def _find_token(message: Message, rcpt: str) -> str | None:
    found = [match[1] for address in (rcpt, *_read_envelope(message)) if (match := _TOKEN.search(address))]
    # A server may have written one of the fields in lower case. Then only another field has the token.
    return next(filter(read_token, found), next(iter(found), None))


def _find_return_path(message: Message, original: Message | None, *, told: list[Told], rcpt: str) -> str:
    """Return the first address that has the form of a return path of ours, else one that pretends to be one.

    Without either, the address in RCPT TO.

    Where a report comes through another address, as a feedback report does, what it quotes has the return path.
    """
    candidates = [rcpt, *_read_envelope(message), *(each.sender for each in told)]
    if original is not None:
        candidates.append(parts.read_field(original, "Return-Path"))
    for address in candidates:
        if read_return_path(address, bounce_address=settings.BOUNCE_ADDRESS):
            return address.strip().strip("<>")
    came_to = (rcpt, *_read_envelope(message))
    return next((each for each in came_to if is_return_path_like(each, bounce_address=settings.BOUNCE_ADDRESS)), rcpt)


def _read_envelope(message: Message) -> list[str]:
    """Return the addresses to which a message came, as its fields say."""
    values = [parts.clean_line(str(value)) for name in _ENVELOPE_FIELDS for value in message.get_all(name, [])]
    return [address for value in values[:50] for address in _ADDRESS.findall(value[:2_000])]


def _find_message_id(message: Message, original: Message | None, *, is_reply: bool) -> str:
    """Return the Message-ID of the message of ours that a report is about. Empty: it quotes none."""
    if original is not None and (found := _MESSAGE_ID.search(parts.read_field(original, "Message-ID"))):
        return found[0]
    if is_reply:
        # A read receipt has it in a part of its own (RFC 8098 section 3.2.5).
        receipt = parts.find_part(message, "message/disposition-notification")
        fields = parts.read_groups(receipt) if receipt is not None else []
        told = "".join(parts.read_field(group, "Original-Message-ID") for group in fields)
        named = f"{parts.read_field(message, 'In-Reply-To')} {parts.read_field(message, 'References')} {told}"
        return ids[-1] if (ids := _MESSAGE_ID.findall(named)) else ""
    found = _QUOTED_ID.search(parts.read_text(message, max_chars=100_000))
    if found is None:
        found = _MESSAGE_ID.search(parts.read_field(message, "In-Reply-To"))
        return found[0] if found else ""
    return found[1]
