"""The catalogues of the pages for recipients: complete, with the same gaps, and compiled. Needs no gettext."""

from __future__ import annotations

import ast
import gettext
import re
from pathlib import Path

import pytest
from django.utils.translation.template import templatize

from batches.web.recipient_languages import DEFAULT_LANGUAGE, LANGUAGES

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent
CODES = [language.code for language in LANGUAGES if language.code != DEFAULT_LANGUAGE]
CALL = re.compile(r"""gettext\(\s*u?((?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')(?:\s*"(?:[^"\\]|\\.)*")*)\s*\)""")
ENTRY = re.compile(r'^msgid ((?:".*"\n)+)msgstr ((?:".*"\n?)+)', re.MULTILINE)
GAP = re.compile(r"%\(\w+\)s")


def read_catalogue(code: str) -> dict[str, str]:
    """Read a catalogue as people write it: message and translation, both unquoted."""
    text = (PROJECT_DIR / "locale" / code / "LC_MESSAGES" / "django.po").read_text()
    assert "fuzzy" not in text, "a translation that was guessed is not used"
    return {unquote(message): unquote(translation) for message, translation in ENTRY.findall(text)}


def unquote(lines: str) -> str:
    return "".join(map(ast.literal_eval, lines.splitlines()))


def read_compiled(code: str) -> dict[str, str]:
    with (PROJECT_DIR / "locale" / code / "LC_MESSAGES" / "django.mo").open("rb") as file:
        return dict(gettext.GNUTranslations(file)._catalog)  # type: ignore[attr-defined]


def read_messages() -> set[str]:
    """Find every text of the pages for recipients that is marked for translation."""
    sources = [(PROJECT_DIR / "batches" / "web" / "unsubscribe.py").read_text()]
    sources += [
        templatize(path.read_text()) for path in sorted((PROJECT_DIR / "templates/unsubscribe").rglob("*.html"))
    ]
    return {ast.literal_eval(f"({found})") for source in sources for found in CALL.findall(source)}


def test_messages_are_found_in_code_and_templates() -> None:
    assert {"Your choice is saved.", "Undo", "Unsubscribe from “%(topic_name)s”?"} <= read_messages()


@pytest.mark.parametrize("code", CODES)
def test_catalogue_has_exactly_the_messages_of_the_pages(code: str) -> None:
    translations = read_catalogue(code)
    assert set(translations) - {""} == read_messages(), "run make messages, translate, and run it again"
    assert [message for message, translation in translations.items() if not translation.strip()] == []


@pytest.mark.parametrize("code", CODES)
def test_translation_has_the_gaps_of_its_message(code: str) -> None:
    wrong = {m: t for m, t in read_catalogue(code).items() if m and sorted(GAP.findall(m)) != sorted(GAP.findall(t))}
    assert wrong == {}


@pytest.mark.parametrize("code", CODES)
def test_compiled_catalogue_is_the_written_one(code: str) -> None:
    written, compiled = read_catalogue(code), read_compiled(code)
    assert "charset=UTF-8" in written.pop("")
    assert "charset=UTF-8" in compiled.pop("")  # msgfmt leaves the time out
    assert compiled == written, "run make messages"


def test_every_language_of_the_pages_has_a_catalogue() -> None:
    assert sorted(path.name for path in (PROJECT_DIR / "locale").iterdir()) == sorted(CODES)
