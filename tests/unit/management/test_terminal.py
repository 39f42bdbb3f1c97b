"""The progress line of the commands that wait."""

from __future__ import annotations

import io

from django.core.management.base import OutputWrapper

from batches.management.terminal import ProgressLine, make_line
from batches.models import BatchStatus
from batches.progress import Snapshot


def make_snapshot(
    processed: int, *, total: int = 5002, failed: int = 0, rate: float = 0.0, eta: float | None = None
) -> Snapshot:
    return Snapshot(
        batchId=1,
        status=BatchStatus.PROCESSING,
        processed=processed,
        total=total,
        sent=processed - failed,
        failed=failed,
        unknown=0,
        suppressed=0,
        cancelled=0,
        pending=total - processed,
        resending=0,
        returned=0,
        complained=0,
        ratePerSecond=rate,
        etaSeconds=eta,
        waitingFor=None,
        doneAt=None,
        finish="",
        sequence=1,
    )


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_line_has_counts_rate_and_time_when_the_terminal_is_wide_enough() -> None:
    line = make_line(make_snapshot(1707, failed=3, rate=1413.2, eta=2.3), columns=110, cells="#-")
    assert line == f" 34%  {'#' * 9}{'-' * 18}  1,707 of 5,002, 3 failed, 1,413 a second, about 2 s left"


def test_line_shows_100_percent_only_when_every_email_is_done() -> None:
    assert make_line(make_snapshot(5001), columns=80, cells="#-").startswith(" 99%  ")
    assert make_line(make_snapshot(5002), columns=80, cells="#-").startswith("100%  ####")
    assert "-" not in make_line(make_snapshot(5002), columns=80, cells="#-")


def test_words_are_left_out_when_the_terminal_is_narrow() -> None:
    now = make_snapshot(1707, failed=3, rate=1413.2, eta=2.3)
    assert make_line(now, columns=60, cells="#-") == f" 34%  {'#' * 5}{'-' * 10}  1,707 of 5,002, 3 failed"


def test_line_never_wraps_at_any_width() -> None:
    now = make_snapshot(999_999, total=1_000_000, failed=1234, rate=31_234, eta=5400)
    for columns in range(2, 130):
        assert len(make_line(now, columns=columns, cells="#-")) < columns


def test_sentence_is_written_once_above_the_line_when_it_repeats() -> None:
    terminal = Terminal()
    line = ProgressLine(OutputWrapper(terminal))
    line.draw(make_snapshot(0))
    for _ in range(3):
        line.say("No worker is running.")
    line.draw(make_snapshot(5002))
    line.close()
    screen = [written.rpartition("\r")[2] for written in terminal.getvalue().replace("\x1b[K", "").split("\n")]
    assert screen == ["No worker is running.", f"100%  {'█' * 20}  5,002 of 5,002", ""]


def test_only_sentences_are_written_when_the_stream_is_not_a_terminal() -> None:
    file = io.StringIO()
    line = ProgressLine(OutputWrapper(file))
    line.draw(make_snapshot(0))
    line.say("No worker is running.")
    line.say("")
    line.draw(make_snapshot(5002))
    line.close()
    assert file.getvalue() == "No worker is running.\n"
