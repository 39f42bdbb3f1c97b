"""How times are written without a script: batches/moments.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone, translation

from batches.moments import moment, say_moment, say_with_moments

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (timedelta(seconds=5), "just now"),
        (timedelta(seconds=60), "1 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=23, minutes=59), "23 h ago"),
        (timedelta(days=1), "26 Nov, 12:00"),
        (timedelta(days=400), "23 Oct 2025"),
        (-timedelta(seconds=5), "in a moment"),
        (-timedelta(minutes=3), "in 3 min"),
        (-timedelta(hours=5), "in 5 h"),
    ],
)
def test_time_in_a_list_is_relative_when_it_is_less_than_a_day_away(passed: timedelta, words: str) -> None:
    assert say_moment(NOW - passed, "ago", now=NOW) == words


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ("minutes", "27 November 2026, 17:30"),
        ("seconds", "27 Nov 2026, 17:30:00"),
        ("date", "27 November 2026"),
        ("exact", "27 November 2026, 17:30:00 IST"),
        ("clock", "17:30:00"),
    ],
)
def test_time_is_in_the_sites_zone_when_there_is_no_script(shape: str, words: str) -> None:
    with timezone.override("Asia/Kolkata"):
        assert say_moment(NOW, shape, now=NOW) == words


def test_time_in_a_sentence_has_its_date_when_it_is_on_another_day() -> None:
    assert say_moment(NOW + timedelta(days=1), "clock", now=NOW) == "28 Nov 2026, 12:00:00"


def test_date_is_written_as_its_language_does_when_the_page_is_in_another_one() -> None:
    with translation.override("de"):
        assert say_moment(NOW, "minutes", now=NOW) == "27. November 2026, 12:00"


def test_element_names_the_exact_time_and_the_shape_when_a_time_is_shown() -> None:
    shown = moment(NOW)
    assert 'datetime="2026-11-27T12:00:00+00:00"' in shown
    assert 'data-moment="minutes"' in shown
    assert 'title="27 November 2026, 12:00:00 UTC"' in shown


def test_sentence_carries_the_element_when_python_makes_it() -> None:
    said = say_with_moments("“<b>” goes out on %(time)s.", time=NOW)
    assert said == f"“&lt;b&gt;” goes out on {moment(NOW)}."


def test_nothing_is_shown_when_there_is_no_time() -> None:
    assert moment(None) == ""
