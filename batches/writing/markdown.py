"""Turn a letter in Markdown into HTML and text that have the same template tags in the same order. Pure.

A source and the frame of the site enter. A document of HTML and a text leave, or a TagFault with the place of what
can't be turned. Markdown alone would break tags: it encodes them in addresses, and takes a statement between two items
of a list into the first one. So each tag is a mark (``tag_marks``) while it is read, and the result is proven.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token

from batches.rendering.tag_marks import Marked, hide_tags
from batches.rendering.tag_proof import prove
from batches.rendering.tags import TagFault
from batches.writing.blocks import BLOCK_TAG, lift_tags, separate_blocks
from batches.writing.frame import Frame, frame_html, frame_text
from batches.writing.lists import join_lists
from batches.writing.plain_words import write_text

SOURCE_MAX_CHARS = 40_000
"""The longest letter in Markdown. It is read in the process that serves pages, so its time has to be short."""

_COLUMNS_MAX = 30
_CELLS_MAX = 30_000
"""Markdown fills up every row of a table to the columns of its first one, so a wide and long one takes seconds."""

BUTTON = "button"
"""The class of a link that is drawn as a button: a bold link that is a paragraph of its own."""

_TAGS = {
    *("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "s", "code", "a", "img"),
    *("ul", "ol", "li", "blockquote", "table", "thead", "tbody", "tr", "th", "td"),
}
_ATTRIBUTES = {"a": {"href", "class"}, "img": {"src", "alt"}, "ol": {"start"}, "th": {"align"}, "td": {"align"}}
_SCHEMES = {"http", "https", "mailto", "tel"}
_ADDRESSES = {"link_open": "href", "image": "src"}
_SCHEME = re.compile(r"([^/?#:]*):")
_LABEL_END = re.compile(r"[./@:?#]")


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenLetter:
    """A letter in both forms, with its tags and the frame around it."""

    html: str
    text: str


def write_letter(source: str, frame: Frame) -> WrittenLetter:
    """Turn a letter in Markdown into HTML and text.

    Raises:
        TagFault: It is too long, or a tag is where it can't be kept. ``offset`` is its place in the source.
    """
    if len(source) > SOURCE_MAX_CHARS:
        raise TagFault(f"It has more than {SOURCE_MAX_CHARS:,} characters. Make it shorter.", SOURCE_MAX_CHARS)
    wide = next((line for line in source.split("\n") if line.count("|") > _COLUMNS_MAX), None)
    if wide is not None:
        raise TagFault(f"A table has {_COLUMNS_MAX} columns at most. Make it narrower.", source.index(wide))
    if max(line.count("|") for line in source.split("\n")) * source.count("\n") > _CELLS_MAX:
        raise TagFault("A table has too many cells. Make it shorter or narrower.", source.index("|"))
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    marked = hide_tags(source)
    tokens = join_lists(lift_tags(_parser().parse(separate_blocks(marked)), marked), marked)
    _check_addresses(tokens, marked)
    _find_buttons(tokens)
    html = nh3.clean(
        _parser().renderer.render(tokens, _parser().options, {}),
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        strip_comments=False,  # a statement between the rows of a table is a comment until the tags are put back
        link_rel=None,
    )
    text = write_text(tokens)
    prove(marked, html=html, text=text)
    # The frame first, because a tag may hold what looks like an element.
    return WrittenLetter(html=marked.restore(frame_html(html, frame)), text=frame_text(marked.restore(text), frame))


@cache
def _parser() -> MarkdownIt:
    """Make the reader of Markdown: as CommonMark, with tables, and a line end is a line end.

    It reads no HTML, and no blocks of code, because a paragraph that is only indented is no code in a letter. It knows
    no references, because ``[name]`` is a field of another program, and the page says so.
    """
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "xhtmlOut": False})
    parser.enable(["table", "strikethrough"]).disable(["code", "fence", "reference", "html_block", "html_inline"])
    parser.add_render_rule(BLOCK_TAG, lambda self, tokens, index, options, env: f"<!--{tokens[index].content}-->\n")
    return parser


def _check_addresses(tokens: Sequence[Token], marked: Marked) -> None:
    """Refuse an address that mail programs do not open, or that would not have its field as it is typed."""
    for child in (child for token in tokens for child in token.children or []):
        if child.type not in _ADDRESSES:
            continue
        address = str(child.attrGet(_ADDRESSES[child.type]) or "")
        scheme = _SCHEME.match(address)
        if scheme and scheme[1].lower() not in _SCHEMES:
            raise _refuse_scheme(scheme[1], marked)
        # The letters of such a label stand for others (RFC 3492), so a value in it would make another name.
        labels = (label for label in _LABEL_END.split(address) if label.startswith("xn--"))
        if wrong := [number for label in labels for number in marked.numbers(label)]:
            raise TagFault(
                f"{marked.tag(wrong[0])} can't be beside letters such as ü in the name of a server. Put a point "
                "between them, or write the whole address into the list.",
                marked.offset(wrong[0]),
            )


def _refuse_scheme(scheme: str, marked: Marked) -> TagFault:
    numbers = marked.numbers(scheme)
    typed = re.search(rf"[(<]\s*{re.escape(scheme)}:", marked.source)
    shown = marked.pattern.sub(lambda found: marked.tag(marked.numbers(found[0])[0]), scheme)
    return TagFault(
        f"The address of a link begins with https://, http://, mailto: or tel:, and not with {shown}: as this one.",
        marked.offset(numbers[0]) if numbers else typed.start() if typed else 0,
    )


def _find_buttons(tokens: Sequence[Token]) -> None:
    """Give a link its class if it is all that a paragraph has, and bold."""
    for before, token in pairwise(tokens):
        children = token.children or []
        kinds = [child.type for child in children if child.type != "text" or child.content]
        is_bold_link = kinds[:2] == ["strong_open", "link_open"] and kinds[-2:] == ["link_close", "strong_close"]
        if before.type == "paragraph_open" and is_bold_link and kinds.count("link_open") == 1:
            next(child for child in children if child.type == "link_open").attrSet("class", BUTTON)
