"""HTML is split as browsers split it, whatever is wrong with it, and never takes long."""

from __future__ import annotations

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.rendering.elements import Kind, Piece, read_pieces


def names(html: str) -> list[str]:
    return [f"{'/' * (piece.kind is Kind.END)}{piece.name}" for piece in read_pieces(html) if piece.name]


@pytest.mark.parametrize(
    ("html", "attributes"),
    [
        ("<a href='x y' b=c d>", {"href": "x y", "b": "c", "d": None}),
        ('<a href = "a&amp;b>c" href=z>', {"href": "a&b>c"}),
        ("<a\nTITLE=it's x>", {"title": "it's", "x": None}),
        ("<a href=x/y?z=1>", {"href": "x/y?z=1"}),
        ('<a b="never closed', {"b": "never closed"}),
        ("<a/b=1/c>", {"b": "1/c"}),
    ],
)
def test_attributes_are_read_as_browsers_read_them(html: str, attributes: dict[str, str | None]) -> None:
    [piece] = read_pieces(html)
    assert piece.attributes() == attributes


@pytest.mark.parametrize(
    ("html", "pieces"),
    [
        ("a<b>c", [(Kind.WORDS, "a"), (Kind.START, ""), (Kind.WORDS, "c")]),
        ("1 < 2", [(Kind.WORDS, "1 "), (Kind.WORDS, "<"), (Kind.WORDS, " 2")]),
        ("<!-- <b> --><!--><b>", [(Kind.COMMENT, " <b> "), (Kind.COMMENT, ""), (Kind.START, "")]),
        ("<![if !mso]>x<![endif]>", [(Kind.COMMENT, "![if !mso]"), (Kind.WORDS, "x"), (Kind.COMMENT, "![endif]")]),
        ("<![x", [(Kind.COMMENT, "![x")]),
        ("<!-- open <b>", [(Kind.COMMENT, " open <b>")]),
        ("<style>a<b></style>", [(Kind.START, ""), (Kind.RAW, "a<b>"), (Kind.END, "")]),
        ("<STYLE>a</styles>", [(Kind.START, ""), (Kind.RAW, "a</styles>")]),
    ],
)
def test_pieces_are_those_of_a_browser(html: str, pieces: list[tuple[Kind, str]]) -> None:
    assert [(piece.kind, piece.text) for piece in read_pieces(html)] == pieces


@pytest.mark.parametrize(
    "bomb",
    [
        *("<!--", "<!", "<![", "<![CDATA[", "<?", "</", "<a ", "<a b='", '<a b="', "</a b=", "<a b", "<a\n/", "<"),
        *("<style>", "</style", "<textarea><", "<a b= ", "&#", "<a =", "<a b='\"", "<a '\"<"),
    ],
)
def test_time_grows_with_the_length_only(bomb: str) -> None:
    html = bomb * (200_000 // len(bomb))
    began = time.process_time()
    for piece in read_pieces(html):
        piece.attributes()
    assert time.process_time() - began < 2


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.seen.append(f"/{tag}")


TAGS = st.sampled_from(["<p>", "</p>", '<a href="x">', "</a>", "<br>", "a < b", "&lt;", "<!-- <i> -->", "<td\nb='>'>"])


@given(st.lists(TAGS, max_size=30).map("".join))
def test_elements_are_those_of_the_parser_of_python_when_html_has_no_fault(html: str) -> None:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert names(html) == reader.seen


@given(st.text(alphabet="<>/!-='\"ab &;[]?\n", max_size=60))
def test_nothing_is_lost_when_it_is_no_tag(html: str) -> None:
    pieces = list(read_pieces(html))
    assert all(isinstance(piece, Piece) for piece in pieces)
    assert sum(len(piece.text) + len(piece.name) for piece in pieces) <= len(html)
