"""Decide whether a cell holds an address, and in which form it is kept. Pure: no DNS, no database.

Kept as: the local part as it was written, the domain in lower case and in ASCII (punycode, RFC 5891), so
that it needs no SMTPUTF8. A local part beyond ASCII is kept too (RFC 6531): ``not address.isascii()`` is
the mark that the relay must offer SMTPUTF8.
"""

from __future__ import annotations

import re

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

PLAIN_MAX_LENGTH = 63
"""Up to here no label, local part or domain can be over its own limit, so the pattern needs none."""

PLAIN_PATTERN = (
    r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*"
    r"@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+"
    r"(?!(?:arpa|invalid|local|localhost|onion|test)$)[a-z]{2,}"
)
"""A subset of what email-validator accepts and leaves as it is, with which PostgreSQL agrees: no quoting,
no "--" (so no punycode to check), no reserved top-level domain."""

CELL_MAX_LENGTH = 512
"""A longer cell is refused unread: the full check takes time that grows with the length."""

# Each "+" and "*" made possessive, which PostgreSQL doesn't know: what one step took the next can't use, so
# giving it back is in vain.
match_plain = re.compile(
    rf"(?!.{{{PLAIN_MAX_LENGTH + 1}}})" + re.sub(r"(?<=[])])[+*]", r"\g<0>+", PLAIN_PATTERN)
).fullmatch
"""A match if the cell is an ordinary ASCII address that is kept just as it is: nearly all are."""

SPACES = " \u00a0\u2007\u202f\u3000\u200b\ufeff"
"""What may stand around an address: what copying from pages and documents leaves. No control character."""

_BRACKETED = re.compile(r"[^<>]*<([^<>]*)>", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class BadAddress(ValueError):
    """The cell holds no address; str() says why, as a sentence."""


def normalise_address(cell: str) -> str:
    """Return the address of a cell in the form that is kept.

    Takes ``Name <address>`` too, and white space around.

    Raises:
        BadAddress: saying what is wrong with it.
    """
    text = cell.strip(SPACES)
    if not text:
        raise BadAddress("The address is empty.")
    if len(text) > CELL_MAX_LENGTH:
        raise BadAddress("The address is too long.")
    if _CONTROL.search(text):
        raise BadAddress("The address contains a control character.")
    if "@" not in text:
        raise BadAddress("An email address must have an @-sign.")
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed:
        text = bracketed[1].strip(SPACES)
    local, at, domain = text.rpartition("@")
    lowered = local + at + domain.lower()
    return lowered if match_plain(lowered) else _validated(text)


def _validated(text: str) -> str:
    """Its full rules; strict keeps a local part to the 64 letters of RFC 5321, section 4.5.3.1.1."""
    try:
        found: ValidatedEmail = validate_email(text, check_deliverability=False, strict=True)
    except EmailNotValidError as exc:
        raise BadAddress(str(exc)) from exc
    return f"{found.local_part}@{found.ascii_domain}"
