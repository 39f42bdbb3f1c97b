"""Let a command say how a file is read, and say on a terminal what was chosen where the file left a choice.

The options of a command enter. Reading options leave, and a sentence about a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from batches.files.findings import Reading
from batches.intake import ReadingOptions
from batches.models import Batch, SharedAddresses


def add_arguments(parser: CommandParser) -> None:
    group = parser.add_argument_group("how the file is read", "Each is found from the file if it is left out.")
    group.add_argument("--encoding", metavar="NAME", help="The encoding, such as cp1252.")
    group.add_argument("--delimiter", metavar="SIGN", help="What separates the columns: , ; | or a tab.")
    group.add_argument("--sheet", metavar="NAME", help="The sheet of a spreadsheet.")
    group.add_argument("--header-row", type=int, metavar="LINE", help="The line of the headings. 0: there are none.")
    group.add_argument(
        "--address-column",
        type=int,
        action="append",
        metavar="N",
        help="The address column, counted from 0. Repeat it to mail each address of a row.",
    )
    group.add_argument("--hidden-rows", action="store_true", help="Take the rows that the sheet hides too.")
    group.add_argument("--split-cells", action="store_true", help="Mail each address of a cell that holds several.")
    group.add_argument(
        "--shared-addresses",
        choices=SharedAddresses.values,
        default=SharedAddresses.FIRST,
        help="Of rows with one address: send to the first row only (the default), one mail for each row, or all rows "
        "together in one mail.",
    )


def read_options(options: Mapping[str, Any]) -> ReadingOptions:
    """Return the reading options of a command line. An option that was left out is found from the file."""
    columns = options["address_column"]
    return ReadingOptions(
        encoding=options["encoding"],
        delimiter=options["delimiter"],
        sheet=options["sheet"],
        header_row=options["header_row"],
        address_indexes=tuple(columns) if columns else None,
        hidden_rows=options["hidden_rows"],
        split_cells=options["split_cells"],
    )


def say_reading(batch: Batch) -> str:
    """Say what was taken where the file left a choice, in sentences; an empty text if it left none."""
    reading = Reading.from_json(batch.reading)
    said = []
    if len(reading.sheets) > 1:
        said.append(f"The list is the sheet {reading.sheet!r} of {len(reading.sheets)}.")
    if len(reading.address_columns) > 1:
        used = " and ".join(repr(column.heading) for column in reading.address_columns if column.is_used)
        said.append(f"The mail goes to {used} of {len(reading.address_columns)} columns with addresses.")
    if reading.hidden_count and not reading.hidden_rows:
        said.append(f"Rows that the sheet hides were left out: {reading.hidden_count:,}.")
    if reading.split_count and not reading.split_cells:
        said.append(f"Cells with several addresses were rejected: {reading.split_count:,}.")
    return " ".join(said)
