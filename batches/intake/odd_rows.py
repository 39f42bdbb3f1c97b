"""Count the emails of an import that the review points out: those with blank cells, or an address beyond ASCII.

The cells and addresses of emails enter. Their OddRows leave. They are counted while the rows go by, because a count of
the table would read every email of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest


@dataclass(frozen=True, kw_only=True, slots=True)
class OddRows:
    """How many emails leave each merge field blank, and how many have an address that needs SMTPUTF8 (RFC 6531)."""

    blank_counts: tuple[int, ...] = ()
    """In the order of the merge fields. The fields at the end may be missing: none is blank."""
    smtputf8_count: int = 0

    def __add__(self, other: OddRows) -> OddRows:
        pairs = zip_longest(self.blank_counts, other.blank_counts, fillvalue=0)
        return OddRows(
            blank_counts=tuple(first + second for first, second in pairs),
            smtputf8_count=self.smtputf8_count + other.smtputf8_count,
        )


NONE_ODD = OddRows()


def count_odd(cells: Sequence[Sequence[str]], addresses: Sequence[str] = ()) -> OddRows:
    """Count the odd ones of some emails. ``cells`` are those of their merge fields; all have the same number."""
    return OddRows(
        blank_counts=tuple(column.count("") for column in zip(*cells, strict=True)),
        smtputf8_count=sum(not address.isascii() for address in addresses),
    )
