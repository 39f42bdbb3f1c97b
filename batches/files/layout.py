"""The layout of a list: its columns, which of them hold the address, and the merge fields of the others. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from batches.files.headings import name_merge_fields

COLUMNS_MAX = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How the records of one file are read."""

    columns: tuple[str, ...]
    """The headings of the columns that count, or invented ones if the file has no header.

    A column without heading and content does not count.
    """
    address_indexes: tuple[int, ...]
    """The address columns: places in ``columns``. Each filled one of a row makes an email."""
    merge_fields: tuple[str, ...]
    """One for each column except the address, in the order of the file.

    If there are several address columns, there is one for each of them too, so that an email says where it was from.
    """
    has_header: bool
    width: int
    """The number of cells in a full record of the file."""
    kept: tuple[int, ...] | None = None
    """The place in the file of each of ``columns``. None means that every column counts.

    Only ``open_records`` needs it. The records that it gives have the cells of ``columns`` and no others.
    """

    @property
    def address_index(self) -> int:
        """The first address column."""
        return self.address_indexes[0]


def make_layout(
    columns: Sequence[str],
    *,
    address_index: int,
    has_header: bool,
    more_address_indexes: tuple[int, ...] = (),
    kept: tuple[int, ...] | None = None,
    width: int | None = None,
) -> Layout:
    """Make a layout with a merge field for each column except the address.

    Without ``kept`` every column counts. A column without heading is named for its place in the file.
    """
    places = kept or tuple(range(len(columns)))
    indexes = [index for index in range(len(columns)) if more_address_indexes or index != address_index]
    names = name_merge_fields([columns[index] for index in indexes], [places[index] + 1 for index in indexes])
    width = len(columns) if width is None else width
    return Layout(
        columns=tuple(columns),
        address_indexes=(address_index, *more_address_indexes),
        merge_fields=tuple(names),
        has_header=has_header,
        width=width,
        kept=None if places == tuple(range(width)) else places,
    )
