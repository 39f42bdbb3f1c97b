"""What a log record looks like on the console."""

from __future__ import annotations

import logging
import sys

from emailbatch.logs import LineFormatter


def make_record(**fields: object) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "batches", "levelname": "INFO", "msg": "It ended.", **fields})


def test_fields_follow_the_message_when_they_are_set() -> None:
    formatter = LineFormatter("%(levelname)s %(name)s: %(message)s")
    line = formatter.format(make_record(lane=7, action="end_lane", job=None, colour="red"))
    assert line == "INFO batches: It ended. action=end_lane lane=7"


def test_line_is_the_message_alone_when_no_field_is_set() -> None:
    assert LineFormatter("%(message)s").format(make_record()) == "It ended."


def test_fields_precede_the_traceback_when_an_error_is_logged() -> None:
    try:
        raise ValueError("wrong")
    except ValueError:
        record = make_record(job=3, exc_info=sys.exc_info())
    first, *rest = LineFormatter("%(message)s").format(record).splitlines()
    assert first == "It ended. job=3"
    assert rest[-1] == "ValueError: wrong"
