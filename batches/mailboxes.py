"""A mailbox is a display name with an address, as in ``Name <name@example.org>`` (RFC 5322 section 3.4).

The text of a From or Reply-To value enters, as a person or a job has it. A Mailbox leaves, and ``str()`` makes the text
again. Nothing here knows what a header looks like on the wire: ``rendering.headers`` encodes it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Control characters, and the two line separators of Unicode. One of them in a header could begin another header."""

_REORDERING = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
"""Characters that change the reading order of others (Unicode Standard Annex 9, section 2). They can make one address
look like another."""

_LOCALHOST = re.compile(r"(?:^|[.@])localhost(?:\.localdomain)?$", re.IGNORECASE)

_ASCII_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

EXAMPLE = "Write it like Northtown School <news@example.org>."
"""What to write instead of a mailbox that can't be read."""

_ANGLE = re.compile(r"(.*)<([^<>]*)>", re.DOTALL)
_COMMENT = re.compile(r"(\S+@\S+)\s*\((.*)\)", re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_TO_QUOTE = re.compile(r'[][()<>:;@\\,."]|  ')
"""What is not allowed in a phrase outside quotation marks (RFC 5322 section 3.2.3), and a double space, which would
become one."""


class SenderFault(ValueError):
    """A sender can't be used. The message says why, and what to do."""


class Mailbox(NamedTuple):
    """A display name with an address."""

    name: str
    """Empty if there is none. Any letters, but no control characters."""
    address: str
    """In ASCII: a domain with other letters is in punycode (RFC 5891)."""

    def __str__(self) -> str:
        """Return the mailbox as a From value, in Unicode. ``parse_mailbox`` reads it back."""
        if not self.name:
            return self.address
        return f"{quote_name(self.name)} <{self.address}>"

    @property
    def shown(self) -> str:
        """The mailbox as a person reads it, without the quotation marks and backslashes of a header."""
        return f"{self.name} <{self.address}>" if self.name else self.address

    @property
    def domain(self) -> str:
        """The address after its last @-sign."""
        return self.address.rpartition("@")[2]


def is_on_localhost(address: str) -> bool:
    """Whether an address or a From value is one on this machine, such as ``webmaster@localhost``."""
    return bool(_LOCALHOST.search(split_mailbox(address).address))


def quote_name(name: str) -> str:
    """Return a name as RFC 5322 writes it in a header: in quotation marks if it has special characters."""
    if not _TO_QUOTE.search(name) and name == name.strip():
        return name
    return '"' + name.replace("\\", r"\\").replace('"', r"\"") + '"'


def parse_mailbox(text: str) -> Mailbox:
    """Read a From value. Lenient, because a job of an older release must still be sent.

    ``split_mailbox`` says what the parts are. The address is not checked further than the wire needs it.

    Raises:
        SenderFault: there is no address, it is not in ASCII, or there is an ASCII control character.
    """
    if _ASCII_CONTROL.search(text):
        raise SenderFault(f"{text!r} has a control character. {EXAMPLE}")
    name, address = split_mailbox(text)
    if "," in address:  # an older release accepted a@example.org, b@example.org and took the first
        address = address.partition(",")[0].strip()
    if "@" not in address or not address.isascii():
        raise SenderFault(f"{text!r} is not a sender. {EXAMPLE}")
    return Mailbox(name, address)


def split_mailbox(text: str) -> Mailbox:
    """Divide a From value into its name and its address, without a check of either.

    The name may be in quotation marks or not, and have any signs: a comma in it needs no quotation marks, because a
    sender is one mailbox. ``address (name)`` is the form of RFC 822.
    """
    text = text.strip()
    if match := _ANGLE.fullmatch(text):
        return Mailbox(_unquote(match[1].strip()), match[2].strip())
    if match := _COMMENT.fullmatch(text):
        return Mailbox(match[2].strip(), match[1])
    return Mailbox("", text)


def refuse_controls(text: str) -> None:
    """Refuse a text that could end a header line, that no header can hold, or that is read in another order.

    Raises:
        SenderFault: the text has half of a character, a control character, or one that changes the reading order.
    """
    if match := CONTROL.search(text):
        raise SenderFault(f"There is a control character (U+{ord(match[0]):04X}) in the sender. Type it again.")
    if match := _REORDERING.search(text):
        raise SenderFault(
            f"There is an invisible character (U+{ord(match[0]):04X}) in the sender that changes the reading order. "
            "Type it again."
        )
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise SenderFault("There is half of a character in the sender. Type it again, and save it in UTF-8.")


def _unquote(phrase: str) -> str:
    """Remove quotation marks and escapes: ``"Smith, \\"Jo\\"" Inc`` -> ``Smith, "Jo" Inc``."""
    return _QUOTED.sub(lambda match: _ESCAPE.sub(r"\1", match[1]), phrase)
