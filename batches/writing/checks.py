"""Check a message before it is sent: what mail programs would cut, not show, or lead nowhere. Pure.

A rendered message enters. Findings leave, each as a sentence that says where and what to do. Nothing is fetched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from batches.rendering.elements import Kind, Piece, read_pieces
from batches.rendering.template import Rendered
from batches.translations import figure

CLIPPED_BYTES = 102_000
"""Gmail shows so much of a message, and hides the rest after a link. It says 102 KB."""

SEEN_MAX_CHARS = 300_000
"""How much of a message is looked at. The rest of one that is longer is not shown anyway."""

SUBJECT_SEEN_CHARS = 70
"""How much of a subject most programs show in their list."""

NAMED_MAX = 3
"""How many places one finding names."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_OPENED = ("http:", "https:", "mailto:", "tel:", "sms:")
"""What mail programs open. They make plain words of a link that begins with something else."""
_UNRESOLVED = re.compile(r"\{\{.{0,40}?\}\}|\{%.{0,40}?%\}|%7B%7B", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one check found."""

    text: str
    is_good: bool = False


def check_message(message: Rendered, *, is_news: bool = False, has_own_link: bool = False) -> list[Finding]:
    """Return what each check found. Those with a fault come first.

    Args:
        is_news: Whether recipients can unsubscribe.
        has_own_link: Whether the letter has the link for that itself. Otherwise it is added at the end.
    """
    seen = _Seen(message.html)
    found = [
        _check_size(message),
        _check_text(message),
        _check_unresolved(message, seen),
        _check_links(seen, bool(message.html)),
        _check_pictures(seen),
        _check_subject(message.subject),
        *([_check_unsubscribing(has_own_link)] if is_news else []),
    ]
    return sorted(filter(None, found), key=lambda finding: finding.is_good)


def say_kilobytes(size_bytes: int) -> str:
    """Say the size of a message as people do."""
    return figure(max(1, round(size_bytes / 1000)))


def _check_size(message: Rendered) -> Finding:
    kilobytes = say_kilobytes(message.size_bytes)
    if message.size_bytes > CLIPPED_BYTES:
        return Finding(
            text=_(
                "The message has %(size)s KB. Gmail shows the first 102 KB and hides the rest. Make it shorter, or put "
                "long parts on a page and link it."
            )
            % {"size": kilobytes}
        )
    return Finding(text=_("The message has %(size)s KB. Gmail shows all of it.") % {"size": kilobytes}, is_good=True)


def _check_text(message: Rendered) -> Finding:
    if message.html.strip() and not message.text.strip():
        return Finding(
            text=_("There is no text body. Some people read mail as text, and filters trust a message with both more.")
        )
    return Finding(text=_("There is a text for people who read no HTML."), is_good=True)


def _check_unresolved(message: Rendered, seen: _Seen) -> Finding | None:
    words = " ".join((message.subject, message.text[:SEEN_MAX_CHARS], *seen.words, *seen.links))
    found = list(dict.fromkeys(_UNRESOLVED.findall(words)))
    if not found:
        return None
    return Finding(text=_("People would read this as it is: %(tags)s. Check the fields.") % {"tags": _name(found)})


def _check_links(seen: _Seen, has_html: bool) -> Finding | None:
    relative = [link for link in seen.links if not _SCHEME.match(link) and not link.startswith(("#", "//"))]
    if relative:
        return Finding(
            text=ngettext(
                "A link leads nowhere, because its address is not whole: %(links)s. Begin it with https://.",
                "%(count)s links lead nowhere, because their addresses are not whole: %(links)s. Begin them with "
                "https://.",
                len(relative),
            )
            % {"count": len(relative), "links": _name([link or _("(empty)") for link in relative])}
        )
    dead = [link for link in seen.links if _SCHEME.match(link) and not link.lower().startswith(_OPENED)]
    if dead:
        return Finding(
            text=ngettext(
                "Mail programs don't open a link: %(links)s. Begin it with https://.",
                "Mail programs don't open %(count)s links: %(links)s. Begin them with https://.",
                len(dead),
            )
            % {"count": len(dead), "links": _name(dead)}
        )
    plain = [link for link in seen.links if link.lower().startswith("http:")]
    if plain:
        return Finding(
            text=ngettext(
                "A link is not encrypted: %(links)s. Write https:// if that page has it.",
                "%(count)s links are not encrypted: %(links)s. Write https:// if those pages have it.",
                len(plain),
            )
            % {"count": len(plain), "links": _name(plain)}
        )
    if not has_html or not seen.links:
        return None
    return Finding(text=_("Every link has a whole address."), is_good=True)


def _check_pictures(seen: _Seen) -> Finding | None:
    if not seen.pictures:
        return None
    silent = [address for address, words in seen.pictures if words is None]
    if silent:
        return Finding(
            text=ngettext(
                "A picture has no description for people who don't see it: %(pictures)s.",
                "%(count)s pictures have no description for people who don't see them: %(pictures)s.",
                len(silent),
            )
            % {"count": len(silent), "pictures": _name([address or _("(empty)") for address in silent])}
        )
    hidden = [address for address, _words in seen.pictures if not address.lower().startswith("https:")]
    hidden = [address for address in hidden if not re.match(r"http://(localhost|127\.0\.0\.1)[:/]", address)]
    if hidden:
        return Finding(
            text=_("Many programs don't show a picture whose address does not begin with https://: %(pictures)s.")
            % {"pictures": _name([address or _("(empty)") for address in hidden])}
        )
    return Finding(text=_("Every picture has a description and a whole address."), is_good=True)


def _check_subject(subject: str) -> Finding | None:
    if len(subject) <= SUBJECT_SEEN_CHARS:
        return None
    return Finding(
        text=_("The subject has %(count)s characters. Most programs show about %(seen)s of them.")
        % {"count": len(subject), "seen": SUBJECT_SEEN_CHARS}
    )


def _check_unsubscribing(has_own_link: bool) -> Finding:
    if has_own_link:
        return Finding(text=_("The letter has a link to unsubscribe."), is_good=True)
    return Finding(text=_("The letter has no link to unsubscribe, so one is added at its end."), is_good=True)


def _name(found: list[str]) -> str:
    named = ", ".join(f"“{each[:80]}”" for each in found[:NAMED_MAX])
    return f"{named} …" if len(found) > NAMED_MAX else named


class _Seen:
    """The words, links and pictures of a message."""

    def __init__(self, html: str) -> None:
        self.words: list[str] = []
        self.links: list[str] = []
        self.pictures: list[tuple[str, str | None]] = []
        is_head = False
        for piece in read_pieces(html[:SEEN_MAX_CHARS]):
            if piece.kind is Kind.WORDS and not is_head:
                self.words.append(unescape(piece.text))
            elif piece.kind is Kind.START and piece.name in ("a", "img"):
                self._take(piece)
            if piece.name == "head":
                is_head = piece.kind is Kind.START

    def _take(self, piece: Piece) -> None:
        values = piece.attributes()
        if piece.name == "img":
            is_hidden = values.get("role") == "presentation" or values.get("width") == "1"
            self.pictures.append((values.get("src") or "", "" if is_hidden else _alt_of(values)))
        elif "href" in values:
            self.links.append((values["href"] or "").strip())


def _alt_of(values: dict[str, str | None]) -> str | None:
    """Return the description of a picture. None: it has none. An empty one says that it is decoration."""
    return (values["alt"] or "") if "alt" in values else None
