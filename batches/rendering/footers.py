"""Add the link with which a recipient unsubscribes to a body of news that has none. Pure.

A rendered body enters, with the link and the footer of the topic. The body with the link leaves. The same is done for
each recipient, for the gaps of a plain layout and for a preview, so they can't differ.
"""

from __future__ import annotations

import re
from html import escape

from batches.rendering.template import UNSUBSCRIBE_URL

_TAG = re.compile(r"\{\{\s*" + UNSUBSCRIBE_URL + r"\s*\}\}")
"""How a footer names the link. A footer has no merge fields."""

_ANY_TAG = re.compile(r"\{[{%#].{0,60}")

_UNSEEN = re.compile(
    r"<(?:!--.*?(?:-->|(?P<open_comment>\Z))"
    r"|(?P<name>style|script|title|template)\b.*?(?:</(?P=name)\s*>|(?P<open_element>\Z))"
    r"|(?:meta|link)\b[^<>]*>)",
    re.DOTALL | re.IGNORECASE,
)
"""What no recipient sees, so that nobody can press a link in it. What is not closed goes on to the end."""

_END = re.compile(r"</(?:body|html)\s*>", re.IGNORECASE)

_DEFAULT = "Unsubscribe: {{ unsubscribe_url }}"
_STYLE = "margin-top:2em;font-size:smaller"

_GROUND, _GROUND_END = '<div class="ground" style=', "</div>\n"
"""How the frame of letters begins, and how it ends before ``</body>`` (batches/writing/frame.py)."""
_STYLE_IN_FRAME = "margin:0;padding:16px 4px 0;text-align:left;font-size:13px"
"""Like the footer of the frame, which it follows."""


def find_footer_fault(footer: str) -> str:
    """Return a sentence about what every recipient would read as it is typed, such as a merge field. Empty: none."""
    found = _ANY_TAG.search(_TAG.sub("", footer))
    if found is None:
        return ""
    return (
        f"Recipients would read {found[0]!r} as it is, because a footer has no fields. Remove it. "
        "Only {{ unsubscribe_url }}, written so, is replaced."
    )


def add_to_text(body: str, *, url: str, footer: str) -> str:
    """Return a text body of news with its link: as it is if it has the link, else with the footer at its end."""
    if url in body:
        return body
    words = footer.strip() or _DEFAULT
    shown = _TAG.sub(lambda _: url, words) if _TAG.search(words) else f"{words}\n{url}"
    # The line before a signature, as mail programs write it (RFC 3676, section 4.3). Nothing depends on how the body
    # ends, which may be a field: a plain layout could not know it.
    return f"{body}\n-- \n{shown}\n"


def add_to_html(body: str, *, url: str, footer: str) -> str:
    """Do the same with an HTML body: the footer goes before the end of its content. A link that is unseen is none."""
    if url in body and url in _UNSEEN.sub("", body):
        return body
    link = f'<a href="{escape(url)}">{{}}</a>'
    words = footer.strip()
    if not words:
        shown = link.format("Unsubscribe")
    elif _TAG.search(words):
        shown = link.format(escape(url)).join(map(_as_html, _TAG.split(words)))
    else:
        shown = f"{_as_html(words)}<br>{link.format('Unsubscribe')}"
    place = _find_end(body)
    style = _STYLE
    if body.find(_GROUND, 0, place) >= 0 and body.endswith(
        _GROUND_END, 0, place
    ):  # outside, it would be as wide as the window
        place, style = place - len(_GROUND_END), _STYLE_IN_FRAME
    return f'{body[:place]}<p style="{style}">{shown}</p>\n{body[place:]}'


def _as_html(words: str) -> str:
    return "<br>\n".join(escape(words).splitlines())


def _find_end(body: str) -> int:
    """Return where the content of a body ends: before its last ``</body>`` or ``</html>`` that is not unseen."""
    unseen = list(_UNSEEN.finditer(body))
    seen = _UNSEEN.sub(lambda each: " " * len(each[0]), body) if unseen else body
    ends = [end.start() for end in _END.finditer(seen)]
    # Mail programs show what is after </body> too. So a second one, which is a fault, does not hide the footer.
    body_ends = [end for end in ends if seen[end + 2 : end + 6].lower() == "body"]
    last = unseen[-1] if unseen else None
    is_open = last is not None and (last["open_comment"], last["open_element"]) != (None, None)
    return (body_ends or ends or [last.start() if last and is_open else len(body)])[-1]
