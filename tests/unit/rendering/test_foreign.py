"""Tags of other systems are found, and ordinary text is not taken for them."""

from __future__ import annotations

from time import process_time

import pytest

from batches.rendering.foreign import TAGS_MAX, ForeignKind, find_foreign_tags
from batches.rendering.template import MessageParts


def find(text: str = "", *, html: str = "", merge_fields: tuple[str, ...] = ()) -> list[tuple[str, str, str]]:
    tags = find_foreign_tags(MessageParts(subject="S", html=html, text=text), merge_fields)
    return [(tag.kind.name, tag.text, tag.name) for tag in tags]


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("Hi *|FNAME|*!", "STARS", "FNAME"),
        ("Hi *|LIST:COMPANY|*!", "STARS", "LIST:COMPANY"),
        ("Hi [name],", "SQUARE", "name"),
        ("Hi [Vorname],", "SQUARE", "Vorname"),
        ("Hi [First Name],", "SQUARE", "First Name"),
        ("Hi [[name]],", "DOUBLE_SQUARE", "name"),
        ("Hi ((name)),", "ROUND", "name"),
        ("Hi ((first name)),", "ROUND", "first name"),
        ("Hi %name%,", "PERCENT", "name"),
        ("Hi %%FirstName%%,", "PERCENT", "FirstName"),
        ("Hi %FIRST_NAME%,", "PERCENT", "FIRST_NAME"),
        ("Hi <<name>>,", "ANGLE", "name"),
        ("Hi &lt;&lt;First Name&gt;&gt;,", "ANGLE", "First Name"),
        ("Hi {name},", "BRACE", "name"),
        ("Hi {First Name},", "BRACE", "First Name"),
        ("Hi {!Contact.FirstName},", "BRACE", "Contact.FirstName"),
        ("Hi ${name},", "DOLLAR", "name"),
        ("Hi <%= name %>,", "ERB", "name"),
        ("Hi [имя],", "SQUARE", "имя"),
    ],
)
def test_tag_is_found_once_when_another_system_writes_it(text: str, kind: str, name: str) -> None:
    for found in (find(text), find(html=f"<p>{text}</p>")):
        assert [(found_kind, found_name) for found_kind, _, found_name in found] == [(kind, name)]
        assert found[0][1] in text


@pytest.mark.parametrize(
    "text",
    [
        "As is known [1], and [2, 3] or [12].",
        "100 % of 50 % and 5% or 10%, 20% off",
        "https://example.org/?q=caf%C3%A9%20au%C3%A9",
        "https://example.org/a%20name%20b",
        "[a link](https://example.org)",
        "- [x] done",
        "list[index]",
        "He said (really (truly)).",
        "«Hamlet» and « Faust »",
        "1 << 2 and 5 >> 3",
        "{{ name }} {% if name %}[{{ name }}]{% endif %} {# [name] #}",
        "$5 and {1}",
        "Open from 8 to 9 (see below) [...]",
        "a { color: red }",
    ],
)
def test_nothing_is_found_when_the_text_is_ordinary(text: str) -> None:
    assert find(text) == []


@pytest.mark.parametrize(
    "html",
    [
        "<style>a[href] { color: red } @media print { p {margin} }</style>",
        "<!--[if mso]><p>[name]</p><![endif]-->",
        "<script>x = {name}; y = `${name}`</script>",
        "<style>x { a: b }</style>{# a comment #}",
    ],
)
def test_nothing_is_found_when_the_html_is_style_script_or_comment(html: str) -> None:
    assert find(html=html) == []


def test_comment_is_found_when_css_begins_one() -> None:
    html = "<style>\n@media print{#a{color:red}}p{color:#}</style>"
    (tag,) = find_foreign_tags(MessageParts(subject="S", html=html, text=""))
    assert (tag.kind, tag.line, tag.part) == (ForeignKind.COMMENT, 2, "html")
    assert tag.hint == (
        "The HTML body has {#a{color:red}}p{col in line 2. That begins a comment, which is left out of the message. "
        "Write a space after the {."
    )


def test_guillemets_are_found_when_the_list_has_such_a_column() -> None:
    assert find("Hi «Vorname», «Hamlet»", merge_fields=("vorname",)) == [("GUILLEMETS", "«Vorname»", "Vorname")]


def test_hint_says_where_and_what_to_write_when_a_tag_is_found() -> None:
    parts = MessageParts(subject="*|FNAME|*", html="", text="a\nb\n[Vorname]")
    assert [tag.hint for tag in find_foreign_tags(parts)] == [
        "The subject has *|FNAME|* in line 1. It would be sent unchanged. To show a field, write {{ FNAME }}.",
        "The text body has [Vorname] in line 3. It would be sent unchanged. To show a field, write {{ Vorname }}.",
    ]


@pytest.mark.parametrize(
    ("tag", "columns", "column"),
    [
        ("*|FNAME|*", ("nachname", "vorname"), "vorname"),
        ("*|FNAME|*", ("first_name", "name"), "first_name"),
        ("*|LNAME|*", ("name", "last_name"), "last_name"),
        ("*|EMAIL|*", ("vorname",), "email"),
        ("[First name]", ("first_name",), "first_name"),
        ("%Vornam%", ("vorname",), "vorname"),
        ("((Prénom))", ("prenom",), "prenom"),
    ],
)
def test_hint_names_the_column_that_a_tag_means(tag: str, columns: tuple[str, ...], column: str) -> None:
    (found,) = find_foreign_tags(MessageParts(subject="S", html="", text=tag), columns)
    assert found.hint.endswith(f"To show the column {column}, write {{{{ {column} }}}}.")


@pytest.mark.parametrize(
    "tag",
    [
        *(
            "$Vorname$",
            "#Vorname#",
            "##Vorname##",
            "{$Vorname}",
            "#{Vorname}",
            "[ Vorname ]",
            "@@Vorname@@",
            "\u2039\u2039Vorname\u203a\u203a",
        ),
        *("__Vorname__", "%(Vorname)s", "%Vor Name%", "@Vorname@"),
    ],
)
def test_name_of_a_column_is_found_in_rare_signs(tag: str) -> None:
    assert find(f"Dear {tag}, hello") == []
    (found,) = find_foreign_tags(MessageParts(subject="S", html="", text=f"Dear {tag}, hello"), ["vorname"])
    assert (found.text, found.column) == (tag, "vorname")


@pytest.mark.parametrize(
    "text", ["pay $5 or $10", "#vorname is a hash", "5 % of Vorname and 10 %", "ann@vorname.example@"]
)
def test_nothing_is_found_in_rare_signs_when_they_are_no_pair(text: str) -> None:
    assert find_foreign_tags(MessageParts(subject="S", html="", text=text), ["vorname"]) == []


def test_hint_names_no_column_when_none_is_near() -> None:
    (found,) = find_foreign_tags(MessageParts(subject="S", html="", text="*|UNSUB|*"), ["vorname"])
    assert found.hint.endswith("To show a field, write {{ UNSUB }}.")


def test_list_of_tags_is_bounded_when_there_are_many() -> None:
    assert len(find("[name] " * (TAGS_MAX + 1))) == TAGS_MAX


@pytest.mark.parametrize("sign", ["{{", "{%", "{#", "<style ", "<script ", "<!--", "[a", "((a ", "*|", "%abc", "«a "])
def test_time_is_bounded_when_a_sign_is_repeated_without_an_end(sign: str) -> None:
    began = process_time()
    find(html=sign * 50_000)
    assert process_time() - began < 2, "A search from each sign to the end of the message takes minutes."
