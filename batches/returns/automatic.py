"""Tell automatic replies and mail systems from people, by the fields of a message (RFC 3834)."""

from __future__ import annotations

import re
from email.message import Message
from email.utils import parseaddr

from batches.returns.report_parts import read_field

_MAIL_SYSTEMS = re.compile(
    r"\bndr\b|mailer-?daemon|mail-?daemon|postmaster|mail ?delivery|mail-?system|bounce|mdaemon|no-?reply-?bounce|"
    r"microsoftexchange|mailsubsystem|mail ?administrator|amavis|complaints|delivery ?(?:subsystem|failure|status)",
    re.IGNORECASE,
)
_REPLY_FIELDS = ("X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-AutoReply-From", "X-Mail-Autoreply")
_REPLY_SUBJECTS = re.compile(
    r"^(?:auto(?:matic|matisch|matique|mática|matica|matico|mático)? ?-?(?:re(?:ply|sponse)|: )|automatische antwort|"
    r"r[ée]ponse automatique|respuesta autom|risposta automatica|automatisch antwoord|automatyczna odpowied|"
    r"odpowied. automatyczna|autoodpowied|resposta autom|out of (?:the )?office|abwesenheit|absence du bureau|"
    r"fuera de (?:la )?oficina|fuori (?:sede|ufficio)|afwezig|poza biurem|fora do escrit)",
    re.IGNORECASE,
)


def is_automatic_reply(message: Message) -> bool:
    """Whether a program wrote it in answer to a message. It says nothing about the delivery.

    A mail system may mark its bounces in the same way, so those are to be told apart.
    """
    marked = read_field(message, "Auto-Submitted").lower()
    if marked.startswith("auto-replied") or marked.startswith("auto-notified"):
        return True
    if any(message.get(name) for name in _REPLY_FIELDS):
        return True
    if read_field(message, "Precedence").lower() in ("auto_reply", "auto-reply"):
        return True
    if message.get_content_type() == "multipart/report" and _read_report_type(message) == "disposition-notification":
        return True
    is_marked = marked.startswith("auto-generated") or message.get("X-Auto-Response-Suppress") is not None
    subject = read_field(message, "Subject")
    return bool(_REPLY_SUBJECTS.match(subject)) and (is_marked or bool(message.get("In-Reply-To")) or not marked)


def is_from_mail_system(message: Message) -> bool:
    """Whether the sender calls itself a mail system, or names recipients that failed."""
    if message.get("X-Failed-Recipients"):
        return True
    return_path = message.get("Return-Path")
    name, address = parseaddr(read_field(message, "From"))
    # A null return path alone proves nothing: automatic replies have it too (RFC 3834 section 3.3).
    is_null = return_path is not None and read_field(message, "Return-Path") == "<>"
    return bool(_MAIL_SYSTEMS.search(f"{name} {address.partition('@')[0]}")) or (is_null and not address)


def _read_report_type(message: Message) -> str:
    return str(message.get_param("report-type", "") or "").lower()
