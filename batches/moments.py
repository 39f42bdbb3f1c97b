"""A point in time as people read it, which ``static/js/times.js`` shows in the zone of the browser.

A datetime enters. A ``<time>`` element leaves, in TIME_ZONE, with the exact time and its zone in its title. A sentence
that Python makes takes the same element: ``say_with_moments(_("The new time is %(time)s."), time=at)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format, get_format
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, ngettext

from batches.phrases import Moment, say_time
from batches.translations import split_moments

FORMATS = {"minutes": "{day}, H:i", "seconds": "{short}, H:i:s", "date": "{day}", "exact": "{day}, H:i:s e"}
"""How a time is written, by the tag's second argument. ``ago`` is relative, and ``clock`` is for sentences."""

MINUTE, HOUR, DAY = 60, 3600, 86400


def moment(at: datetime | None, shape: str = "minutes") -> SafeString:
    """Show a time as ``<time datetime=... data-moment=SHAPE title=...>``. None: nothing.

    Shapes: ``minutes``, ``seconds``, ``date``, ``exact``; ``ago`` for lists (``3 min ago``, after a day the date); and
    ``clock`` for the time of this day (``16:20:05``, with the date on another day). ``times.js`` writes each in the
    zone of the browser, and keeps the relative ones up to date.
    """
    if at is None:
        return SafeString("")
    local = timezone.localtime(at)
    return format_html(
        '<time datetime="{}" data-moment="{}" title="{}">{}</time>',
        local.isoformat(),
        shape,
        _write(local, "exact"),
        say_moment(at, shape, now=timezone.now()),
    )


def say_with_moments(sentence: str, **times: datetime) -> SafeString:
    """Put times in place of ``%(name)s`` in a sentence for a page, such as a message after a button."""
    return SafeString(escape(sentence) % {name: moment(at) for name, at in times.items()})


def say_times(sentence: str | None, moments: Sequence[Moment]) -> SafeString:
    """Say a sentence of a snapshot on a page: in the reader's language, each of its times as a ``<time>``."""
    parts = split_moments(sentence or "", moments)
    return format_html_join("", "{}", ([part if isinstance(part, str) else _phrase(part)] for part in parts))


def _phrase(part: Moment) -> SafeString:
    at, shape = datetime.fromisoformat(part["at"]), part["shape"]
    words = say_time(at, shape, now=timezone.now())
    exact = _write(timezone.localtime(at), "exact")
    return format_html('<time datetime="{}" data-moment="{}" title="{}">{}</time>', part["at"], shape, exact, words)


def say_moment(at: datetime, shape: str, *, now: datetime) -> str:
    """Say a time in TIME_ZONE, as the tag shows it without a script."""
    local, today = timezone.localtime(at), timezone.localtime(now)
    if shape == "clock":
        return date_format(local, "H:i:s") if local.date() == today.date() else _write(local, "seconds")
    if shape != "ago":
        return _write(local, shape)
    seconds = (now - at).total_seconds()
    if abs(seconds) < DAY:
        return _say_ago(seconds)
    return date_format(local, "j M, H:i") if local.year == today.year else date_format(local, "j M Y")


def time_zone_note() -> SafeString:
    """Say in which zone the times of the page are. ``times.js`` says it again for the zone of the browser."""
    return format_html(
        '<span data-zone-note="{}">{}</span>',
        gettext("Times are in your time zone, %(zone)s."),
        gettext("Times are in the time zone %(zone)s.") % {"zone": name_zone()},
    )


def name_zone() -> str:
    """Return the name of TIME_ZONE, such as ``Europe/Berlin``."""
    return timezone.get_default_timezone_name()


def _write(local: datetime, shape: str) -> str:
    # The short English format of Django is that of the United States. The others are right for their languages.
    is_english = (get_language() or "en").startswith("en")
    day = "j F Y" if is_english else get_format("DATE_FORMAT")
    short = "j M Y" if is_english else get_format("SHORT_DATE_FORMAT")
    return date_format(local, FORMATS[shape].format(day=day, short=short))


def _say_ago(seconds: float) -> str:
    """Say a time of the last or the next 24 hours. ``times.js`` says the same."""
    size, is_past = abs(seconds), seconds >= 0
    if size < MINUTE:
        return gettext("just now") if is_past else gettext("in a moment")
    count = int(size // (MINUTE if size < HOUR else HOUR))
    if size < HOUR and is_past:
        sentence = ngettext("%(count)s min ago", "%(count)s min ago", count)
    elif size < HOUR:
        sentence = ngettext("in %(count)s min", "in %(count)s min", count)
    elif is_past:
        sentence = ngettext("%(count)s h ago", "%(count)s h ago", count)
    else:
        sentence = ngettext("in %(count)s h", "in %(count)s h", count)
    return sentence % {"count": count}
