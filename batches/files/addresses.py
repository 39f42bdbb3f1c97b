"""Decide whether a cell holds an email address, and in which form the address is stored. No DNS, no database.

The stored form keeps the local part as it was written. The domain is in lower case and in ASCII (punycode, RFC 5891),
so a domain never needs SMTPUTF8. A local part with letters beyond ASCII is stored too (RFC 6531). ``not
address.isascii()`` therefore means that the relay must offer SMTPUTF8.
"""

from __future__ import annotations

import re

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

PLAIN_MAX_LENGTH = 63
"""In an address of at most this length, no label, local part or domain can be too long. The pattern needs no limits."""

PLAIN_PATTERN = (
    r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*"
    r"@(?:[a-z0-9]+(?:-[a-z0-9]+)*\.)+"
    r"(?!(?:arpa|invalid|local|localhost|onion|test)$)[a-z]{2,}"
)
"""A subset of the addresses that email-validator accepts and does not change.

Python and PostgreSQL read the pattern in the same way. It allows no quoting, no "--" (so no punycode to check) and no
reserved top-level domain.
"""

CELL_MAX_LENGTH = 512
"""A longer cell is refused without the full check, because the check takes time that grows with the length."""

# Each "+" and "*" is made possessive, a syntax that PostgreSQL does not have. No step can use the characters that the
# step before it took, so backtracking can never find a match.
match_plain = re.compile(
    rf"(?!.{{{PLAIN_MAX_LENGTH + 1}}})" + re.sub(r"(?<=[])])[+*]", r"\g<0>+", PLAIN_PATTERN)
).fullmatch
"""Match a cell that is an ordinary ASCII address in its stored form. Nearly all cells of a real list match."""

SPACES = " \u00a0\u2007\u202f\u3000\u200b\ufeff"
"""White space that copying from web pages and documents leaves around an address. No control character."""

_BRACKETED = re.compile(r"[^<>]*<([^<>]*)>", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class BadAddress(ValueError):
    """The cell holds no address. ``str()`` is a sentence that says why."""


class SeveralAddresses(BadAddress):
    """The cell holds more than one address."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        super().__init__("The cell holds more than one address. Give each a line of its own.")
        self.addresses = addresses
        """The addresses in their stored form."""


def normalise_address(cell: str) -> str:
    """Return the address of a cell in its stored form.

    The cell may also be ``Name <address>``, with white space around it.

    Raises:
        BadAddress: the cell holds no address.
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
    return lowered if match_plain(lowered) else _validate(text)


def is_address(cell: str) -> bool:
    """Say whether a cell holds an address."""
    try:
        return "@" in cell and bool(normalise_address(cell))
    except BadAddress:
        return False


def _validate(text: str) -> str:
    """Apply all rules of email-validator. ``strict`` limits a local part to 64 octets (RFC 5321, section 4.5.3.1.1)."""
    try:
        valid: ValidatedEmail = validate_email(text, check_deliverability=False, strict=True)
    except EmailNotValidError as exc:
        raise BadAddress(str(exc)) from exc
    return f"{valid.local_part}@{valid.ascii_domain}"
