"""Times, quotas and windows inside a sentence, as a person says them: "at 16:20", "tomorrow at 09:00", "10 in 1 hour".

A datetime enters ``word_time``, and its English words leave, in TIME_ZONE. The English words enter ``say_phrase``, and
leave in the language of the request: ``tomorrow at 09:12`` is "morgen um 09:12 Uhr" in German. The clock and the zone
stay those of the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypedDict

from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext, ngettext

AT, AT_SECOND, ABOUT, DAY = "at", "at-second", "about", "day"
"""How exactly a time is said: to the minute, to the second, "about" a time, or the day alone."""

_CLOCK = r"(?P<time>\d{2}:\d{2}(?::\d{2})?)"
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DAY = rf"(?P<tomorrow>tomorrow)|on (?P<weekday>\w+day) (?P<day>\d{{1,2}}) (?P<month>{_MONTHS})(?P<year> \d{{4}})?"
_PERIOD = r"(?P<count>\d[\d,]*) (?P<unit>second|minute|hour|day)s?"
_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_DAYS = rf"{_WEEKDAY}(?: to {_WEEKDAY}|(?:, {_WEEKDAY})*)"


class Moment(TypedDict):
    """A time that a sentence names."""

    words: str
    """What the sentence says, in TIME_ZONE."""
    at: str
    """The time in ISO 8601, rounded as the words are."""
    shape: str
    """How exactly it is said: ``at``, ``at-second``, ``about`` or ``day``."""


def make_moment(at: datetime, shape: str, *, now: datetime) -> Moment:
    return Moment(words=word_time(at, shape, now=now), at=timezone.localtime(at).isoformat(), shape=shape)


def longest_first(moments: Sequence[Moment]) -> list[Moment]:
    """Order moments as they are looked for in a sentence: the words of one may be the beginning of another's."""
    return sorted(moments, key=lambda moment: -len(moment["words"]))


def word_time(at: datetime, shape: str, *, now: datetime) -> str:
    """Say a time in English and in TIME_ZONE. A time that is neither today nor tomorrow is never "about"."""
    local, today = timezone.localtime(at), timezone.localtime(now)
    days = (local.date() - today.date()).days
    year = f" {local.year}" if local.year != today.year else ""
    day = f"on {local:%A} {local.day} {local:%B}{year}"
    if shape == DAY:
        return "tomorrow" if days == 1 else day
    clock = f"{local:%H:%M:%S}" if shape == AT_SECOND else f"{local:%H:%M}"
    if days not in (0, 1):
        return f"{day} at {clock}"
    words = f"at about {clock}" if shape == ABOUT else f"at {clock}"
    return f"tomorrow {words}" if days == 1 else words


def say_time(at: datetime, shape: str, *, now: datetime) -> str:
    """Say a time in TIME_ZONE and in the language of the reader. ``times.js`` says the same in the browser's zone."""
    words = word_time(at, shape, now=now)
    return say_phrase(words) or words


def say_phrase(text: str) -> str | None:
    """Return a time, a day, a length of time, a quota or a window in the language of the request. None: it is none."""
    for expression, write in _PHRASES:
        if match := expression.fullmatch(text):
            return write(match)
    return None


def say_count(text: str) -> str:
    """Write a number of a sentence, such as 10,000, as the language does."""
    return number_format(int(text.replace(",", "")), use_l10n=True, force_grouping=True)


def _say_time(match: re.Match[str]) -> str:
    if match["tomorrow"]:
        return gettext("tomorrow at %(time)s") % {"time": match["time"]}
    if match["weekday"]:
        return gettext("%(day)s at %(time)s") % {"day": _say_day(match), "time": match["time"]}
    return gettext("at %(time)s") % {"time": match["time"]}


def _say_about(match: re.Match[str]) -> str:
    if match["tomorrow"]:
        return gettext("tomorrow at about %(time)s") % {"time": match["time"]}
    return gettext("at about %(time)s") % {"time": match["time"]}


def _say_day(match: re.Match[str]) -> str:
    if match["tomorrow"]:
        return gettext("tomorrow")
    # Django has the names of days and months in each of its languages.
    names = {"weekday": gettext(match["weekday"]), "day": match["day"], "month": gettext(match["month"])}
    return gettext("on %(weekday)s %(day)s %(month)s") % names + (match["year"] or "")


def _say_period(match: re.Match[str]) -> str:
    count = int(match["count"].replace(",", ""))
    sentence = {
        "second": ngettext("%(count)s second", "%(count)s seconds", count),
        "minute": ngettext("%(count)s minute", "%(count)s minutes", count),
        "hour": ngettext("%(count)s hour", "%(count)s hours", count),
        "day": ngettext("%(count)s day", "%(count)s days", count),
    }[match["unit"]]
    return sentence % {"count": say_count(match["count"])}


def _say_quota(match: re.Match[str]) -> str:
    return gettext("%(amount)s in %(period)s") % {"amount": say_count(match["amount"]), "period": _say_period(match)}


def _say_use(match: re.Match[str]) -> str:
    used, quota = say_count(match["used"]), say_phrase(match["quota"])
    return gettext("%(used)s of %(quota)s") % {"used": used, "quota": quota}


def _say_window(match: re.Match[str]) -> str:
    times = {"begin": match["begin"], "end": match["end"]}
    said = []
    if match["begin"] and match["end"]:
        said.append(gettext("from %(begin)s to %(end)s") % times)
    elif match["begin"]:
        said.append(gettext("from %(begin)s") % times)
    elif match["end"]:
        said.append(gettext("to %(end)s") % times)
    if match["days"]:
        said.append(gettext("on %(days)s") % {"days": _say_days(match["days"])})
    return " ".join(said)


def _say_days(days: str) -> str:
    first, is_span, last = days.partition(" to ")
    if is_span:
        return gettext("%(first)s to %(last)s") % {"first": gettext(first), "last": gettext(last)}
    return ", ".join(map(gettext, days.split(", ")))


_PHRASES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(rf"(?:(?:{_DAY}) )?at {_CLOCK}"), _say_time),
    (re.compile(rf"(?:(?P<tomorrow>tomorrow) )?at about {_CLOCK}"), _say_about),
    (re.compile(_DAY), _say_day),
    (re.compile(_PERIOD), _say_period),
    (re.compile(rf"(?P<amount>\d[\d,]*) in {_PERIOD}"), _say_quota),
    (re.compile(r"(?P<used>\d[\d,]*) of (?P<quota>\d[\d,]* in .+)"), _say_use),
    (re.compile(_DAYS), lambda match: _say_days(match[0])),
    (
        re.compile(
            rf"(?=.)(?:from (?P<begin>{_CLOCK.replace('?P<time>', '?:')}))?"
            rf" ?(?:to (?P<end>{_CLOCK.replace('?P<time>', '?:')}))? ?(?:on (?P<days>{_DAYS}))?"
        ),
        _say_window,
    ),
)
