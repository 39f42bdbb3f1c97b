"""Copy the rules of a style sheet into the elements of HTML, and prove that no template tag was lost or moved. Pure.

HTML as a person wrote it enters. The same HTML leaves with the styles in its elements, or a TagFault. css-inline parses
HTML as browsers do: it moves text out of tables, and it ends the process if elements are nested very deeply. So only
the child processes import this module, and tags are marks or comments meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

from css_inline import CSSInliner, InlineError

from batches.rendering.elements import Kind, read_pieces
from batches.rendering.tag_marks import Marked, hide_tags
from batches.rendering.tag_proof import prove_nesting
from batches.rendering.tags import TagFault

_RAW = "style|script|title|textarea"
_PIECE = re.compile(
    rf"(?P<comment><!--.*?(?:-->|\Z))|(?P<revealed><!\[(?P<condition>[^<>\]]*)\]>)|(?P<raw><(?P<name>{_RAW})\b[^<>]*>.*?(?:</(?P=name)\s*>|\Z))"
    r"|(?P<element></?[a-zA-Z](?:[^<>\"']|\"[^\"]*\"|'[^']*')*>)|(?P<words>[^<]+|<)",
    re.DOTALL | re.IGNORECASE,
)
_VALUE = re.compile(r"=\s*(?:\"[^\"]*\"|'[^']*')")
_ROWS = re.compile(
    r"(<table\b(?:[^<>\"']|\"[^\"]*\"|'[^']*')*>|</thead\s*>)((?:\s|<!--(?:[^-]|-(?!->))*-->)*)(?=<tr\b)", re.IGNORECASE
)
"""The place of a missing ``<tbody>``. The parser would add it after a statement that begins before the first row."""

_HAS_BODY = re.compile(r"<(?:html|head|body)\b", re.IGNORECASE)
_HEAD = re.compile(
    r"\s*(?:<!doctype\b[^<>]*>)?(?:\s|<(?P<name>style|title)\b[^<>]*>.*?</(?P=name)\s*>|<(?:meta|link)\b[^<>]*>)*",
    re.DOTALL | re.IGNORECASE,
)
"""What is before the content where no ``<body>`` begins it. The parser would put a statement after it into the head."""

_EMPTY_SHEET = re.compile(r"<style\b[^<>]*>\s*</style>")
_UNSEEN = frozenset({"style", "script", "title"})


def inline_styles(source: str) -> str:
    """Return HTML with the rules of its style sheets in its elements. Rules for narrow screens or dark colours stay.

    Raises:
        TagFault: A tag is where it can't be kept, or HTML or style sheet can't be read.
    """
    marked = hide_tags(source)
    prepared = _ROWS.sub(r"\1<tbody>\2", "".join(_prepare(marked)))
    if not _HAS_BODY.search(prepared):
        prepared = _HEAD.sub(r"\g<0><body>", prepared, count=1)
    prove_nesting(marked, prepared, is_letter=False)
    # A rule that no element can have itself stays in the style sheet, such as a:hover or @media.
    inliner = CSSInliner(
        keep_style_tags=True,
        remove_inlined_selectors=True,
        keep_at_rules=True,
        keep_link_tags=True,
        load_remote_stylesheets=False,
    )
    try:
        inlined = _EMPTY_SHEET.sub("", inliner.inline(prepared))
    except InlineError as exc:
        raise TagFault("The style sheet can't be read. Correct it, and try again.", 0) from exc
    _prove_order(marked, marked.numbers(inlined))
    prove_nesting(marked, inlined, is_letter=False)
    return marked.restore(inlined)


def _prove_order(marked: Marked, found: list[int]) -> None:
    """Go on only if the tags are those of the source, in its order."""
    expected = list(range(len(marked.spans)))
    if found == expected:
        return
    # One that comes twice at the end is as wrong as one that is missing.
    wrong = next(
        (one for one, other in zip(expected, found, strict=False) if one != other), min(len(found), len(expected) - 1)
    )
    raise _refuse(marked, wrong)


def read_words(html: str) -> str:
    """Return the words of a rendered message that a person sees, to compare two of them."""
    words: list[str] = []
    unseen = 0
    for piece in read_pieces(html):
        if piece.kind is Kind.WORDS and not unseen:
            words.append(unescape(piece.text))
        elif piece.kind in (Kind.START, Kind.END):
            words.append(" ")
        elif piece.kind is Kind.RAW and piece.name not in _UNSEEN and not unseen:
            words.append(piece.text)
        if piece.name == "head" and piece.kind in (Kind.START, Kind.END):
            unseen = int(piece.kind is Kind.START)
    return " ".join("".join(words).split())


def _prepare(marked: Marked) -> Iterator[str]:
    """Make a comment of each statement between elements: a table keeps comments in their place, and no words."""
    for piece in _PIECE.finditer(marked.text):
        text = piece[0]
        numbers = marked.numbers(text)
        if piece["element"] and numbers:
            outside = marked.numbers(_VALUE.sub("=", text))
            if outside:
                raise _refuse(marked, outside[0])
        elif piece["raw"] and numbers and piece["name"].lower() != "title":
            raise _refuse(marked, numbers[0])
        elif piece["revealed"]:
            # Outlook reads both the same. A parser makes a comment of the first, after which Outlook shows its content.
            is_end = piece["condition"].strip().lower() == "endif"
            text = "<!--<![endif]-->" if is_end else f"<!--[{piece['condition']}]><!-->"
        elif piece["words"]:
            text = marked.pattern.sub(lambda found: _as_comment(found[0], marked), text)
        yield text


def _as_comment(mark: str, marked: Marked) -> str:
    number = marked.numbers(mark)[0]
    return f"<!--{mark}-->" if marked.word(number) or marked.tag(number).startswith("{#") else mark


def _refuse(marked: Marked, number: int) -> TagFault:
    return TagFault(
        f"{marked.tag(number)} would be lost or moved in this place. Write it in the words of the letter, or in "
        "quotation marks after an attribute. In a table, write fields inside of its cells.",
        marked.offset(number),
    )
