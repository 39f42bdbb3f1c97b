"""Repair the text of a spreadsheet that was encoded twice before it came into its cells ("ZoÃ«"). See ``repairs``.

The records of a sheet enter. The same records leave with repaired cells, if the first of them show that it is needed.
"""

from __future__ import annotations

from batches.files.encoding import SAMPLES_MAX
from batches.files.findings import EncodingChoice
from batches.files.reading import ChangedRecords, Records
from batches.files.repairs import REPAIRS, TWICE, find_repair, repair_text
from batches.files.sample import take_sample

AS_IN_THE_FILE = "utf-8"
"""The name of the encoding by which a person chooses to have the cells as they are."""


class RepairedRecords(ChangedRecords):
    """The records of a sheet whose text was encoded twice."""

    def __init__(self, records: Records, repair: str) -> None:
        """``repair`` is one of the codecs of repairs.TWICE."""
        super().__init__(records)
        self._inner = REPAIRS[repair].inner

    def _change(self, cells: list[str]) -> list[str]:
        return [cell if cell.isascii() else repair_text(cell, self._inner) for cell in cells]


def find_cell_repair(records: Records, *, chosen: str | None) -> tuple[str, list[EncodingChoice]]:
    """Return the codec that repairs the cells, and the other choice with words both ways.

    The codec is empty if nothing is to be repaired: no word was encoded twice, or a person chose to have them as they
    are. Another codec of repairs.TWICE that a person chose is taken.
    """
    cells = [cell for record in take_sample(records.reader) for cell in record.cells if not cell.isascii()]
    words = list(dict.fromkeys(word for cell in cells for word in cell.split() if not word.isascii()))
    found = find_repair(words)
    used = chosen if chosen in TWICE else "" if chosen else found or ""
    codec = used or found
    if codec is None:
        return "", []
    pairs = [[word, repair_text(word, REPAIRS[codec].inner)] for word in words]
    samples = [pair[::-1] if used else pair for pair in pairs if pair[0] != pair[1]][:SAMPLES_MAX]
    other = AS_IN_THE_FILE if used else codec
    return used, [EncodingChoice(encoding=other, samples=samples)] if samples else []
