"""No page shows a word that is not translated: each is opened in a language whose messages are in brackets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site_settings
from django.template.loader import render_to_string
from django.test import Client
from django.utils import translation

from batches.translations import forget_catalogues
from tests.catalogue import world
from tests.catalogue.acts import Shown
from tests.catalogue.pages import PAGES
from tests.catalogue.pseudo import find_bare_words, write_catalogue
from tests.catalogue.texts import Texts

CODE = "de"
"""The language whose catalogue is replaced. It is the one that has every message."""

GREEK = Texts(
    filename="κατάλογος.csv",
    batch_name="Νέα του Νοεμβρίου",
    template_name="Φθινόπωρο",
    template_key="autumn_concert",
    subject="Πρόσκληση, {{ name }}",
    reply="550 5.1.1",
    town="Πάτρα",
    heading="Πόλη",
    username="ines",
    names=tuple(f"{name} Παπαδόπουλος" for name in "ΑΒΓΔΕΖΗΘΙΚΛΜ"),
)
"""Data in other letters than those of our words."""

OF_THE_WORLD = """
Senders Approvers Auditors Template editors Rehearsal
ines sender approver auditor newcomer phone passkey invited locked admin office no such person
Concerts Reminder When and where we play Name Mail email Child Mother Father Twice shop parents welcome default
The date is wrong Mia Ben News Service link report from a mail server Ok queued as
connection ended before answered mailbox full try again later Dear on Saturday in Tickets
We look forward to seeing you read send templates does not accept now meet Bring music Ada Lovelace
"""
"""Names and words that the world of the catalogue has typed."""

OF_EVERY_LANGUAGE = """
Email Batch API HTML CSV JSON Excel Markdown TXT XLSX ODS PDF URL UTF UTC ID DKIM SPF DMARC
Deutsch English Español Français Espa ol Fran ais
"""

NOT_OPENED = ("/api/docs", "/audit/", "{unsubscribe}", "/u/")
"""The document of the API and the entries of the audit are in English (decision 53). The page of recipients has
languages of its own, which test_translations compares."""

OPENED = {
    (shown.address, shown.who, shown.template): shown
    for shown in PAGES
    if not shown.address.startswith(NOT_OPENED) or shown.name == "fault-403"
}
"""Each page once: its states differ by what is pressed, and nothing is pressed here."""


@pytest.fixture
def pseudo_language(tmp_path: Path, settings: Any) -> Iterator[None]:
    write_catalogue(tmp_path, CODE)
    settings.LOCALE_PATHS = [tmp_path]
    forget_catalogues()
    yield
    forget_catalogues()


def test_every_word_is_translated_when_a_page_is_shown(pseudo_language: None, transactional_db: None) -> None:
    made = world.build(lambda: world.build_world(GREEK))
    bare = [
        f"{shown.name}: {text}"
        for shown in OPENED.values()
        for text in find_bare_words(_open(shown, made), data=(OF_THE_WORLD + OF_EVERY_LANGUAGE).split())
    ]
    assert not bare, "\n".join(sorted(set(bare)))


def _open(shown: Shown, made: world.World) -> str:
    """Return a page as it is without a script. What is folded away is in it, and what is pressed is not."""
    if shown.template:
        with translation.override(CODE):
            return render_to_string(shown.template, {"sentence": ""})
    client = Client()
    client.cookies[site_settings.LANGUAGE_COOKIE_NAME] = CODE
    if shown.who != "nobody":
        client.cookies[site_settings.SESSION_COOKIE_NAME] = made.cookies[shown.who]
    return client.get(shown.address.format_map(made.ids), follow=True).content.decode()


def test_bare_words_are_found_when_they_are_outside_of_the_brackets() -> None:
    page = '<p title="⟦x⟧ y z">⟦Hello <b>⟦dear⟧</b> you⟧ there</p><td>⟦cut</td><td title="Open">Ann</td><code>no</code>'
    assert find_bare_words(page, data={"Ann"}) == ["there", "Open"]
