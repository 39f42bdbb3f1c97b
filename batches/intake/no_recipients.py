"""Refuse a list without a recipient, in a sentence that says why each of its first rows is bad."""

from __future__ import annotations

from batches.files.addresses import OR_IN_THE_REVIEW
from batches.intake.copying import Counts
from batches.intake.errors import NoRecipients
from batches.models import Batch, BatchSource

SHOWN_ROWS = 3


def refuse_if_no_recipients(batch: Batch, counts: Counts) -> None:
    """Refuse a batch into which rows were loaded, if none of them became an email.

    Raises:
        NoRecipients: within the caller's transaction, so that the caller keeps nothing.
    """
    if not counts.total:
        raise NoRecipients(_explain(batch))


def _explain(batch: Batch) -> str:
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
