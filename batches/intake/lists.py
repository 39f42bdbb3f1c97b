"""Turn a list that a program gave into records: each recipient is an address, or a mapping with merge fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from batches.files.addresses import is_address
from batches.files.errors import ListRefused
from batches.files.headings import ADDRESS_KEY, HeadingRank, rank_heading
from batches.files.layout import COLUMNS_MAX, Layout, make_layout
from batches.files.reading import CountedRecords, RejectedRecord
from batches.names import make_key

SAMPLE_RECIPIENTS = 50
"""How many recipients show whether a name that may mean a postal address means the email address."""

SHOWN_NAMES = 8

# JSON can spell half of a surrogate pair, which UTF-8 can't. It becomes SUBSTITUTE, the control character for what
# can't be shown, and the row is then refused because of that character.
_HALF_SURROGATE = re.compile("[\ud800-\udfff]")

Recipients = Sequence[str | Mapping[str, str]]


def list_layout(recipients: Recipients) -> Layout:
    """Return the layout of a list: the address first, then each name of a mapping, in the order of appearance.

    The name ``email`` means the address. Without it the name that means it as a heading of a file does, as ``E-Mail``.

    Raises:
        ListRefused: the list is empty, no name means the address, there are too many, or one can't be shown.
    """
    if not recipients:
        raise ListRefused("The list of recipients is empty. Give it at least one address.")
    names = dict.fromkeys(name for item in recipients if isinstance(item, Mapping) for name in item)
    unprintable = next((name for name in names if not name.isprintable()), None)
    if unprintable is not None:
        raise ListRefused(f"The merge field {unprintable!r} has characters in its name that can't be shown. Rename it.")
    if len(names) > COLUMNS_MAX:
        raise ListRefused(
            f"The recipients have {len(names)} different merge fields. Reduce them to {COLUMNS_MAX} or fewer."
        )
    address_name = _find_address_name(recipients, list(names))
    address_key = make_key(address_name)
    columns = (address_name, *(name for name in names if make_key(name) != address_key))
    return make_layout(columns, address_index=0, has_header=True)


class ListRecords(CountedRecords):
    """The records of a list. Its line is the place in the list. A blank record is a recipient without an address."""

    def __next__(self) -> list[str]:
        cells = super().__next__()
        if any(cell.strip() for cell in cells):
            return cells
        raise RejectedRecord(cells=cells, reason="The recipient has no address. Give it one, or leave it out.")


def list_rows(recipients: Recipients, layout: Layout) -> Iterator[list[str]]:
    """Yield a record for each recipient. A merge field that a mapping lacks is blank."""
    address_name, *others = layout.columns
    address_key = make_key(address_name)
    for item in recipients:
        if isinstance(item, Mapping):
            # The mappings of one list may spell the name of the address in several ways.
            address = item.get(address_name) or next((item[name] for name in item if make_key(name) == address_key), "")
            cells = [address, *(item.get(name, "") for name in others)]
        else:
            cells = [item, *[""] * len(others)]
        yield [_HALF_SURROGATE.sub("\x1a", str(cell)) for cell in cells]


def _find_address_name(recipients: Recipients, names: Sequence[str]) -> str:
    """Find the name that means the address: ``email``, or else the plainest, or else the first.

    Raises:
        ListRefused: there are names, and none means the address.
    """
    if ADDRESS_KEY in names or not names:
        return ADDRESS_KEY
    ranks = {name: rank_heading(name) for name in names}
    sample = [item for item in recipients if isinstance(item, Mapping)][:SAMPLE_RECIPIENTS]
    meant = [
        name
        for name, rank in ranks.items()
        if rank != HeadingRank.NONE
        and (rank != HeadingRank.AMBIGUOUS or any(is_address(str(item.get(name, ""))) for item in sample))
    ]
    if meant:
        return min(meant, key=lambda name: ranks[name])
    if any(isinstance(item, str) for item in recipients):
        return ADDRESS_KEY
    shown = ", ".join(names[:SHOWN_NAMES])
    raise ListRefused(
        f"No recipient has an address under the name '{ADDRESS_KEY}'. The names are: {shown}. "
        f"Give each recipient its address as '{ADDRESS_KEY}'."
    )
