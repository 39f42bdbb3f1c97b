"""Times inside a sentence, as a person says them: "at 16:20", "tomorrow at 09:00", "on Thursday 3 December at 09:12".

A sentence in English enters, with the moments that it names. The sentence leaves in the language of the reader, with
each time written by the caller: in TIME_ZONE for a program, or as an element that ``static/js/times.js`` writes again
in the zone of the browser.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypedDict

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext

from batches.translations import say

AT, AT_SECOND, ABOUT, DAY = "at", "at-second", "about", "day"
"""How exactly a time is said: to the minute, to the second, "about" a time, or the day alone."""

_MARK = "\N{MATHEMATICAL LEFT WHITE SQUARE BRACKET}%d\N{MATHEMATICAL RIGHT WHITE SQUARE BRACKET}"
"""Stands for a time while the sentence is translated. No sentence of ours has such brackets."""

_ANY_MARK = re.compile(re.escape(_MARK).replace("%d", r"(\d)"))


class Moment(TypedDict):
    """A time that a sentence names."""

    words: str
    """What the sentence says, in TIME_ZONE."""
    at: str
    """The time in ISO 8601, rounded as the words are."""
    shape: str
    """How exactly it is said: ``at``, ``at-second``, ``about`` or ``day``."""


def make_moment(words: str, at: datetime, shape: str) -> Moment:
    return Moment(words=words, at=at.isoformat(), shape=shape)


def longest_first(moments: Sequence[Moment]) -> list[Moment]:
    """Order moments as they are looked for in a sentence: the words of one may be the beginning of another's."""
    return sorted(moments, key=lambda moment: -len(moment["words"]))


def fill_moments(sentence: str, moments: Sequence[Moment], write: Callable[[Moment], str]) -> str:
    """Say a sentence in the language of the reader, with each time as ``write`` writes it."""
    return "".join(write(part) if isinstance(part, dict) else part for part in split_moments(sentence, moments))


def split_moments(sentence: str, moments: Sequence[Moment]) -> list[str | Moment]:
    """Translate a sentence, and return its text and its moments in their order."""
    named = [moment for moment in longest_first(moments) if moment["words"] in sentence]
    for number, moment in enumerate(named):
        sentence = sentence.replace(moment["words"], _MARK % number, 1)
    parts = _ANY_MARK.split(say(sentence))  # text, number, text, number, ...
    return [named[int(part)] if place % 2 else part for place, part in enumerate(parts)]


def say_phrase(at: datetime, shape: str, *, now: datetime) -> str:
    """Say a time in TIME_ZONE and in the language of the reader. ``times.js`` says the same in the browser's zone."""
    local, today = timezone.localtime(at), timezone.localtime(now)
    days = (local.date() - today.date()).days
    values = {"time": f"{local:%H:%M:%S}" if shape == AT_SECOND else f"{local:%H:%M}"}
    if days == 0 and shape != DAY:
        return (gettext("at about %(time)s") if shape == ABOUT else gettext("at %(time)s")) % values
    if days == 1:
        if shape == DAY:
            return gettext("tomorrow")
        return (gettext("tomorrow at about %(time)s") if shape == ABOUT else gettext("tomorrow at %(time)s")) % values
    values["day"] = date_format(local, "l j F" if local.year == today.year else "l j F Y")
    return (gettext("on %(day)s") if shape == DAY else gettext("on %(day)s at %(time)s")) % values
