"""Say the times and quotas within a sentence of ours: ``tomorrow at 09:12`` is "morgen um 09:12 Uhr" in German.

A part of an English sentence enters, as ``waiting``, ``wording`` and ``relays.windows`` make it. It leaves in the
language of the request, or as None if it is no time. The clock and the zone stay those of the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from django.utils.formats import number_format
from django.utils.translation import gettext, ngettext

_CLOCK = r"(?P<clock>\d{2}:\d{2}(?::\d{2})?)"
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DAY = rf"(?P<tomorrow>tomorrow)|on (?P<weekday>\w+day) (?P<day>\d{{1,2}}) (?P<month>{_MONTHS})(?P<year> \d{{4}})?"
_PERIOD = r"(?P<count>\d[\d,]*) (?P<unit>second|minute|hour|day)s?"
_WEEKDAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_DAYS = rf"{_WEEKDAY}(?: to {_WEEKDAY}|(?:, {_WEEKDAY})*)"


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
        return gettext("tomorrow at %(clock)s") % {"clock": match["clock"]}
    if match["weekday"]:
        return gettext("%(day)s at %(clock)s") % {"day": _say_day(match), "clock": match["clock"]}
    return gettext("at %(clock)s") % {"clock": match["clock"]}


def _say_about(match: re.Match[str]) -> str:
    if match["tomorrow"]:
        return gettext("tomorrow at about %(clock)s") % {"clock": match["clock"]}
    return gettext("at about %(clock)s") % {"clock": match["clock"]}


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
            rf"(?=.)(?:from (?P<begin>{_CLOCK.replace('?P<clock>', '?:')}))?"
            rf" ?(?:to (?P<end>{_CLOCK.replace('?P<clock>', '?:')}))? ?(?:on (?P<days>{_DAYS}))?"
        ),
        _say_window,
    ),
)
