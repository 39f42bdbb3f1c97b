"""The words by which a search finds a person, and what a search asks for. Pure.

The cells of a recipient and the address enter, or what a user typed. Words or Terms leave. Both are compared without
case and accents. A Term of three characters and more may be anywhere in the words. A shorter one begins one of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from batches.names import remove_accents
from batches.people_names import find_name_columns

WORDS_MAX_CHARS = 600
"""How long the words of one person may be: an address, and the names of some lists."""

QUERY_MAX_CHARS = 100
TERMS_MAX = 6
"""So many words of a query are compared. Each makes the answer smaller."""

KEY_CHARS = 3
"""How long the search keys are that ``batches_search_keys`` makes of the words."""

_BREAK = "  "
"""What is before each word: two spaces, so that a key holds the first letter alone, and one the first two."""

_WORD = re.compile(r"[^\W_]+")
_MARKS = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Signs that nobody sees. Some mail programs put them around an address that is copied."""
_SPELLED_OUT = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "Å": "Aa", "Ø": "Oe"}
)
"""How the languages that have these letters write them without. Müller is found as Muller and as Mueller."""


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a query, in each spelling by which it is looked for."""

    spellings: tuple[str, ...]

    @property
    def keys(self) -> tuple[tuple[str, ...], ...]:
        """The search keys of each spelling."""
        return tuple(_cut(text) for text in self.spellings)

    @property
    def likes(self) -> list[str]:
        """The patterns for LIKE of each spelling, which are exact where the keys are not."""
        return [f"%{_escape(text)}%" for text in self.spellings]


def make_words(merge_fields: Sequence[str], cells: Sequence[str], *, address: str) -> str:
    """Return the words of one recipient: the names in its cells, and the address, each after a break."""
    return f"{make_name_words(merge_fields, cells)}{_BREAK}{fold_address(address)} "


def make_name_words(merge_fields: Sequence[str], cells: Sequence[str]) -> str:
    """Return the words of the names in the cells of one recipient, each after a break. Empty: there is no name."""
    places = find_name_columns(tuple(merge_fields)).places
    texts = [str(cells[place]) for place in places if place < len(cells)]
    found: dict[str, None] = {}
    for text in texts:
        for spelled in dict.fromkeys((text, text.translate(_SPELLED_OUT))):
            found |= dict.fromkeys(_WORD.findall(remove_accents(spelled)))
    return "".join(f"{_BREAK}{word}" for word in found)[:WORDS_MAX_CHARS]


def fold_address(address: str) -> str:
    """Return an address as searches compare it."""
    return remove_accents(address)


def drop_marks(text: str) -> str:
    """Return an address without signs that nobody sees."""
    return _MARKS.sub("", text)


def read_query(text: str) -> list[Term]:
    """Return the Terms of what a user typed. None: there is nothing to look for."""
    found: dict[Term, None] = {}
    for typed in text[:QUERY_MAX_CHARS].split():
        part = drop_marks(typed) if "@" in typed else typed
        spellings = list(dict.fromkeys((part, part.translate(_SPELLED_OUT))))
        if "@" in part:  # a part of an address, whose signs count
            found[Term(tuple(dict.fromkeys(map(_begin_if_short, map(remove_accents, spellings)))))] = None
            continue
        pieces = [_WORD.findall(remove_accents(spelling)) for spelling in spellings]
        for variants in zip(*pieces, strict=False):
            found[Term(tuple(dict.fromkeys(map(_begin_if_short, variants))))] = None
    return list(found)[:TERMS_MAX]


def has_terms(words: str, terms: Sequence[Term]) -> bool:
    """Whether the words of a person have every term, in one of its spellings."""
    return all(any(text in words for text in term.spellings) for term in terms)


def combine_keys(terms: Sequence[Term]) -> list[list[str]]:
    """Return the sets of search keys of which a person must have one: one set for each choice of spellings."""
    return [sorted({key for keys in choice for key in keys}) for choice in product(*(term.keys for term in terms))]


def _begin_if_short(text: str) -> str:
    """Put the break before a text that is too short for a key, so that it is looked for where words begin."""
    return text if len(text) >= KEY_CHARS else _BREAK + text


def _cut(text: str) -> tuple[str, ...]:
    return tuple(text[place : place + KEY_CHARS] for place in range(len(text) - KEY_CHARS + 1))


def _escape(text: str) -> str:
    """Return a text as a part of a pattern for LIKE."""
    return re.sub(r"([\\%_])", r"\\\1", text)
