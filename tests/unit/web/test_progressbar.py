"""The segments and the percentage of a progress bar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.models import Batch, BatchStatus
from batches.progress import Snapshot
from batches.web.progressbar import make_card, make_segments


def snapshot(**counts: int) -> Snapshot:
    """Make a snapshot whose other counts are 0 and whose sums are correct."""
    done = {"sent": 0, "failed": 0, "unknown": 0, "suppressed": 0} | counts
    cancelled, total = done.pop("cancelled", 0), done.pop("total")
    processed = sum(done.values()) + cancelled
    return Snapshot(
        batchId=1,
        status=BatchStatus.PROCESSING,
        processed=processed,
        total=total,
        sent=done["sent"],
        failed=done["failed"],
        unknown=done["unknown"],
        suppressed=done["suppressed"],
        cancelled=cancelled,
        pending=total - processed,
        resending=0,
        returned=0,
        complained=0,
        ratePerSecond=0.0,
        etaSeconds=None,
        waitingFor=None,
        doneAt=None,
        finish="",
        sequence=1,
    )


def test_segments_follow_each_other_when_all_outcomes_occur() -> None:
    segments = make_segments(snapshot(total=200, sent=100, failed=20, unknown=10, suppressed=4, cancelled=6))
    assert [(segment.name, segment.begin, segment.width, segment.count) for segment in segments] == [
        ("sent", 0.0, 50.0, 100),
        ("failed", 50.0, 10.0, 20),
        ("unknown", 60.0, 5.0, 10),
        ("not-sent", 65.0, 5.0, 10),
    ]


def test_bar_shows_the_progress_of_a_replay_of_all() -> None:
    now = snapshot(total=10, sent=10)
    now["processed"], now["pending"], now["resending"] = 3, 7, 7
    assert [(segment.name, segment.count) for segment in make_segments(now) if segment.count] == [("sent", 3)]


def test_bar_is_empty_when_the_batch_is_empty() -> None:
    card = make_card(Batch(), snapshot(total=0))
    assert card.percent == 0
    assert all(segment.width == 0 for segment in card.segments)


@pytest.mark.parametrize(("sent", "percent"), [(0, 0), (999_999, 99), (1_000_000, 100)])
def test_percentage_is_100_only_when_all_emails_are_done(sent: int, percent: int) -> None:
    assert make_card(Batch(), snapshot(total=1_000_000, sent=sent)).percent == percent


@given(st.lists(st.integers(0, 10**6), min_size=6, max_size=6))
def test_segments_never_leave_the_bar(counts: list[int]) -> None:
    names = ("sent", "failed", "unknown", "suppressed", "cancelled")
    segments = make_segments(snapshot(total=sum(counts), **dict(zip(names, counts, strict=False))))
    assert all(segment.begin >= 0 and segment.begin + segment.width <= 100.01 for segment in segments)
