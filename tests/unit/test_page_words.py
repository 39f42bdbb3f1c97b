"""No word of the engine on a page that a person sees who only sends: see docs/glossary.md for what they say instead.

What the log and the API call a relay is a mail server on a page. The catalogue ``locale/en`` has the plain wording of
each such sentence, and so the tests look at what it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.translation.template import templatize

from batches.management.collecting import collect, is_saying
from tests.unit.test_translations import GAP, read_catalogue, read_marked

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent

ENGINE = re.compile(
    r"\b(relays?|lanes?|slugs?|payloads?|suppress\w*|Redis|PostgreSQL|SMTP|merge fields?|workers?|(?:en|de)queue\w*)\b",
    re.IGNORECASE,
)

OF_ADMINISTRATORS = ("templates/admin/", "templates/localstack/")

EXPLAINED = {
    # The administrator's own pages: the admin, the checklist, the check of a sender, the relays and webhooks.
    *("batches/admin/*.py", "batches/models/*.py", "batches/setting_up.py", "batches/sender_checks/*.py"),
    *("batches/relays/presets.py", "batches/relays/local_senders.py", "batches/relays/token_store.py"),
    "batches/webhooks/*.py",
    # Not said on a page: why a lane run ended is a line of the log.
    "batches/jobs/run_lane.py",
}
"""Modules whose words only administrators read."""

NAMES = re.compile(r"internet addresses \(SMTP\)|smtp\+\w+:\S+")
"""What a program of somebody else calls it."""


def pages() -> list[Path]:
    found = sorted((PROJECT_DIR / "templates").rglob("*.html"))
    return [path for path in found if not str(path.relative_to(PROJECT_DIR)).startswith(OF_ADMINISTRATORS)]


def modules() -> Iterator[Path]:
    for path in sorted((PROJECT_DIR / "batches").rglob("*.py")):
        name = path.relative_to(PROJECT_DIR)
        if "migrations" not in path.parts and not any(name.match(pattern) for pattern in EXPLAINED):
            yield path


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.name)
def test_page_has_no_word_of_the_engine(path: Path) -> None:
    words = [
        word
        for message in read_marked(templatize(path.read_text()))
        for word in ENGINE.findall(GAP.sub("", NAMES.sub("", message)))
    ]
    assert words == [], "say mail server, field, on the do-not-send list"


@pytest.mark.parametrize("code", [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE])
def test_translations_have_no_word_of_the_engine(code: str) -> None:
    """What a page says in plain English, it says so in each other language too."""
    plain = {entry["msgid"] for entry in read_catalogue(settings.LANGUAGE_CODE)}
    said = {entry["msgstr"] for entry in read_catalogue(code) if entry["msgid"] in plain}
    assert [each for each in sorted(said) if ENGINE.search(GAP.sub("", NAMES.sub("", each)))] == []


def test_sentences_that_pages_say_have_no_word_of_the_engine() -> None:
    plain = {entry["msgid"]: entry["msgstr"] for entry in read_catalogue(settings.LANGUAGE_CODE)}
    found = []
    for path in modules():
        source, name = path.read_text(), str(path.relative_to(PROJECT_DIR))
        messages = set(read_marked(source)) if "gettext" in source and path.name != "collecting.py" else set()
        messages |= {message for _, message, _ in collect(source)} if is_saying(name) else set()
        said = {plain.get(message, message) for message in messages}
        found += [f"{name}: {each}" for each in sorted(said) if ENGINE.search(GAP.sub("", NAMES.sub("", each)))]
    assert found == [], "say mail server or field; or give locale/en a plain wording"
