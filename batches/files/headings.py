"""Decide which heading means the email address, and name the merge field of every other column. Pure.

The headings of a file enter. Merge field names leave, one for each heading, unique and usable in a template.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache

from batches.files.heading_words import (
    AMBIGUOUS_HEADINGS,
    CONTACT_WORDS,
    EMAIL_HEADINGS,
    KNOWN_HEADINGS,
    PRIMARY_WORDS,
    RESERVED_WORDS,
    SECONDARY_WORDS,
)
from batches.names import COMPARED_MAX_CHARS, make_key, remove_accents

ADDRESS_KEY = "email"
"""The name by which a template shows the address. No merge field may match it."""

NAME_MAX_LENGTH = 60

HEADING_MAX_WORDS = 6
HEADING_MAX_LENGTH = 100
"""A longer text is a sentence, even if it speaks of email."""

_EMAIL_KEYS = frozenset(map(make_key, EMAIL_HEADINGS.split()))
_LONGEST_KEYS_FIRST = sorted(_EMAIL_KEYS, key=len, reverse=True)
_AMBIGUOUS_KEYS = frozenset(map(make_key, AMBIGUOUS_HEADINGS.split()))
_PRIMARY_KEYS = frozenset(map(make_key, PRIMARY_WORDS.split()))
_SECONDARY_KEYS = tuple(map(make_key, SECONDARY_WORDS.split()))
_CONTACT_KEYS = frozenset(map(make_key, CONTACT_WORDS.split()))
_KNOWN_KEYS = frozenset(map(make_key, KNOWN_HEADINGS.split()))
_RESERVED = frozenset(RESERVED_WORDS.split())

_ASIDE = re.compile(r"<[^<>]*>|\([^()]*\)|\[[^\[\]]*\]")
"""A note in a heading: "E-Mail (required)", "E-Mail <office@example.com>"."""
_NUMBER = re.compile(r"\d+")
_CAPITAL_INSIDE = re.compile(r"(?<=[a-z])(?=[A-Z])")


class HeadingRank(IntEnum):
    """How plainly a heading names the column to which the mail goes. The lowest is the plainest."""

    PLAIN = 0
    """It means the address and nothing else: "E-Mail"."""
    NOTED = 1
    """It means an address, with a number, a note or a word that says nothing against it: "Email 1", "E-Mail Kunde"."""
    AMBIGUOUS = 2
    """It means an email address or a postal address: "Adresse"."""
    SECONDARY = 3
    """It means an address that is not the first choice: "E-Mail (alt)", "Work email", "E-Mail Mutter"."""
    NONE = 4
    """It does not mean an address."""


@lru_cache(maxsize=4096)
def rank_heading(heading: str) -> HeadingRank:
    """Say how plainly a heading names the column of the email address."""
    if len(heading) > HEADING_MAX_LENGTH:
        return HeadingRank.NONE
    text = _ASIDE.sub(" ", heading)
    words = _split_words(text)
    if "@" in text or len(words) > HEADING_MAX_WORDS:
        return HeadingRank.NONE
    aside = _split_words(" ".join(note for note in _ASIDE.findall(heading) if "@" not in note))
    plain = [word for word in words if word not in _PRIMARY_KEYS]
    if "".join(plain) in _EMAIL_KEYS or "".join(words) in _EMAIL_KEYS:
        rest, has_extra = aside, bool(aside)
    elif "@" in heading:  # "E-Mail <office@example.com>" is a heading, "Ann, E-Mail <ann@example.com>" is not
        return HeadingRank.NONE
    elif (others := _remove_email_word(plain)) is not None:
        rest, has_extra = [*others, *aside], True
    elif "".join(words) in _AMBIGUOUS_KEYS:
        return HeadingRank.AMBIGUOUS
    else:
        return HeadingRank.NONE
    if any(word.startswith(_SECONDARY_KEYS) for word in rest):
        return HeadingRank.SECONDARY
    has_extra = has_extra and not all(word in _PRIMARY_KEYS for word in rest)
    return HeadingRank.NOTED if has_extra or _NUMBER.search(heading) else HeadingRank.PLAIN


def is_email_heading(heading: str) -> bool:
    """Say whether a heading means the email address and nothing else, as "Email 1" and "E-Mail (required)" do."""
    return "".join(_split_words(_ASIDE.sub(" ", heading))) in _EMAIL_KEYS or rank_heading(heading) == HeadingRank.PLAIN


def is_known_heading(heading: str) -> bool:
    """Say whether a heading is one that many lists have, such as "Vorname"."""
    return make_key(_NUMBER.sub("", heading)) in _KNOWN_KEYS


def names_contact(cell: str) -> bool:
    """Say whether a cell only says whose address is beside it, as "Contact" and "E-Mail" above a list do."""
    return make_key(cell) in _CONTACT_KEYS or is_email_heading(cell)


def _split_words(heading: str) -> list[str]:
    """Return the keys of the words of a heading, without numbers. "emailAddress" has two words."""
    parts = re.split(r"[^\w]+|_|\d+", _CAPITAL_INSIDE.sub(" ", heading))
    return [key for part in parts if (key := make_key(part))]


def _remove_email_word(words: Sequence[str]) -> list[str] | None:
    """Return the words of a heading without those that mean an email address; None if none do.

    In a script that has no spaces, or in a compound such as "Elternmail", the word is a part of another.
    """
    for length in range(len(words), 0, -1):
        for begin in range(len(words) - length + 1):
            if "".join(words[begin : begin + length]) in _EMAIL_KEYS:
                return [*words[:begin], *words[begin + length :]]
    for place, word in enumerate(words):
        for key in _LONGEST_KEYS_FIRST:
            if word.endswith(key) if key.isascii() else key in word:
                return [*words[:place], word.replace(key, ""), *words[place + 1 :]]
    return None


def name_merge_fields(headings: Sequence[str], positions: Sequence[int]) -> list[str]:
    """Name a merge field for each heading; the names are unique identifiers.

    "First Name" becomes first_name, a second "name" becomes name_2, and a blank heading at position 3 becomes column_3.
    Letters of other scripts stay: "Имя" becomes имя.
    """
    taken: set[str] = set()
    names: list[str] = []
    for heading, position in zip(headings, positions, strict=True):
        stem = _make_identifier(heading) or f"column_{position}"
        name, number = stem, 2
        while name in taken or make_key(name) == ADDRESS_KEY:
            name, number = f"{stem}_{number}", number + 1
        taken.add(name)
        names.append(name)
    return names


def is_merge_field(name: str) -> bool:
    """Say whether a template can use this name for a merge field."""
    return name.isidentifier() and name.casefold() not in _RESERVED and make_key(name) not in ("", ADDRESS_KEY)


def _make_identifier(heading: str) -> str:
    """Join the letters and digits of a heading with underscores.

    Latin letters lose their accents, because people write them with and without. Other scripts keep theirs.
    """
    plain = remove_accents(heading)
    text = plain if plain.isascii() else unicodedata.normalize("NFKC", heading[:COMPARED_MAX_CHARS]).lower()
    name = "".join(char if f"_{char}".isidentifier() else " " for char in text.replace("_", " "))
    name = "_".join(name.split())[:NAME_MAX_LENGTH].strip("_")
    if not make_key(name):
        return ""
    if not name.isidentifier():
        name = f"_{name}"
    return f"{name}_" if name in _RESERVED else name
