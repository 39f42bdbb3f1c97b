"""A time is typed as on a clock, in the zone of the browser: batches/web/send_time_field.py."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django import forms
from django.utils import timezone

from batches.web.send_time_field import SendTimeField


class Form(forms.Form):
    at = SendTimeField(required=False)


def read(text: str, zone: str = "", which: str = "") -> Form:
    form = Form({"at": text, "at_zone": zone, "at_which": which})
    form.is_valid()
    return form


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-01-15T09:00", "Europe/Berlin", datetime(2026, 1, 15, 8, 0, tzinfo=UTC)),
        ("2026-07-15T09:00", "Europe/Berlin", datetime(2026, 7, 15, 7, 0, tzinfo=UTC)),
        ("2026-07-15T09:00", "America/New_York", datetime(2026, 7, 15, 13, 0, tzinfo=UTC)),
        ("2026-07-15T09:00", "Asia/Kolkata", datetime(2026, 7, 15, 3, 30, tzinfo=UTC)),
        ("2026-07-15T09:00", "Australia/Lord_Howe", datetime(2026, 7, 14, 22, 30, tzinfo=UTC)),
        ("2026-01-15T09:00", "Asia/Kathmandu", datetime(2026, 1, 15, 3, 15, tzinfo=UTC)),
        ("2026-03-01T09:00", "Africa/Casablanca", datetime(2026, 3, 1, 9, 0, tzinfo=UTC)),
        ("2026-04-01T09:00", "Africa/Casablanca", datetime(2026, 4, 1, 8, 0, tzinfo=UTC)),
        ("2026-01-15T09:00", "Asia/Tokyo", datetime(2026, 1, 15, 0, 0, tzinfo=UTC)),
        ("2026-07-15 09:00", "UTC", datetime(2026, 7, 15, 9, 0, tzinfo=UTC)),
        ("2026-07-15T09:00+05:00", "Europe/Berlin", datetime(2026, 7, 15, 4, 0, tzinfo=UTC)),
        # The hours around the changes of Berlin and New York.
        ("2026-03-29T01:59", "Europe/Berlin", datetime(2026, 3, 29, 0, 59, tzinfo=UTC)),
        ("2026-03-29T03:00", "Europe/Berlin", datetime(2026, 3, 29, 1, 0, tzinfo=UTC)),
        ("2026-10-25T03:00", "Europe/Berlin", datetime(2026, 10, 25, 2, 0, tzinfo=UTC)),
        ("2026-03-08T03:00", "America/New_York", datetime(2026, 3, 8, 7, 0, tzinfo=UTC)),
        ("2026-11-01T02:00", "America/New_York", datetime(2026, 11, 1, 7, 0, tzinfo=UTC)),
    ],
)
def test_time_is_read_in_its_zone_when_the_clocks_show_it_once(text: str, zone: str, expected: datetime) -> None:
    assert read(text, zone).cleaned_data["at"] == expected


@pytest.mark.parametrize(
    ("text", "zone", "later"),
    [
        ("2026-03-29T02:30", "Europe/Berlin", "03:30"),
        ("2026-03-08T02:00", "America/New_York", "03:00"),
        ("2026-10-04T02:15", "Australia/Lord_Howe", "02:45"),
        ("2026-09-06T00:30", "America/Santiago", "01:30"),
        ("2026-03-22T02:30", "Africa/Casablanca", "03:30"),
        ("2026-03-28T23:30", "America/Nuuk", "2026-03-29 00:30"),  # over midnight
    ],
)
def test_time_is_refused_when_the_clocks_skip_it(text: str, zone: str, later: str) -> None:
    [sentence] = read(text, zone).errors["at"]
    assert sentence == (
        f"The clocks go forward in {zone.replace('_', ' ')} then, so {text[-5:]} does not exist. "
        f"Write {later} or another time."
    )


@pytest.mark.parametrize(
    ("text", "zone", "first", "second"),
    [
        ("2026-10-25T02:30", "Europe/Berlin", (0, 30, "+2"), (1, 30, "+1")),
        ("2026-11-01T01:00", "America/New_York", (5, 0, "-4"), (6, 0, "-5")),
        ("2026-04-05T01:45", "Australia/Lord_Howe", (14, 45, "+11"), (15, 15, "+10:30")),
        ("2026-04-04T23:30", "America/Santiago", (2, 30, "-3"), (3, 30, "-4")),
        ("2026-02-15T02:30", "Africa/Casablanca", (1, 30, "+1"), (2, 30, "+0")),
    ],
)
def test_user_chooses_when_the_clocks_show_a_time_twice(
    text: str, zone: str, first: tuple[int, int, str], second: tuple[int, int, str]
) -> None:
    asked = read(text, zone)
    assert asked.errors["at"] == [
        f"The clocks go back in {zone.replace('_', ' ')} then, so {text[-5:]} comes twice. Choose which one."
    ]
    shown = str(asked["at"])
    assert f"the first {text[-5:]} (UTC{first[2]})" in shown and f"the second {text[-5:]} (UTC{second[2]})" in shown
    for which, (hour, minute, _) in (("first", first), ("second", second)):
        chosen = read(text, zone, which).cleaned_data["at"].astimezone(UTC)
        assert (chosen.hour, chosen.minute) == (hour, minute)


@pytest.mark.parametrize("zone", ["Mars/Base", "../../etc/passwd", "Europe", "x" * 1000, "Europe/Berlin\n"])
def test_time_is_refused_when_nobody_knows_its_zone(zone: str) -> None:
    form = read("2026-01-15T09:00", zone)
    if zone.strip() == "Europe/Berlin":
        assert not form.errors
    else:
        assert "is not known. Reload the page" in form.errors["at"][0]


@pytest.mark.parametrize("text", ["soon", "2026-02-30T09:00", "2026-01-01T25:00", "2026-13-01 09:00"])
def test_text_is_refused_when_it_is_no_time(text: str) -> None:
    assert read(text, "UTC").errors["at"] == ["Write the time like 2026-03-31 09:00, or leave the field empty."]


def test_nothing_is_read_when_the_field_is_empty() -> None:
    assert read("", "Europe/Berlin").cleaned_data["at"] is None


def test_sites_zone_is_named_and_used_when_there_is_no_script() -> None:
    with timezone.override(None):
        shown = str(Form()["at"])
    assert 'name="at_zone" value="UTC"' in shown and "Time in UTC" in shown
    assert read("2026-07-15T09:00").cleaned_data["at"] == datetime(2026, 7, 15, 9, 0, tzinfo=UTC)


def test_typed_text_and_choice_stay_when_the_form_is_refused() -> None:
    shown = str(read("2026-10-25T02:30", "Europe/Berlin", "second")["at"])
    assert 'value="2026-10-25T02:30"' in shown and '<option value="second" selected>' in shown
    assert 'name="at_zone" value="Europe/Berlin"' in shown


def test_stored_time_is_given_to_the_script_when_a_form_shows_it() -> None:
    shown = str(Form(initial={"at": datetime(2026, 7, 15, 9, 0, tzinfo=UTC)})["at"])
    assert 'value="2026-07-15T09:00" data-at="2026-07-15T09:00:00+00:00"' in shown
