"""Recognise the message of a sender check among what comes to the return mailbox, and keep the header it arrived with.

A door asks here for each message that no parser understood. The recipient's address says which round trip it is:
``bounce+check-TOKEN@news.example.org``. The token is random, so a stranger can't make a check green.
"""

from __future__ import annotations

import re
import secrets
from base64 import b32encode
from datetime import timedelta
from email.parser import BytesHeaderParser
from email.utils import getaddresses

from django.conf import settings
from django.db.models.functions import Now

from batches.models import RoundTrip

HEADER_MAX_CHARS = 100_000
VALID_DAYS = 7
"""What arrives later is no round trip any more. It is then a message that no parser understands."""

_TOKEN_BYTES = 16


def make_token() -> str:
    """Return a random token: 26 characters that survive a change of case."""
    return b32encode(secrets.token_bytes(_TOKEN_BYTES)).decode().rstrip("=").lower()


def make_address(token: str) -> str:
    """Return the address to which a round trip is sent. Its part after the plus tests that the mailbox takes one."""
    local, _, domain = settings.BOUNCE_ADDRESS.rpartition("@")
    return f"{local}+check-{token}@{domain}"


def record(raw: bytes, *, rcpt: str = "") -> bool:
    """Keep the header of a message if it is that of a round trip, and return whether it is. Safe to call twice.

    Args:
        raw: The message as it came, with any line ends.
        rcpt: The address in RCPT TO, if the door knows it.
    """
    token = _find_token(raw, rcpt)
    if not token:
        return False
    expected = RoundTrip.objects.filter(token=token, created_at__gt=Now() - timedelta(days=VALID_DAYS))
    expected.filter(arrived_at=None).update(header=_cut_header(raw), arrived_at=Now())
    return expected.exists()


def _find_token(raw: bytes, rcpt: str) -> str:
    if not settings.BOUNCE_ADDRESS:
        return ""
    local, _, domain = settings.BOUNCE_ADDRESS.rpartition("@")
    # A cheap look first: hardly any message is a round trip.
    if b"+check-" not in raw[:HEADER_MAX_CHARS].lower() and "+check-" not in rcpt.lower():
        return ""
    message = BytesHeaderParser().parsebytes(raw[:HEADER_MAX_CHARS])
    if message.get_content_type() == "multipart/report":  # about a round trip, and none itself
        return ""
    addresses = [rcpt, *(address for _, address in getaddresses([str(value) for value in message.get_all("To", [])]))]
    pattern = re.compile(rf"{re.escape(local)}\+check-([a-z2-7]{{26}})@{re.escape(domain)}", re.IGNORECASE)
    found = next((match for address in addresses if (match := pattern.fullmatch(address.strip()))), None)
    return found[1].lower() if found else ""


def _cut_header(raw: bytes) -> str:
    text = raw[:HEADER_MAX_CHARS].replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("utf-8", "replace")
    return text.replace("\0", "\ufffd")  # PostgreSQL can't store a NUL
