"""The message that the bench sends: personalised, about 2 KB, text and HTML, three merge fields.

A tenth of the names are not ASCII.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

TEMPLATE_KEY = "bench"
FROM = "Bench <post@example.org>"
MERGE_FIELDS = ("name", "city", "code")
NAMES = ("Ann", "Bob", "Carla", "Dieter", "Eve", "Frank", "Grace", "Hana", "Ines", "Zoë Müller-李")

_TEXT = (
    "Dear {{ name }},\n\n"
    "thank you for your order. It will be sent to {{ city }} this week, and you can follow it with the\n"
    "number {{ code }} at any time of the day.\n\n"
    + "If anything is not as it should be, answer this message and we will put it right as soon as we can.\n" * 4
    + "\nKind regards,\nthe team that sends batches\n"
)
_HTML = (
    '<!doctype html><html><body style="font-family: sans-serif; color: #222">\n'
    "<h1>Dear {{ name }},</h1>\n"
    "<p>thank you for your order. It will be sent to <b>{{ city }}</b> this week, and you can follow it with the\n"
    "number <code>{{ code }}</code> at any time of the day.</p>\n"
    + "<p>If anything is not as it should be, answer this message and we will put it right as soon as we can.</p>\n" * 4
    + "<p>Kind regards,<br>the team that sends batches</p>\n</body></html>\n"
)
TEMPLATE = {
    "key": TEMPLATE_KEY,
    "name": "Bench",
    "subject": "Your order {{ code }}, {{ name }}",
    "text": _TEXT,
    "html": _HTML,
}

NEWS = {**TEMPLATE, "key": "bench-news", "name": "Bench, news"}
"""The same message, which recipients can unsubscribe from."""

NOT_PLAIN = {
    **TEMPLATE,
    "key": "bench-not-plain",
    "name": "Bench, not plain",
    "text": _TEXT.replace(
        "Dear {{ name }},", "{% if city == 'City 7' %}Hello{% else %}Dear{% endif %} {{ name|title }},"
    ),
}
"""The same message with a condition and a filter, so that a child renders it."""


def make_recipients(count: int) -> Iterator[tuple[str, str, str, str]]:
    """Yield address, name, city and code of each recipient."""
    for number in range(count):
        yield f"reader{number:07d}@example.org", NAMES[number % 10], f"City {number % 97}", f"C{number:07d}"


def write_file(path: Path, count: int) -> Path:
    """Write a list with ``count`` recipients, and return its path."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("email", *MERGE_FIELDS))
        writer.writerows(make_recipients(count))
    return path
