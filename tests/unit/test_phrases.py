"""Times inside sentences: each in the language of the reader, and in a form that a page can write again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import LazySettings
from django.utils import timezone

from batches.languages import say_snapshot
from batches.moments import say_times
from batches.phrases import say_time
from batches.progress import Snapshot
from batches.translations import fill_moments
from batches.waiting import finish_of, say_canary, say_finish, say_scheduled, time_of

NOW = datetime(2026, 11, 26, 15, 0, 20, tzinfo=UTC)  # a Thursday
TIMES = (
    NOW + timedelta(seconds=45),
    NOW + timedelta(minutes=80),
    NOW + timedelta(hours=18),
    NOW + timedelta(days=7),
    NOW + timedelta(days=400),
)


@pytest.mark.parametrize("at", TIMES)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
def test_phrase_in_english_is_what_the_sentence_says(at: datetime, zone: str, settings: LazySettings) -> None:
    settings.TIME_ZONE = zone
    moments = [time_of(at, now=NOW), finish_of(at, now=NOW)]
    for moment in filter(None, moments):
        assert say_time(datetime.fromisoformat(moment["at"]), moment["shape"], now=NOW) == moment["words"]


def test_each_time_of_a_sentence_is_written_by_the_caller() -> None:
    at = NOW + timedelta(hours=2)
    moment = time_of(at, now=NOW)
    sentence = say_canary(at, may_stop=False, waiting_count=2, now=NOW)
    assert fill_moments(sentence, [moment], lambda each: f"[{each['at']}]") == (
        "The first emails of this batch were sent ahead, to see what comes back. Sending goes on "
        "[2026-11-26T17:01:00+00:00], unless you pause or cancel it. 2 are waiting."
    )
    assert fill_moments("Nothing of it.", [moment], lambda each: "never") == "Nothing of it."


def test_time_stays_in_its_place_when_somebody_has_typed_the_marks() -> None:
    moment = time_of(NOW + timedelta(hours=2), now=NOW)
    sentence = f"“\ufdd07\ufdd1 ⟦0⟧” is sent {moment['words']}."
    assert fill_moments(sentence, [moment], lambda each: each["shape"]) == "“ ⟦0⟧” is sent at."


def test_longer_words_are_found_first_when_two_times_begin_alike() -> None:
    at = NOW + timedelta(days=7)
    waits, done = time_of(at, now=NOW), finish_of(at, now=NOW)
    assert done is not None and done["words"] in waits["words"]
    assert fill_moments(say_scheduled(at, now=NOW), [done, waits], lambda each: each["shape"]) == (
        "The emails go out at."
    )


def test_page_gets_each_time_as_an_element_and_the_rest_escaped() -> None:
    at = timezone.now() + timedelta(days=400)
    said = say_times(f"<b> {say_scheduled(at, now=NOW)}", [time_of(at, now=NOW)])
    assert said.startswith('&lt;b&gt; The emails go out <time datetime="')
    assert 'data-moment="at" title="' in said and "</time>." in said


def test_snapshot_names_its_times_in_the_language_of_the_watcher() -> None:
    at = NOW + timedelta(hours=18)
    moments = [time_of(at, now=NOW)]
    snapshot = Snapshot(  # type: ignore[typeddict-item]
        waitingFor=say_scheduled(at, now=NOW),
        finish=say_finish(at, now=NOW),
        moments=moments,
        sequence=int(NOW.timestamp() * 1_000_000),
    )
    said = say_snapshot(snapshot, "en")
    assert (said["waitingFor"], said["moments"]) == ("The emails go out tomorrow at 09:01.", moments)
    german = say_snapshot(snapshot, "de")
    [moment] = german["moments"]
    assert moment["words"] in (german["waitingFor"] or "")
    assert moment["at"] == "2026-11-27T09:01:00+00:00"
