"""The segments and the percentage of a progress bar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.models import Batch, BatchStatus
from batches.progress import Snapshot
from batches.web.progressbar import find_colour, make_card, make_segments, say_outcome, say_status, say_summary
from batches.wording import percent_done


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


@pytest.mark.parametrize(
    ("status", "counts", "words", "colour"),
    [
        (BatchStatus.COMPLETED, {"sent": 10}, "Completed", "completed"),
        (BatchStatus.COMPLETED, {"sent": 8, "failed": 2}, "Completed, 2 failed", "incomplete"),
        (BatchStatus.COMPLETED, {"sent": 9, "unknown": 1}, "Completed, 1 not certain", "incomplete"),
        (BatchStatus.FAILED, {"failed": 10}, "Failed", "failed"),
        (BatchStatus.CANCELLED, {"cancelled": 10}, "Cancelled", "cancelled"),
        (BatchStatus.PROCESSING, {"failed": 2}, "Processing", "processing"),
    ],
)
def test_status_says_when_not_everybody_has_got_it(
    status: BatchStatus, counts: dict[str, int], words: str, colour: str
) -> None:
    now = snapshot(total=10, **counts)
    now["status"] = status
    assert (say_status(now), find_colour(now)) == (words, colour)


@pytest.mark.parametrize(
    ("status", "counts", "summary", "outcome"),
    [
        (BatchStatus.DRAFT, {}, "6,000 recipients", ""),
        (BatchStatus.PROCESSING, {"sent": 40}, "40 of 6,000 done", ""),
        (BatchStatus.CANCELLED, {"cancelled": 6000}, "0 of 6,000 sent", "6,000 not sent"),
        (
            BatchStatus.COMPLETED,
            {"sent": 5000, "failed": 226, "unknown": 3, "suppressed": 771},
            "5,000 of 6,000 sent",
            "226 failed, 3 not certain, 771 not sent",
        ),
    ],
)
def test_end_says_what_came_out(status: BatchStatus, counts: dict[str, int], summary: str, outcome: str) -> None:
    now = snapshot(total=6000, **counts)
    now["status"] = status
    assert (say_summary(now), say_outcome(now)) == (summary, outcome)


def test_cancelled_emails_are_not_done() -> None:
    now = snapshot(total=6000, sent=1500, cancelled=4500)
    now["status"] = BatchStatus.CANCELLED
    assert percent_done(now) == 25
