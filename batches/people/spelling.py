"""The spellings of one address: how a list stores it, and how other text may hold it. Pure.

An address enters, as a person typed it. The form in which an import stores it leaves, with a pattern that finds it in
cells, replies and JSON. ``ann+club@example.org`` is another address than ``ann@example.org``, and so is
``joann@example.org``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property

from batches.files.addresses import BadAddress, normalise_address

MASK = "***"
"""What replaces the address inside other text. Shorter than any address, so that it fits in every column."""

# Not in the middle of a longer address, but after an escaped sign of a link (%20) or of JSON (\n).
_BEFORE = r"(?:(?<![\w.+-])|(?<=%[0-9A-Fa-f][0-9A-Fa-f])|(?<=\\[bfnrt]))"
_AT = r"\s*(?:@|\uff20|%40|&#64;|&commat;|\(at\)|\[at\])\s*"
_AFTER = r"(?!\w|[.-]\w)"


class NotAnAddress(ValueError):
    """The text is no email address. The message says why, and what to do."""


@dataclass(frozen=True)
class Spelling:
    """One address, in the form in which an import stores it: local part as typed, domain in lower case and punycode."""

    stored: str

    @classmethod
    def read(cls, text: str) -> Spelling:
        """Read an address as a person types it: any case, a domain in Unicode or punycode, ``Name <address>``.

        Raises:
            NotAnAddress: it is none, or several.
        """
        try:
            return cls(normalise_address(text))
        except BadAddress as exc:
            raise NotAnAddress(str(exc)) from exc

    @cached_property
    def lowered(self) -> list[str]:
        """The values that ``lower(address)`` may have in PostgreSQL."""
        return sorted({self.stored.lower(), self.stored.casefold()})

    @cached_property
    def _parts(self) -> tuple[list[str], list[str]]:
        """The spellings of the local part, and of the domain."""
        local, _, domain = self.stored.rpartition("@")
        shown = _show_domain(domain)
        return _in_each_case(local), sorted({domain, *_in_each_case(shown)})

    @cached_property
    def likes(self) -> list[str]:
        """Patterns for LIKE on text in lower case. They find more than ``pattern``, and are cheaper."""
        locals_, domains = self._parts
        return sorted({f"%{_escape_like(a.lower())}%{_escape_like(b.lower())}%" for a in locals_ for b in domains})

    @cached_property
    def pattern(self) -> str:
        """A regular expression that finds the address in any text, for Python and for PostgreSQL, without regard to
        case."""
        locals_, domains = self._parts
        local, domain = ("|".join(map(re.escape, part)) for part in (locals_, domains))
        return f"{_BEFORE}(?:{local}){_AT}(?:{domain}){_AFTER}"

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.IGNORECASE)

    def is_in(self, text: str) -> bool:
        """Whether a text holds the address. Most texts lack even its domain, which is faster to find out."""
        lowered = text.lower()
        return any(domain.lower() in lowered for domain in self._parts[1]) and bool(self._compiled.search(text))

    def mask(self, text: str) -> str:
        """Return a text with MASK in place of the address."""
        return self._compiled.sub(MASK, text)


def _show_domain(domain: str) -> str:
    """Return a domain in Unicode (RFC 5891), as people read it."""
    try:
        return domain.encode("ascii").decode("idna")
    except UnicodeError:
        return domain


def _in_each_case(text: str) -> list[str]:
    """Return a text in the cases that PostgreSQL's regular expressions do not match by themselves beyond ASCII.

    Beyond ASCII, JSON that is stored as text may also hold each letter as an escape, such as the admin's log does.
    """
    if text.isascii():
        return [text]
    cases = {text, text.lower(), text.upper()}
    return sorted(cases | {json.dumps(case)[1:-1] for case in cases})


def _escape_like(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)
