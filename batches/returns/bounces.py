"""Read a bounce: a delivery status (RFC 3464), or a bounce in words of a mail system's own."""

from __future__ import annotations

import logging
import re
from collections.abc import Set
from email import message_from_bytes
from email.message import Message
from email.utils import parseaddr

from flufl.bounce import all_failures

from batches.models import ReturnClass, ReturnKind
from batches.returns import report_parts as parts
from batches.returns.automatic import is_from_mail_system
from batches.returns.classes import classify
from batches.returns.told import Told

logger = logging.getLogger(__name__)

TEXT_MAX_CHARS = 20_000
"""How much of the words of a bounce is searched."""

NEAR_CHARS = 400
"""How far from the address a mail system says why."""

RECIPIENTS_MAX = 100

_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])", re.ASCII)
_ENCODED = re.compile(r"\+(2B|3D)|\\x\{([0-9A-Fa-f]{2,6})\}")
_ADDRESS = re.compile(r"[^\s<>()\[\],;:\"']{1,64}@[^\s<>()\[\],;:\"'@]{1,250}")
_QUOTED = re.compile(
    r"^[ >*=_-]*(?:below this line|(?:the )?(?:body of |text of )?(?:the |your )?"
    r"(?:original|returned|unsent|undelivered) (?:message|mail)(?! (?:was|is|has))|returned mail follows|"
    r"start of returned|(?:this|here) is a copy|(?:the )?header of (?:the|your) original|urspr.ngliche nachricht|"
    r"message d.origine|mensaje original|messaggio originale)",
    re.IGNORECASE | re.MULTILINE,
)
"""Where the words of a mail system end, and the message begins that it quotes."""

_DELAY = re.compile(
    r"warning: (?:message .{1,60} delayed|could not send)|delayed mail|delivery (?:is |has been )?delayed|"
    r"delivery attempts will continue|will keep trying|still (?:undelivered|being retried)|"
    r"not (?:yet )?been delivered.{0,80} after more than|warning message only|do not need to resend|"
    r"verz.{1,2}gerte zustellung|zustellung verz.{1,2}gert|noch nicht zugestellt|weiterhin versucht|"
    r"remise (?:retard|diff)|sera retent|entrega retrasada|seguir. intentando|consegna ritardata|"
    r"bezorging vertraagd|dostarcz\w{1,6} op[oó][zź]ni|entrega atrasada",
    re.IGNORECASE,
)
_GIVEN_UP = re.compile(
    r"permanent (?:fatal )?error|given up|giving up|has failed permanently|deleted from (?:the )?queue|"
    r"address(?:\(es\)|es)? failed|"
    r"(?:could|can) ?not be delivered (?:to|after|for)|endg.{1,2}ltig",
    re.IGNORECASE,
)
"""A notice in words of both kinds is a failure: it tells of the delay that came before."""

_OTHER_ACTIONS = ("delayed", "delivered", "relayed", "expanded")
"""What RFC 3464 section 2.3.3 knows besides ``failed``. Some servers write words of their own."""

_DATE_FIELDS = ("Last-Attempt-Date", "Arrival-Date")


def read_delivery_status(message: Message) -> list[Told] | None:
    """Return the failures in a delivery status. None: there is no such part. Empty: none of it failed."""
    part = parts.find_part(message, "message/delivery-status", "message/global-delivery-status")
    if part is None:
        return None
    groups = parts.read_groups(part)
    recipients = [group for group in groups if group.get("Final-Recipient") or group.get("Original-Recipient")]
    if not recipients:
        return None
    words = _read_words_of_system(message)
    failed = [group for group in recipients if _has_failed(group)]
    return [_read_group(group, words, arrival=groups[0]) for group in failed[:RECIPIENTS_MAX]]


def _has_failed(group: parts.Fields) -> bool:
    """Whether a recipient's group says so. A delay, a relaying and an expansion are no failures."""
    action = parts.read_field(group, "Action").lower()
    if action.startswith(_OTHER_ACTIONS):
        return False
    return action.startswith("fail") or parts.read_field(group, "Status").startswith("5")


def _read_group(group: parts.Fields, words: str, *, arrival: parts.Fields) -> Told:
    found = _STATUS.search(parts.read_field(group, "Status"))
    text = _drop_type(parts.read_field(group, "Diagnostic-Code"))
    status = found[1] if found else ""
    inner = _STATUS.search(text)
    return_class = classify(status, text)
    if return_class is ReturnClass.OTHER:
        # The status says nothing, and the words for a person may say more.
        return_class = classify(status, _find_near(words, _read_recipient(group)))
    is_generic = not status or status.endswith(".0.0")
    dates = (parts.read_field(fields, name) for fields in (group, arrival) for name in _DATE_FIELDS[:1])
    return Told(
        kind=ReturnKind.BOUNCED,
        return_class=return_class,
        recipient=_read_recipient(group),
        status_code=inner[1] if inner and is_generic else status,
        text=text or _find_near(words, _read_recipient(group)),
        sender=parts.read_field(arrival, "X-Postfix-Sender").partition(";")[2],
        happened_at=next((read for date in dates if date and (read := parts.read_date(date))), None),
    )


