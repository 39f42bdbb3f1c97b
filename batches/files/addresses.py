"""Decide whether a cell holds an email address, and in which form the address is stored. No DNS, no database.

The stored form keeps the local part as it was written. The domain is in lower case and in ASCII (punycode, RFC 5891),
so a domain never needs SMTPUTF8. A local part with letters beyond ASCII is stored too (RFC 6531). ``not
address.isascii()`` therefore means that the relay must offer SMTPUTF8.

What clings to an address is removed where nothing is in doubt: see ``clinging``. ``address_faults`` says what is wrong
with a cell that holds no address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

from batches.files.address_faults import LOOKS_ALIKE, explain
from batches.files.clinging import SPACES as SPACES
from batches.files.clinging import find_candidates, is_symbol, remove_invisible, strip_signs, unwrap

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

OR_IN_THE_REVIEW = ", or choose in the review that such a cell makes several recipients"
"""What else can be done, if the list is not refused. Only the reason of a cell with several good addresses has it."""

_COUNT_WORDS = {2: "two", 3: "three", 4: "four", 5: "five"}

SEVERAL_MAX_LENGTH = 4096
"""In a longer cell, several addresses are not looked for."""

SEVERAL_MAX = 20
"""A cell with more addresses than this is no cell of one recipient."""

# Each "+" and "*" is made possessive, a syntax that PostgreSQL does not have. No step can use the characters that the
# step before it took, so backtracking can never find a match.
match_plain = re.compile(
    rf"(?!.{{{PLAIN_MAX_LENGTH + 1}}})" + re.sub(r"(?<=[])])[+*]", r"\g<0>+", PLAIN_PATTERN)
).fullmatch
"""Match a cell that is an ordinary ASCII address in its stored form. Nearly all cells of a real list match."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_AT = re.compile("[@\uff20\ufe6b]|%40")
_MAY_HAVE_AT = re.compile("[@&%]")
"""An @-sign, or the first sign of its spellings in HTML and in a link."""
_TYPOGRAPHIC = re.compile("[“”„«»‘’‚‹›´…]")  # noqa: RUF001
"""Signs that a word processor puts in. RFC 6531 allows them in a local part, and nobody has such an address."""


class BadAddress(ValueError):
    """The cell holds no address. ``str()`` is a sentence that says why, and what to do."""


class SeveralAddresses(BadAddress):
    """The cell holds several addresses, and each of them is good."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        count = _COUNT_WORDS.get(len(addresses), str(len(addresses)))
        super().__init__(f"The cell holds {count} addresses. Give each address a line of its own{OR_IN_THE_REVIEW}.")
        self.addresses = addresses
        """The different addresses in their stored form, in the order of the cell. Two or more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundAddress:
    """The address of a cell."""

    address: str
    """The address in its stored form."""
    is_cleaned: bool
    """Whether signs that clung to it were removed. Spaces and a name around it do not count."""


def normalise_address(cell: str) -> str:
    """Return the address of a cell in its stored form.

    The cell may also be ``Name <address>``, or have signs around the address that are certainly no part of it.

    Raises:
        SeveralAddresses: the cell holds two or more different addresses.
        BadAddress: the cell holds no address.
    """
    return find_address(cell).address


def find_address(cell: str) -> FoundAddress:
    """Find the address of a cell, and say whether signs clung to it.

    Raises:
        SeveralAddresses: the cell holds two or more different addresses.
        BadAddress: the cell holds no address.
    """
    if address := _find_plain(cell.strip(SPACES)):
        return FoundAddress(address=address, is_cleaned=False)
    text = remove_invisible(cell).strip()
    if not text:
        raise BadAddress("The address is empty. Write it, or remove the row.")
    if not _MAY_HAVE_AT.search(text):  # many lists have some hundred cells such as "none"
        raise BadAddress(explain(text))
    if len(text) > SEVERAL_MAX_LENGTH or (len(text) > CELL_MAX_LENGTH and text.count("@") < 2):
        raise BadAddress("The address is too long. Check whether the cell holds more than an address.")
    if _CONTROL.search(text):
        raise BadAddress("The address contains a control character. Type the address again.")
    inner, others = unwrap(text)
    clean = strip_signs(inner)
    address = _validate(clean) if len(clean) <= CELL_MAX_LENGTH else None
    if address is None:
        address, is_cleaned = _find_only(text, clean), True
    else:
        _refuse_others(address, others)
        is_cleaned = clean != inner.strip() or text != cell.strip(SPACES)
    return FoundAddress(address=address, is_cleaned=is_cleaned)


def is_address(cell: str) -> bool:
    """Say whether a cell holds one address."""
    try:
        return bool(_AT.search(cell) and normalise_address(cell))
    except BadAddress:
        return False


def _find_only(text: str, clean: str) -> str:
    """Return the one address that a cell with other text has several times, as a link does.

    Raises:
        BadAddress: there is no address, there are several, or other text leaves a doubt.
    """
    candidates = find_candidates(text)
    if len(candidates) == 1 and candidates[0] != clean and (address := _validate(candidates[0])):
        raise BadAddress(
            f"The cell holds text beside the address {address}. Keep only the address in it, "
            "or remove a space that does not belong there."
        )
    if len(candidates) < 2:
        raise BadAddress(explain(clean))
    if len(candidates) > SEVERAL_MAX:
        raise BadAddress(f"The cell holds more than {SEVERAL_MAX} addresses. Give each address a line of its own.")
    found: dict[str, str] = {}
    for candidate in candidates:
        if (address := _validate(candidate)) is None:
            raise BadAddress(f"The cell holds more than one address, and one of them is wrong. {explain(candidate)}")
        found.setdefault(address.casefold(), address)
    if len(found) > 1:
        raise SeveralAddresses(tuple(found.values()))
    return next(iter(found.values()))


def _refuse_others(address: str, others: str) -> None:
    """Refuse a cell such as ``ann@example.org <bo@example.org>``, whose name is another address."""
    if "@" not in others:
        return
    valid = [other for candidate in find_candidates(others) if (other := _validate(candidate))]
    different = {found.casefold(): found for found in [*valid, address]}
    if len(different) > 1:
        raise SeveralAddresses(tuple(different.values()))


def _find_plain(text: str) -> str | None:
    """Return the stored form of a plain address; None for any other text. Most addresses are plain."""
    local, at, domain = text.rpartition("@")
    lowered = local + at + domain.lower()
    return lowered if match_plain(lowered) else None


def _validate(text: str) -> str | None:
    """Return the stored form of a text that is an address and nothing else; None if it is no address.

    Applies all rules of email-validator. ``strict`` limits a local part to 64 octets (RFC 5321, section 4.5.3.1.1).
    """
    if address := _find_plain(text):
        return address
    try:
        valid: ValidatedEmail = validate_email(text, check_deliverability=False, strict=True)
    except EmailNotValidError:
        return None
    is_doubtful = LOOKS_ALIKE.search(text) or _TYPOGRAPHIC.search(text) or any(map(is_symbol, text))
    return None if is_doubtful else f"{valid.local_part}@{valid.ascii_domain}"
