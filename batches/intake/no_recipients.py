"""Refuse a list without a recipient, in a sentence that says why each of its first rows is bad."""

from __future__ import annotations

from batches.files.addresses import OR_IN_THE_REVIEW
from batches.files.findings import Reading
from batches.intake.copying import Counts
from batches.intake.errors import NoRecipients
from batches.models import Batch, BatchSource

SHOWN_ROWS = 3
SEARCHED_ROWS = 100
"""In how many rejected rows an @-sign is looked for, to tell a wrong column from wrong addresses."""


def refuse_if_no_recipients(batch: Batch, counts: Counts, *, is_reviewed: bool = False) -> None:
    """Refuse a batch into which rows were loaded, if none of them became an email.

    Args:
        is_reviewed: A person sees the batch next. It is kept if the review can offer another reading that has
            recipients: one with hidden rows, or with each address of a cell.

    Raises:
        NoRecipients: within the caller's transaction, so that the caller keeps nothing.
    """
    if not counts.total and not (is_reviewed and _has_another_reading(Reading.from_json(batch.reading))):
        raise NoRecipients(_explain(batch))


def _has_another_reading(reading: Reading) -> bool:
    return bool((reading.hidden_count and not reading.hidden_rows) or (reading.split_count and not reading.split_cells))


def _explain(batch: Batch) -> str:
    if wrong_column := _explain_columns(batch):
        return wrong_column
    first = list(batch.rejected_rows.order_by("line", "id")[:SHOWN_ROWS])
    if first:
        is_file = batch.source == BatchSource.UPLOAD
        what, again = ("Line", "upload it again") if is_file else ("Recipient", "send it again")
        reasons = " ".join(f"{what} {row.line}: {row.reason.replace(OR_IN_THE_REVIEW, '')}" for row in first)
        count = batch.rejected_rows.count()
        more = f" {count - len(first):,} more are rejected too." if count > len(first) else ""
        return f"The list has no row that a mail can be sent to. {reasons}{more} Correct the list and {again}."
    if batch.source == BatchSource.USERS:
        return "No active user of this choice has an email address. Give a user an address in the admin."
    return "The file has a header and no recipients. Add a line for each recipient below the header."


def _explain_columns(batch: Batch) -> str:
    """Say that a person chose columns without addresses, and which one has some. Empty if that is not the fault."""
    if "address_indexes" not in Reading.from_json(batch.reading).chosen:
        return ""
    rows = list(batch.rejected_rows.order_by("line", "id").values_list("raw", flat=True)[:SEARCHED_ROWS])
    with_at = {index for raw in rows for index, cell in enumerate(raw) if "@" in cell}
    if not rows or with_at.intersection(batch.address_indexes):
        return ""
    names = " and ".join(f"“{_name_column(batch, index)}”" for index in batch.address_indexes)
    holds = "column {} holds" if len(batch.address_indexes) == 1 else "columns {} hold"
    others = [_name_column(batch, index) for index in sorted(with_at) if index < len(batch.columns)]
    advice = f"Choose another, such as “{others[0]}”." if others else "Choose another."
    return f"The {holds.format(names)} no addresses. {advice}"


def _name_column(batch: Batch, index: int) -> str:
    return batch.columns[index] or f"column {index + 1}"
