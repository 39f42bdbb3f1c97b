"""No word of the engine on a page that a person sees who only sends: see docs/glossary.md for what they say instead."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.utils.translation.template import templatize

from tests.unit.test_translations import GAP, read_marked

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent

ENGINE = re.compile(
    r"\b(relays?|lanes?|slugs?|payloads?|suppress\w*|Redis|merge fields?|workers?|enqueue\w*|dequeue\w*)\b",
    re.IGNORECASE,
)

OF_ADMINISTRATORS = ("templates/admin/", "templates/localstack/")


def pages() -> list[Path]:
    found = sorted((PROJECT_DIR / "templates").rglob("*.html"))
    return [path for path in found if not str(path.relative_to(PROJECT_DIR)).startswith(OF_ADMINISTRATORS)]


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_page_has_no_word_of_the_engine(path: Path) -> None:
    words = [
        word for message in read_marked(templatize(path.read_text())) for word in ENGINE.findall(GAP.sub("", message))
    ]
    assert words == [], "say mail server, field, on the do-not-send list"
