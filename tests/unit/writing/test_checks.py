"""The checks of a message say what mail programs would cut, not show, or lead nowhere."""

from __future__ import annotations

import pytest

from batches.rendering.template import Rendered
from batches.writing.checks import check_message

GOOD = Rendered(subject="Party", html='<p>Hi</p><a href="https://x.org">x</a>', text="Hi")


def doubts(message: Rendered, **options: bool) -> list[str]:
    return [finding.text for finding in check_message(message, **options) if not finding.is_good]


def test_nothing_is_doubtful_when_a_message_is_good() -> None:
    assert doubts(GOOD, is_news=True) == []
    assert "so one is added at its end" in check_message(GOOD, is_news=True)[-1].text
    assert check_message(GOOD, is_news=True, has_own_link=True)[-1].text == "The letter has a link to unsubscribe."


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("html", "<p>" + "x" * 102_000, ["102 KB", "Gmail"]),
        ("text", " ", ["no text body"]),
        ("html", '<a href="www.x.org">x</a>', ["not whole", "“www.x.org”"]),
        ("html", '<a href="">x</a><a href="/a">y</a>', ["2 links lead nowhere", "“(empty)”, “/a”"]),
        ("html", '<a href="http://x.org/a">x</a>', ["not encrypted", "“http://x.org/a”"]),
        ("html", '<a href="javascript:alert(1)">x</a>', ["don't open a link", "“javascript:alert(1)”"]),
        ("html", '<a href="DATA:text/html,x">x</a><a href="cid:1">y</a>', ["don't open 2 links", "“cid:1”"]),
        ("html", '<img alt="A">', ["“(empty)”", "does not begin with https://"]),
        ("html", '<img src="https://x.org/a.png">', ["no description", "“https://x.org/a.png”"]),
        ("html", '<img src="a.png" alt="A">', ["“a.png”", "does not begin with https://"]),
        ("html", '<a href="https://x.org/%7B%7Burl%7D%7D">x</a>', ["“%7B%7B”"]),
        ("text", "Dear {{ name }}", ["“{{ name }}”"]),
        ("subject", "x" * 71, ["71 characters"]),
    ],
)
def test_finding_says_what_and_where_when_something_is_doubtful(part: str, value: str, words: list[str]) -> None:
    found = doubts(GOOD._replace(**{part: value}))
    assert len(found) == 1
    assert [word for word in words if word not in found[0]] == []


@pytest.mark.parametrize(
    "html",
    [
        '<a href="mailto:a@x.org">a</a><a href="#part">b</a><a href="tel:1">c</a>',
        '<img src="https://x.org/a.png" alt="">',
        "<style>a { color: {red} }</style><p>x</p>",
    ],
)
def test_nothing_is_doubtful_when_it_only_looks_odd(html: str) -> None:
    assert doubts(GOOD._replace(html=html)) == []
