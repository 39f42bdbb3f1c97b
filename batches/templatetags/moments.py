"""The template tag ``moment``: a point in time as people read it, which ``static/js/times.js`` shows in their own zone.

A datetime enters. A ``<time>`` element leaves, in TIME_ZONE, with the exact time and its zone in its title.
"""

from __future__ import annotations

from datetime import datetime

from django import template
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import localtime

register = template.Library()

FORMATS = {"minutes": "j F Y, H:i", "seconds": "j M Y, H:i:s", "date": "j F Y", "exact": "j F Y, H:i:s e"}
"""How a time is written, by the tag's second argument. ``"ago"`` is relative, such as "3 minutes ago"."""


@register.simple_tag
def moment(at: datetime | None, shape: str = "minutes") -> SafeString:
    """Show a time as ``<time datetime=... data-moment=SHAPE title=...>``. None: nothing.

    Shapes: ``minutes``, ``seconds``, ``date``, ``exact`` and ``ago``. ``times.js`` writes each in the zone of the
    browser, and keeps the relative ones up to date.
    """
    if at is None:
        return SafeString("")
    local = localtime(at)
    words = naturaltime(at) if shape == "ago" else date_format(local, FORMATS[shape])
    return format_html(
        '<time datetime="{}" data-moment="{}" title="{}">{}</time>',
        local.isoformat(),
        shape,
        date_format(local, FORMATS["exact"]),
        words,
    )
