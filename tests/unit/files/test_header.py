from __future__ import annotations

import pytest

from batches.files.header import find_header
from batches.files.reading import CountedRecords
from batches.files.sample import SampleRecord, take_sample

ROWS = "Ann,ann@x.org,Rome|Bo,bo@x.org,Oslo"


def sample(text: str) -> list[SampleRecord]:
    """Read records that are separated by vertical bars, with cells that are separated by commas."""
    return take_sample(CountedRecords([line.split(",") for line in text.split("|")]))


@pytest.mark.parametrize(
    ("text", "line", "headings"),
    [
        (f"name,email,city|{ROWS}", 1, "name,email,city"),
        (f"Members list 2026,,|,,|name,email,city|{ROWS}", 3, "name,email,city"),
        (f"Mitgliederliste|vom 01.03.2026||Name,E-Mail,Ort|{ROWS}", 4, "Name,E-Mail,Ort"),
        (f"Questions to:,office@example.com,|name,email,city|{ROWS}", 2, "name,email,city"),
        (f"Contact:,office@example.com|name,email|{ROWS}", 2, "name,email"),
        (f"Contact,office@example.com|Name,Email|{ROWS}", 2, "Name,Email"),
        (f"Fragen an,office@example.com,|name,email,city|{ROWS}", 2, "name,email,city"),
        (f"E-Mail,office@example.com,|name,email,city|{ROWS}", 2, "name,email,city"),
        (f"name,email,,Questions: office@example.com|{ROWS}", 1, "name,email,,Questions: office@example.com"),
        (f"name,E-Mail <office@example.com>,city|{ROWS}", 1, "name,E-Mail <office@example.com>,city"),
        (f"Verein Harmonie,,|Wer,Kontakt,Wo|{ROWS}", 2, "Wer,Kontakt,Wo"),
        (f"E-Mail-Liste 2026,,|Wer,Kontakt,Wo|{ROWS}", 2, "Wer,Kontakt,Wo"),
        (f"E-Mail: office@example.com,,|Wer,Kontakt,Wo|{ROWS}", 2, "Wer,Kontakt,Wo"),
        ("Emails|email,name|ann@x.org,Ann|bo@x.org,Bo", 2, "email,name"),
        ("Kind,E-Mail Mutter|Max,|Eva,keine|Ida,bitte fragen|Leo,l@x.org", 1, "Kind,E-Mail Mutter"),
        ("Kind,Kontakt|Max,|Eva,keine|Leo,l@x.org", 1, "Kind,Kontakt"),
        ("Name,Ort,|Ann,Rome,a@x.org|Bo,Oslo,b@x.org", 1, "Name,Ort,"),
        ("name,mail,contact|Ann,1 High St,a@x.org|Bo,2 Low St,b@x.org", 1, "name,mail,contact"),
        (f"name,email,city|-----,-----,-----|{ROWS}", 1, "name,email,city"),
        ("email|ann@gmail|bo@gmail", 1, "email"),
        ("Kontakt,line,reason|ann@gmail,2,An email address must have an @-sign.", 1, "Kontakt,line,reason"),
        ("email,name", 1, "email,name"),
        ("email,name,class|ann,Ann,3a|bo@x,Bo,3b", 1, "email,name,class"),
        ("Members,,|email,name,class|ann,Ann,three|@x.org,Bo,four", 2, "email,name,class"),
        ("Name,Twitter (@),Email|Ann,@ann,a@x.org|Bo,@bo,b@x.org", 1, "Name,Twitter (@),Email"),
        ("メールアドレス,名前|a@x.org,山田", 1, "メールアドレス,名前"),
    ],
)
def test_header_is_found_when_it_is_below_other_lines(text: str, line: int, headings: str) -> None:
    header = find_header(sample(text))
    assert header is not None
    assert (header.last_line, header.headings) == (line, headings.split(","))


@pytest.mark.parametrize(
    "text",
    [
        *("ann@gmail|bo@x.org", "ann@gmail,Ann|bo@x.org,Bo", "ann@x.org.|bo@x.org", "mailto:ann@x.org|bo@x.org"),
        *(
            "ann at example.org|bo@x.org",
            "Ann,keine E-Mail|Bo,bo@x.org",
            "Ann,k.A.|Bo,bo@x.org",
            "Ann,no email|Bo,bo@x.org",
        ),
        *("ann.example.org|bo@x.org", "ann (at) example.org|bo@x.org", "Ann,|Bo,bo@x.org", "Ann,keine|Bo,bo@x.org"),
        *("email,Ann: ann@x.org|bo@x.org,Bo: b@x.org", "email,ann@x.org|bo@x.org,Bo"),
        *("Ann,12.03.1980,Rome|Bo,bo@x.org,Oslo", "Ann @ home,1|bo@x.org,2", "ann\uff20x.org|bo@x.org"),
        *("ann@x.org,Ann|email,name|bo@x.org,Bo", "a@x.org|b@x.org|c@x.org|email|d@x.org", "Members 2026,|a@x.org,Ann"),
    ],
)
def test_list_has_no_header_when_its_first_line_may_be_a_recipient(text: str) -> None:
    assert find_header(sample(text)) is None


@pytest.mark.parametrize(
    ("text", "lines", "headings"),
    [
        ("First,Last,E-Mail|name,name,address|Ann,Berg,a@x.org", (1, 2), "First name,Last name,E-Mail address"),
        ("Vor-,Nach-,E-Mail-|name,name,Adresse|Ann,Berg,a@x.org", (1, 2), "Vorname,Nachname,E-Mail-Adresse"),
        ("Kind,,E-Mail|Vorname,Nachname,|Ann,Berg,a@x.org", (1, 2), "Vorname,Nachname,E-Mail"),
        ("Kind,,Mutter,|Name,Klasse,Name,E-Mail|Ann,5b,Eva,e@x.org", (1, 2), "Kind Name,Klasse,Mutter Name,E-Mail"),
        (
            "Mutter,,Vater,|Name,E-Mail,Name,E-Mail|A,a@x.org,B,b@x.org",
            (1, 2),
            "Mutter Name,Mutter E-Mail,Vater Name,Vater E-Mail",
        ),
        ("Name,E-Mail,Ort|Name,Email,Place|Ann,a@x.org,Rome", (1, 2), "Name,E-Mail,Ort"),
        ("Liste 2026,Schule|name,email|Ann,a@x.org", (1, 2), "name,email"),
        ("name,email|Cy,|Ann,a@x.org", (1, 1), "name,email"),
    ],
)
def test_headings_are_joined_when_they_take_two_rows(text: str, lines: tuple[int, int], headings: str) -> None:
    header = find_header(sample(text))
    assert header is not None
    assert ((header.first_line, header.last_line), header.headings) == (lines, headings.split(","))
