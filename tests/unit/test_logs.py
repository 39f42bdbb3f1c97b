"""What a log record looks like on the console."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import psycopg
import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject

from emailbatch.logs import LineFormatter, find_user_id


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
    assert rest[-1] == "    ValueError: wrong"


@pytest.mark.parametrize("sign", ["\n", "\r", "\r\n", "\x1b[2J", "\x85", "\u2028", "\x00"])
def test_nobody_can_begin_a_line_of_a_log(sign: str) -> None:
    line = LineFormatter("%(message)s").format(make_record(msg=f"GET /a{sign}2026-11-26 INFO batches: forged", job=3))
    assert all(each.startswith("    ") for each in line.splitlines()[1:])
    assert sign == "\n" or sign not in line
    assert line.endswith(" job=3")


@pytest.mark.parametrize(
    "error",
    [
        'null value in column "code"\nDETAIL:  Failing row contains (7, ann@example.org, Ann Berg,\nTulip Lane).',
        'invalid byte sequence\nCONTEXT:  COPY batches_email, line 3, column address: "Ann Berg of Tulip Lane"',
        "invalid input\nLINE 1: SELECT 1 WHERE 'Ann Berg, Tulip Lane'::int\n               ^",
        "duplicate key value\nDETAIL:  Key (name)=(Ann Berg of Tulip Lane) already exists.\nCONTEXT:  Ann Berg",
    ],
)
def test_row_of_the_database_is_not_logged(error: str) -> None:
    try:
        raise psycopg.errors.NotNullViolation(error)
    except psycopg.Error as exc:
        line = LineFormatter("%(message)s").format(
            make_record(msg=f"It failed: {exc}", lane=3, exc_info=sys.exc_info())
        )
    first = error.splitlines()[0]
    assert line.count(first) == 2 and "(not logged) lane=3" in line and "Traceback" in line
    for said in ("Ann Berg", "Tulip", "ann@"):
        assert said not in line


def test_traceback_goes_on_after_the_row_of_an_error() -> None:
    said = "duplicate key\nDETAIL:  Key (a)=(Ann)."
    try:
        try:
            raise psycopg.errors.UniqueViolation(said)
        except psycopg.Error as exc:
            raise ValueError("second") from exc
    except ValueError:
        line = LineFormatter("%(message)s").format(make_record(exc_info=sys.exc_info()))
    assert "(Ann)" not in line and "DETAIL: (not logged)" in line
    assert "The above exception was the direct cause" in line and "ValueError: second" in line


def test_line_has_the_id_of_the_user_when_the_request_has_read_the_user() -> None:
    request = RequestFactory().get("/")
    request.user = User(pk=42, username="ann@example.org")
    assert LineFormatter("%(message)s").format(make_record(request=request)) == "It ended. user=42"


def test_user_is_not_read_for_a_log_line() -> None:
    def fail() -> User:
        raise AssertionError("The database was asked for the user.")

    request = RequestFactory().get("/")
    request.user = SimpleLazyObject(fail)  # type: ignore[assignment]
    assert find_user_id(request) is None
    request.user = AnonymousUser()
    assert find_user_id(request) is None


def test_time_says_how_far_it_is_from_utc() -> None:
    line = LineFormatter("%(asctime)s %(message)s").format(make_record(created=1.25))
    assert datetime.fromisoformat(line.removesuffix(" It ended.")) == datetime.fromtimestamp(1.25, tz=UTC)
