"""The template tags for time: ``{% moment value "seconds" %}`` and the note that names the zone of a page."""

from __future__ import annotations

from django import template

from batches.moments import moment, say_times, time_zone_note

register = template.Library()
register.simple_tag(moment)
register.filter(say_times)
register.simple_tag(time_zone_note)
