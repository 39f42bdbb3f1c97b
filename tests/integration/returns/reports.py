"""Make Returns of a batch, with its counts, as the recording does."""

from __future__ import annotations

from collections.abc import Iterable

from batches.models import Batch, Return, ReturnClass, ReturnKind


def add_reports(
    batch: Batch,
    rows: Iterable[int],
    return_class: ReturnClass = ReturnClass.GONE,
    *,
    kind: ReturnKind = ReturnKind.BOUNCED,
    domain: str = "example.com",
    text: str = "550 No such user here",
    status_code: str = "5.1.1",
) -> None:
    """Add a report about the email of each row, and set the counts of the batch."""
    for email in batch.emails.filter(row__in=rows):
        Return.objects.create(
            batch=batch,
            email=email,
            kind=kind,
            return_class=return_class,
            domain=domain,
            text=text,
            status_code=status_code,
            door="imap",
            event_key=f"{email.pk}-{Return.objects.count()}",
        )
    of_kind = Return.objects.filter(batch=batch)
    batch.returned_count = of_kind.filter(kind=ReturnKind.BOUNCED).values("email").distinct().count()
    batch.complained_count = of_kind.filter(kind=ReturnKind.COMPLAINED).values("email").distinct().count()
    batch.save(update_fields=["returned_count", "complained_count"])
