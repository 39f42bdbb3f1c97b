"""Check that a mail can come from a sender, before it is saved and before a job is made. No DNS, no database.

A name, an address or a whole From value enters, as a person typed it. What a job stores leaves, or a SenderFault whose
sentence says what is wrong and what to do.
"""

from __future__ import annotations

import re

from email_validator import EmailNotValidError, validate_email

from batches.mailboxes import EXAMPLE, Mailbox, SenderFault, refuse_controls, split_mailbox

NAME_MAX_CHARS = 200
MAILBOX_MAX_CHARS = 600
"""The longest From value that a job stores."""

_LONE = re.compile(r"[^\s,;<>]+@[^\s,;<>]+")
_NAMED = re.compile(r'.*<[^<>]*@[^<>]*>.*<|.*@[^"]*[,;][^"]*<', re.DOTALL)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_RESERVED = re.compile(r"(?<=[@.])(?:arpa|invalid|local|localhost|onion|test)$", re.IGNORECASE)
"""Endings that email-validator refuses (RFC 6761). Some are used inside a network, and for tests."""
_NOWHERE = re.compile(r"(?:^|\.)(?:invalid|localhost)$", re.IGNORECASE)
"""Endings that never exist in the DNS (RFC 6761)."""


def read_sender(text: str) -> Mailbox:
    """Read and check a whole From value, such as that of DEFAULT_FROM_EMAIL. An address on this machine is accepted.

    Raises:
        SenderFault: no mail can come from it.
    """
    refuse_controls(text)
    if not text.strip():
        raise SenderFault(f"The sender is empty. {EXAMPLE}")
    if _NAMED.match(_QUOTED.sub("", text)):
        raise SenderFault(f"{text!r} has two addresses. Keep one: a mail comes from one sender.")
    name, address = split_mailbox(text)
    return join_sender(name, address)


def join_sender(name: str, address: str) -> Mailbox:
    """Make the Mailbox of a name and an address, both checked.

    Raises:
        SenderFault: no mail can come from it.
    """
    mailbox = Mailbox(check_name(name), check_address(address))
    if len(str(mailbox)) > MAILBOX_MAX_CHARS:
        raise SenderFault("The name has too many quotation marks and backslashes. Remove some of them.")
    return mailbox


def check_name(name: str) -> str:
    """Return a display name as it is stored: without outer spaces, and with one space between words.

    Raises:
        SenderFault: it is too long, or has a character that no header can hold.
    """
    refuse_controls(name)
    name = re.sub(" +", " ", name).strip()
    if len(name) > NAME_MAX_CHARS:
        raise SenderFault(f"The name has {len(name)} characters. Shorten it to {NAME_MAX_CHARS}.")
    return name


def check_address(text: str) -> str:
    """Return an address as it is stored: in ASCII, with a lower-case domain, in punycode if need be.

    Raises:
        SenderFault: it is no address of which a mail can come, for example because it is two addresses.
    """
    refuse_controls(text)
    text = text.strip()
    if not text:
        raise SenderFault("The address is empty. Write one such as news@example.org.")
    if len(_LONE.findall(text)) > 1:
        raise SenderFault(f"{text!r} has two addresses. Keep one: a mail comes from one sender.")
    if "@" not in text:
        raise SenderFault(f"{text!r} is no address, because it has no @-sign. Write one such as news@example.org.")
    if re.search(r"\s", text):
        raise SenderFault(f"There is a space in the address {text!r}. {EXAMPLE}")
    if "<" in text or ">" in text:
        raise SenderFault(f"The angle brackets of {text!r} do not enclose one address. {EXAMPLE}")
    _refuse_smtputf8(text)
    return _validate(text)


def _refuse_smtputf8(text: str) -> None:
    local = text.rpartition("@")[0]
    if not local.isascii():
        letter = next(char for char in local if not char.isascii())
        raise SenderFault(
            f"The letter {letter} is before the @-sign of {text}. Not every mail server accepts such an address "
            "(SMTPUTF8), so choose an address that has only ASCII letters there."
        )


def _validate(text: str) -> str:
    # A site may send inside its own network, so a domain need not be one of the Internet.
    reserved = _RESERVED.search(text)
    checked = _RESERVED.sub("example", text)
    try:
        valid = validate_email(checked, check_deliverability=False, strict=True, globally_deliverable=False)
    except EmailNotValidError as exc:
        reason = str(exc).rstrip(".")
        raise SenderFault(f"{text} is no address: {reason}. Write one such as news@example.org.") from exc
    domain = valid.ascii_domain.removesuffix("example") + reserved[0].lower() if reserved else valid.ascii_domain
    return f"{valid.local_part}@{domain}"


def refuse_local(address: str) -> None:
    """Refuse a checked address that exists on this machine only, such as ``webmaster@localhost``.

    Raises:
        SenderFault: nobody outside can answer to it, and many servers accept no mail from it.
    """
    domain = address.rpartition("@")[2]
    if "." not in domain or _NOWHERE.search(domain):
        raise SenderFault(
            f"Nobody can answer to {address}, because {domain!r} is no domain of the Internet. Many mail servers "
            "refuse mail from it. Write an address of your own domain, such as news@example.org."
        )
