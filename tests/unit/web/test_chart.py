"""The bars of a chart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from batches.web.chart import BARS, HEIGHT, Counts, draw

BEGIN = datetime(2026, 3, 31, 9, 0, tzinfo=UTC)


def mark(seconds: float, sent: int, failed: int = 0) -> Counts:
    return Counts(at=BEGIN + timedelta(seconds=seconds), sent=sent, failed=failed)


def test_bars_hold_every_email_once() -> None:
    chart = draw(BEGIN, [mark(5, 400), mark(12, 1000, 60), mark(60, 3000, 300)])
    assert len(chart.bars) == BARS
    assert abs(sum(bar.sent for bar in chart.bars) - 3000) <= BARS / 2
    assert abs(sum(bar.failed for bar in chart.bars) - 300) <= BARS / 2
    assert (chart.begins_at, chart.ends_at) == (BEGIN, BEGIN + timedelta(seconds=60))


def test_highest_bar_is_as_high_as_the_picture() -> None:
    chart = draw(BEGIN, [mark(30, 30_000), mark(60, 30_300)])
    heights = [sum(piece.height for piece in bar.pieces) for bar in chart.bars]
    assert max(heights) == HEIGHT
    assert chart.most == 2000
    assert all(0 <= piece.y <= HEIGHT for bar in chart.bars for piece in bar.pieces)


def test_bars_are_empty_when_nothing_was_sent() -> None:
    chart = draw(BEGIN, [mark(60, 0)])
    assert all(not bar.pieces for bar in chart.bars)


def test_length_of_a_bar_is_said_in_a_fitting_unit() -> None:
    assert draw(BEGIN, [mark(60, 1)]).bar_words == "2 seconds"
    assert draw(BEGIN, [mark(3600, 1)]).bar_words == "2 minutes"
    assert draw(BEGIN, [mark(30 * 3 * 3600, 1)]).bar_words == "3 hours"
