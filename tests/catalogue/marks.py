"""The marks of a job's progress, for the chart of its batch. A job and its counts enter."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from batches.models import EmailJob, ProgressMark


def make_marks(job: EmailJob, done: Mapping[str, int], *, factor: int = 1000) -> None:
    """Give a job marks of its progress, so that its page has a chart."""
    assert job.started_at is not None
    shares = (0.05, 0.15, 0.3, 0.34, 0.5, 0.75, 0.8, 0.9, 1.0)
    ProgressMark.objects.bulk_create(
        ProgressMark(
            job=job,
            at=job.started_at + timedelta(seconds=13 * number),
            **{f"{name}_count": round(factor * count * share) for name, count in done.items()},
        )
        for number, share in enumerate(shares, start=1)
    )
