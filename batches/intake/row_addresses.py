"""Find the addresses of one row, in one column or in several. Pure.

The cells of a row enter. Its addresses leave, with the cells that hold a bad one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from batches.files.addresses import SPACES, BadAddress, SeveralAddresses, find_address, match_plain
from batches.files.clinging import remove_invisible
from batches.files.findings import Reading


class NoAddress(ValueError):
    """The row has no address. ``str()`` is a sentence that says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowAddresses:
    """The addresses of one row: one or more, each once."""

    addresses: tuple[str, ...]
    bad_cells: list[str] | None
    """The cells of the row for its correction, if an address column holds something else than an address.

    The good addresses are left out, so that nobody gets a second mail from the corrected row.
    """
    reason: str
    """What is wrong with the bad cells: a sentence."""


def find_addresses(cells: Sequence[str], indexes: Sequence[int], reading: Reading) -> RowAddresses:
    """Find the addresses in the address columns of a row, and count what is noteworthy into the reading.

    Raises:
        NoAddress: no address column holds an address.
    """
    filled = [index for index in indexes if remove_invisible(cells[index]).strip()] or indexes[:1]
    addresses: dict[str, str] = {}
    bad: dict[int, str] = {}
    for index in filled:
        try:
            for address in _read_cell(cells[index], reading):
                addresses.setdefault(address.casefold(), address)
        except BadAddress as exc:
            bad[index] = str(exc)
    reason = " ".join(dict.fromkeys(bad.values()))
    if not addresses:
        raise NoAddress(reason)
    return RowAddresses(
        addresses=tuple(addresses.values()),
        bad_cells=_leave_out(cells, set(indexes) - set(bad)) if bad else None,
        reason=reason,
    )


def _read_cell(cell: str, reading: Reading) -> tuple[str, ...]:
    """Return the address of a cell, or all addresses of it if the reading splits cells.

    Raises:
        BadAddress: the cell holds no address, or several that are not to be split.
    """
    local, at, domain = cell.strip(SPACES).rpartition("@")
    if match_plain(plain := local + at + domain.lower()):  # the most frequent reason why a row is not plain
        return (plain,)
    try:
        found = find_address(cell)
    except SeveralAddresses as exc:
        reading.split_count += 1
        if not reading.split_cells:
            raise
        return exc.addresses
    reading.cleaned_count += found.is_cleaned
    return (found.address,)


def _leave_out(cells: Sequence[str], indexes: Iterable[int]) -> list[str]:
    left_out = set(indexes)
    return ["" if index in left_out else cell for index, cell in enumerate(cells)]
