"""The form field for a time at which something is sent: typed as on a clock, and read in the zone of the browser.

What the user typed enters, with the name of the zone that ``static/js/times.js`` fills in; without a script the zone is
TIME_ZONE, and the page says so. A time with a zone leaves. A time that comes twice is asked for again with a choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import get_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches.send_times import ComesTwice, DoesNotExist, UnknownZone, find_zone, in_zone, name_offset, twins_of

FORMAT = "%Y-%m-%dT%H:%M"
"""What a ``datetime-local`` input takes (HTML, section 4.10.5.1.11)."""

TYPED_MAX_CHARS = 100
"""No time and no name of a zone is longer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TypedTime:
    """What the parts of the field hold."""

    text: str
    zone: str
    which: str
    """Of a time that comes twice: ``first`` or ``second``. Empty: not chosen."""


def read_typed(data: Mapping[str, Any], name: str) -> TypedTime:
    """Read the parts of a field from a posted form, or from the query of an address."""
    text, zone, which = (str(data.get(each, "")).strip()[:TYPED_MAX_CHARS] for each in _names(name))
    return TypedTime(text=text, zone=zone, which=which)


class SendTimeWidget(forms.Widget):
    """An input for date and time, the zone beside it, and a choice for a time that comes twice."""

    def value_from_datadict(self, data: Mapping[str, Any], files: Any, name: str) -> TypedTime:
        return read_typed(data, name)

    def value_omitted_from_data(self, data: Mapping[str, Any], files: Any, name: str) -> bool:
        return name not in data

    def render(self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None) -> SafeString:
        text, zone, which, at = "", timezone.get_default_timezone_name(), "", ""
        if isinstance(value, TypedTime):
            text, zone, which = value.text, value.zone or zone, value.which
        elif isinstance(value, datetime):
            text, at = timezone.localtime(value).strftime(FORMAT), value.isoformat()
        _name, zone_name, which_name = _names(name)
        attributes = self.build_attrs(self.attrs, attrs)
        more = format_html_join("", ' {}="{}"', attributes.items())
        return format_html(
            '<input type="datetime-local" name="{}" value="{}" data-at="{}"{}>{}'
            '<input type="hidden" name="{}" value="{}" data-kept data-time-zone>'
            '<span class="optional" data-zone-note="{}">{}</span>',
            name,
            text,
            at,
            more,
            _render_choice(which_name, text, zone, which),
            zone_name,
            zone,
            _("Your time, %(zone)s"),
            _("Time in %(zone)s") % {"zone": zone.replace("_", " ")},
        )


class SendTimeField(forms.Field):
    """A time with a zone, or None. Its name with ``_zone`` and with ``_which`` names its other parts."""

    widget = SendTimeWidget

    default_error_messages = {
        "invalid": gettext_lazy("Write the time like 2026-03-31 09:00, or leave the field empty."),
    }

    def clean(self, value: Any) -> datetime | None:
        """Read the time in its zone.

        Raises:
            ValidationError: It is no time, its zone is not known, or the clocks skip it or show it twice.
        """
        if not isinstance(value, TypedTime) or not value.text:
            if self.required:
                raise forms.ValidationError(self.error_messages["required"], code="required")
            return None
        typed = parse_time(value.text)
        if typed is None:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        if typed.tzinfo is not None:
            return typed
        try:
            return in_zone(typed, find_zone(value.zone or timezone.get_default_timezone_name()), which=value.which)
        except (UnknownZone, DoesNotExist, ComesTwice) as exc:
            raise forms.ValidationError(_say_refusal(exc, typed)) from exc


def _say_refusal(exc: UnknownZone | DoesNotExist | ComesTwice, typed: datetime) -> str:
    words = {"zone": exc.zone.replace("_", " "), "time": f"{typed:%H:%M}"}
    if isinstance(exc, UnknownZone):
        return _("The time zone “%(zone)s” is not known. Reload the page, and write the time again.") % words
    if isinstance(exc, ComesTwice):
        return _("The clocks go back in %(zone)s then, so %(time)s comes twice. Choose which one.") % words
    sentence = _("The clocks go forward in %(zone)s then, so %(time)s does not exist. Write %(later)s or another time.")
    is_same_day = exc.later.date() == typed.date()  # some clocks go forward over midnight
    return sentence % {**words, "later": f"{exc.later:%H:%M}" if is_same_day else f"{exc.later:%Y-%m-%d %H:%M}"}


def parse_time(text: str) -> datetime | None:
    """Read a time as an input sends it or as a person types it. It has no zone, unless one is written."""
    try:
        found = parse_datetime(text)
    except ValueError:  # a day or an hour that no calendar has
        return None
    if found is not None:
        return found
    for each in get_format("DATETIME_INPUT_FORMATS"):
        try:
            return datetime.strptime(text, each)
        except (ValueError, TypeError):
            continue
    return None


def _render_choice(name: str, text: str, zone: str, which: str) -> SafeString:
    """Ask which of two equal times is meant. Nothing for any other time."""
    typed = parse_time(text) if text else None
    try:
        twins = twins_of(typed, find_zone(zone)) if typed and typed.tzinfo is None else ()
    except UnknownZone:
        twins = ()
    if not twins:
        return SafeString("")
    labels = {"first": _("the first %(time)s (UTC%(offset)s)"), "second": _("the second %(time)s (UTC%(offset)s)")}
    options = []
    for (each, label), at in zip(labels.items(), twins, strict=True):
        mark = SafeString(" selected") if each == which else ""
        options.append((each, mark, label % {"time": f"{at:%H:%M}", "offset": name_offset(at)}))
    return format_html(
        '<select name="{}" aria-label="{}"><option value="">{}</option>{}</select>',
        name,
        _("Which of the two times"),
        _("Choose one of the two"),
        format_html_join("", '<option value="{}"{}>{}</option>', options),
    )


def write_query(typed: TypedTime, name: str) -> str:
    """Return the query of an address that holds what was typed, for ``read_typed``."""
    return urlencode(dict(zip(_names(name), (typed.text, typed.zone, typed.which), strict=True)))


def _names(name: str) -> tuple[str, str, str]:
    return name, f"{name}_zone", f"{name}_which"
