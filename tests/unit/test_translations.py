"""The catalogues: complete, with the gaps of their messages, and compiled. Needs no gettext."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import translation
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation.template import templatize

from batches.management.collecting import collect, is_saying
from batches.translations import figure, read_patterns, say, say_to_program
from batches.web.recipient_languages import DEFAULT_LANGUAGE, LANGUAGES

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent
OF_RECIPIENTS = [language.code for language in LANGUAGES if language.code != DEFAULT_LANGUAGE]
OF_SENDERS = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
COMPLETE = ["de"]
"""The languages in which nothing is left in English."""

MARKS = re.compile(r"\b(?:gettext|gettext_lazy|gettext_noop|ngettext|_)\(\s*u?")
TEXT = re.compile(r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')(?:\s*(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'))*""")
GAP = re.compile(r"%\(\w+\)s|\{\w+\}")


class Entry(dict[str, str]):
    """One message: ``msgid``, ``msgid_plural`` and the translations, by the words of the file."""


def read_catalogue(code: str, domain: str = "django") -> Iterator[Entry]:
    """Read a catalogue as people write it. The first entry, with the header, is left out."""
    text = (PROJECT_DIR / "locale" / code / "LC_MESSAGES" / f"{domain}.po").read_text()
    assert ", fuzzy" not in text, "a translation that was guessed is not used"
    for block in text.strip().split("\n\n"):
        found = re.findall(r'^(msg[\w\[\]]+) ((?:".*"\n?)+)', block, re.MULTILINE)
        entry = Entry({name: "".join(map(ast.literal_eval, lines.splitlines())) for name, lines in found})
        if entry.get("msgid"):
            yield entry


def translations_of(entry: Entry) -> list[str]:
    return [text for name, text in entry.items() if name.startswith("msgstr")]


def read_compiled(code: str, domain: str) -> dict[object, str]:
    with (PROJECT_DIR / "locale" / code / "LC_MESSAGES" / f"{domain}.mo").open("rb") as file:
        return dict(gettext.GNUTranslations(file)._catalog)  # type: ignore[attr-defined]


def read_marked(source: str) -> Iterator[str]:
    """Find the first text of each call of gettext."""
    for mark in MARKS.finditer(source):
        if text := TEXT.match(source, mark.end()):
            yield ast.literal_eval(f"({text[0]})")


def read_messages() -> set[str]:
    """Find every text of pages and code that is translated."""
    found: set[str] = set()
    for folder in ("batches", "emailbatch"):
        for path in (PROJECT_DIR / folder).rglob("*.py"):
            source = path.read_text()
            if "gettext" in source and "migrations" not in path.parts and path.name != "collecting.py":
                found |= set(read_marked(source))
            if is_saying(str(path.relative_to(PROJECT_DIR))):
                found |= {message for _, message, _ in collect(source)}
    for path in (PROJECT_DIR / "templates").rglob("*.html"):
        found |= set(read_marked(templatize(path.read_text())))
    return found - {""}


def test_messages_are_found_in_code_and_templates() -> None:
    assert {"Your choice is saved.", "Undo", "There is a comma after the @-sign. Write a full stop in its place."} <= (
        read_messages()
    )


@pytest.mark.parametrize("code", OF_SENDERS)
def test_catalogue_has_each_message_of_the_pages(code: str) -> None:
    missing = read_messages() - {entry["msgid"] for entry in read_catalogue(code)}
    assert sorted(missing) == [], "run make messages"


@pytest.mark.parametrize("code", OF_RECIPIENTS)
def test_everything_is_translated_when_recipients_read_it(code: str) -> None:
    sources = [(PROJECT_DIR / "batches/web/unsubscribe.py").read_text()]
    sources += [templatize(path.read_text()) for path in (PROJECT_DIR / "templates/unsubscribe").rglob("*.html")]
    read = {message for source in sources for message in read_marked(source)}
    translated = {entry["msgid"] for entry in read_catalogue(code) if all(translations_of(entry))}
    assert sorted(read - translated) == []


@pytest.mark.parametrize("domain", ["django", "djangojs"])
@pytest.mark.parametrize("code", COMPLETE)
def test_nothing_is_left_in_english_when_a_language_is_complete(code: str, domain: str) -> None:
    empty = [entry["msgid"] for entry in read_catalogue(code, domain) if not all(translations_of(entry))]
    assert empty == [], "run make messages, and translate"


@pytest.mark.parametrize("code", {settings.LANGUAGE_CODE, *OF_SENDERS, *OF_RECIPIENTS})
def test_translation_has_the_gaps_of_its_message(code: str) -> None:
    wrong = []
    for entry in read_catalogue(code):
        known = set(GAP.findall(entry["msgid"] + entry.get("msgid_plural", "")))
        wrong += [text for text in translations_of(entry) if text and not set(GAP.findall(text)) <= known]
    assert wrong == []


@pytest.mark.parametrize(
    ("code", "domain"), [*product(OF_SENDERS, ("django", "djangojs")), (settings.LANGUAGE_CODE, "django")]
)
def test_compiled_catalogue_is_the_written_one(code: str, domain: str) -> None:
    compiled = read_compiled(code, domain)
    assert "charset=UTF-8" in compiled.pop("")
    written: dict[object, str] = {}
    for entry in read_catalogue(code, domain):
        forms = translations_of(entry)
        if not all(forms):
            continue
        if "msgid_plural" in entry:
            written |= {(entry["msgid"], number): form for number, form in enumerate(forms)}
        else:
            written[entry["msgid"]] = forms[0]
    assert compiled == written, "run make messages"