def _read_recipient(group: parts.Fields) -> str:
    """Return the address to which we sent, if the report knows it: before any forwarding (RFC 3464 section 2.3.1).

    Empty: it names none. Lotus Notes and X.400 name the recipient in a form of their own.
    """
    original = _drop_type(parts.read_field(group, "Original-Recipient"))
    final = _drop_type(parts.read_field(group, "Final-Recipient"))
    chosen = original if "@" in original else final
    if "@" not in chosen:
        return ""
    chosen = _decode_xtext(chosen)
    return (parseaddr(chosen)[1] or chosen).strip("<> ")


def _drop_type(value: str) -> str:
    """Return a value without its type, as in ``rfc822; ann@example.org``."""
    kind, semicolon, rest = value.partition(";")
    return rest.strip() if semicolon and "@" not in kind and " " not in kind.strip() else value.strip()


def _decode_xtext(address: str) -> str:
    """Undo the encodings of an ORCPT parameter (RFC 3461 section 4, RFC 6533 section 3).

    Some servers copy the first as it is. The second has letters beyond ASCII, as ``\\x{5B89}``.
    """
    return _ENCODED.sub(lambda found: _read_letter(found[1] or found[2]), address)


def _read_letter(number: str) -> str:
    code = int(number, 16)
    return chr(code) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else "\ufffd"


def read_bounces(raw: bytes) -> list[Told] | None:
    """Return the failures in a bounce of another form. None: it is none that is known. Empty: only a delay.

    Args:
        raw: the beginning of the message.
    """
    message = message_from_bytes(raw)
    words = _read_words_of_system(message)
    if _is_delay_notice(message, words):
        return []
    temporary, permanent = _ask_flufl(raw)
    addresses = sorted(_decode(address) for address in permanent)[:RECIPIENTS_MAX]
    if addresses:
        return [_read_words(words, address) for address in addresses]
    if temporary:
        return []
    return _read_unknown_form(message, words)


def _is_delay_notice(message: Message, words: str) -> bool:
    """Whether a mail system only says that it goes on trying. Exim and old Sendmail say it in words alone."""
    if not is_from_mail_system(message):
        return False
    text = " ".join(f"{parts.read_field(message, 'Subject')} {words}".split())
    return bool(_DELAY.search(text)) and not _GIVEN_UP.search(text)


def _ask_flufl(raw: bytes) -> tuple[Set[bytes], Set[bytes]]:
    """Return the addresses that failed for now, and for good, as flufl.bounce sees it."""
    message = message_from_bytes(_make_plain(raw))
    if not parseaddr(parts.read_field(message, "From"))[1]:
        # It expects an address there.
        del message["From"]
        message["From"] = "unknown@invalid"
    try:
        return all_failures(message)
    except Exception:
        # Its expressions meet what a stranger has written. What they cannot read, nobody has understood.
        logger.debug("flufl.bounce cannot read a message.", exc_info=True)
        return set(), set()


def _make_plain(raw: bytes) -> bytes:
    """Return a message with ASCII alone in its fields: flufl.bounce raises for others, which servers do write."""
    end = min((place for mark in (b"\n\n", b"\r\n\r\n") if (place := raw.find(mark)) >= 0), default=len(raw))
    return raw[:end].decode("ascii", "replace").replace("\ufffd", "?").encode() + raw[end:]


def _read_words_of_system(message: Message) -> str:
    """Return what a mail system itself says, without the message that it quotes below."""
    text = parts.read_text(message, max_chars=TEXT_MAX_CHARS)
    own = _QUOTED.split(text, maxsplit=1)[0]
    return own if own.strip() else text


def _read_unknown_form(message: Message, words: str) -> list[Told] | None:
    """Read a bounce of which only the sender and the words are known: its return path has to say whom it is about."""
    if not is_from_mail_system(message):
        return None
    failed = parts.read_field(message, "X-Failed-Recipients").split(",")[0].strip() or _find_address(message, words)
    told = _read_words(words, failed)
    return None if told.return_class is ReturnClass.OTHER and not failed else [told]


def _find_address(message: Message, words: str) -> str:
    """Return the only address in the words of a mail system that is not its own. Empty: there is none, or several."""
    names = " ".join(parts.read_field(message, name) for name in ("From", "To", "Reply-To", "Sender")).lower()
    found = {address.rstrip(".").lower() for address in _ADDRESS.findall(words)}
    others = [each for each in found if each not in names and not each.startswith(("postmaster@", "mailer-daemon@"))]
    return others[0] if len(others) == 1 else ""


def _read_words(words: str, address: str) -> Told:
    near = _find_near(words, address)
    return_class = classify("", near)
    if return_class is ReturnClass.OTHER:
        return_class = classify("", " ".join(words.split()))
    found = _STATUS.search(near)
    return Told(
        kind=ReturnKind.BOUNCED,
        return_class=return_class,
        recipient=address,
        status_code=found[1] if found else "",
        text=near,
    )


def _find_near(words: str, address: str) -> str:
    """Return the words around an address: what a mail system says about it. Without one, the first words."""
    line = " ".join(words.split())
    place = line.lower().find(address.lower()) if address else -1
    if place < 0:
        return line[:NEAR_CHARS]
    start = max(0, place - NEAR_CHARS // 4)
    # It begins with a whole word: a person reads it.
    start = min(line.find(" ", start, place) + 1 or place, place) if start else 0
    return line[start : place + NEAR_CHARS]


def _decode(address: bytes | str) -> str:
    return address.decode("utf-8", "replace") if isinstance(address, bytes) else address