def test_every_language_of_the_pages_has_a_catalogue() -> None:
    folders = sorted(path.name for path in (PROJECT_DIR / "locale").iterdir())
    assert folders == sorted({settings.LANGUAGE_CODE, *OF_RECIPIENTS, *OF_SENDERS})


def test_plain_english_is_of_sentences_that_are_said() -> None:
    plain = {entry["msgid"] for entry in read_catalogue(settings.LANGUAGE_CODE)}
    assert sorted(plain - read_messages()) == [], "change locale/en as the sentence of the code was changed"


@pytest.mark.parametrize("code", COMPLETE)
def test_sentence_is_found_again_when_its_gaps_are_filled(code: str) -> None:
    """Two patterns that fit one text would say the sentence of the other."""
    with translation.override(code):
        wrong = [
            filled
            for pattern in read_patterns(code)
            if not pattern.many
            and set(GAP.findall(pattern.one)) == {f"%({name})s" for name in pattern.expression.groupindex}
            and (filled := pattern.one % dict.fromkeys(re.findall(r"%\((\w+)\)s", pattern.one), "7"))
            and say(filled) != translation.gettext(pattern.one) % dict.fromkeys(pattern.expression.groupindex, "7")
        ]
    assert wrong == []


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("There is a comma after the @-sign. Write a full stop in its place.", "Nach dem @ steht ein Komma. Schreiben Sie dort einen Punkt."),  # noqa: E501
        ("The file has 1,000 columns. Reduce them to 500 or fewer.", "Die Datei hat 1.000 Spalten. Verringern Sie sie auf höchstens 500."),  # noqa: E501
        ("The address is empty. Write it, or remove the row. The emails go out now.", "Die Adresse fehlt. Schreiben Sie sie, oder entfernen Sie die Zeile. Die E-Mails gehen jetzt hinaus."),  # noqa: E501
        ("The batch was sent. Quota exceeded.", "Der Versand wurde verschickt. Quota exceeded."),
        ("550 5.1.1 No such user here.", "550 5.1.1 No such user here."),
        ("The emails go out tomorrow at 09:00.", "Die E-Mails gehen morgen um 09:00 Uhr hinaus."),
        ("The emails go out on Thursday 3 December at 09:12.", "Die E-Mails gehen am Donnerstag, 3. Dezember um 09:12 Uhr hinaus."),  # noqa: E501
        ("Done on Sunday 29 November, if it is sent now.", "Fertig am Sonntag, 29. November, wenn jetzt verschickt wird."),  # noqa: E501
        ("Sending will take about 1 h 30 min. Done at about 17:30.", "Das Verschicken dauert etwa 1 h 30 min. Fertig gegen 17:30 Uhr."),  # noqa: E501
        ("The daily limit of relay m365 is used up (10,000 in 24 hours). Next try at 16:20. 3,400 are waiting.", "Aufgebraucht: Tagesgrenze des Mailservers m365 (10.000 in 24 Stunden). Nächster Versuch um 16:20 Uhr. 3.400 warten."),  # noqa: E501
        ("The relay m carries mail only from 18:00 to 06:00 on Mon to Fri.", "Der Mailserver m befördert Mail nur von 18:00 bis 06:00 Uhr (Mo bis Fr)."),  # noqa: E501
        ("", ""),
    ],
)  # fmt: skip
def test_stored_sentence_is_said_in_the_language_of_the_reader(english: str, german: str) -> None:
    with translation.override("de"):
        assert say(english) == german


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        ("The relay closed the connection. The message was out, so the relay may have taken it.", "The mail server closed the connection. The message was out, so the mail server may have taken it."),  # noqa: E501
        ("The relay default has a fault of its own (451 Busy. Wait). Sending goes on by itself.", "The mail server has a fault of its own (451 Busy. Wait). Sending goes on by itself."),  # noqa: E501
        ("The mail server has a fault of its own (451 Busy). Sending goes on by itself. 3 are waiting.", "The mail server has a fault of its own (451 Busy). Sending goes on by itself. 3 are waiting."),  # noqa: E501
        ("The address is empty. Write it, or remove the row.", "The address is empty. Write it, or remove the row."),
        ("450 The relay is busy", "450 The relay is busy"),
    ],
)  # fmt: skip
def test_sentence_of_the_log_is_said_in_plain_english_on_a_page(stored: str, said: str) -> None:
    with translation.override("en"):
        assert say(stored) == said
        assert say_to_program(stored) == stored


def test_number_is_written_as_the_language_does() -> None:
    with translation.override("de"):
        assert figure(1_234_567) == "1.234.567"
    with translation.override("en"):
        assert figure(1_234_567) == "1,234,567"


def test_expression_is_tried_only_when_the_text_has_its_words() -> None:
    """A regular expression alone would try every way to fill the gaps, and nothing else would run meanwhile."""
    for pattern in read_patterns("de"):
        first, *others = pattern.literals
        text = f"{first}x{'x'.join(others * 100)}~"
        assert not pattern.may_match(text) or pattern.expression.fullmatch(text)


def test_html_and_long_texts_stay_as_they_are_when_they_are_said() -> None:
    html = format_html("<b>{}</b>", "A. B")
    many = "A. " * 1_000 + "B."
    with translation.override("de"):
        assert isinstance(say(html), SafeString) and say(html) == html
        assert say(many) == many and say("x" * 100_000) == "x" * 100_000
