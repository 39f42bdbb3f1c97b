"""A language that is none: each message is itself in brackets, so that a word without brackets was not translated.

``write_catalogue`` makes it of every message that the site and Django have. ``find_bare_words`` finds the words of a
page that are outside of the brackets, and that are no data.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterator
from html.parser import HTMLParser
from pathlib import Path

import django
from django.apps import apps

from tests.project_files import PROJECT_DIR

OPEN, CLOSE = "⟦", "⟧"
HEADER = "Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=(n != 1);\n"

BLOCKS = {
    *(
        "body",
        "button",
        "dd",
        "details",
        "div",
        "dt",
        "fieldset",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "header",
        "label",
    ),
    *(
        "legend",
        "li",
        "main",
        "nav",
        "ol",
        "optgroup",
        "option",
        "p",
        "section",
        "summary",
        "table",
        "tbody",
        "td",
        "th",
    ),
    *("thead", "title", "tr", "ul"),
}
"""A message ends with each of these, even if it was cut and its bracket is gone."""

DATA = {"code", "iframe", "kbd", "noscript", "pre", "script", "style", "svg", "textarea"}
"""What these hold is what people typed, or a program."""

SHOWN_ATTRIBUTES = ("title", "alt", "placeholder", "aria-label", "aria-description", "label")

_BODY = re.compile(r"([^\0]+?)([.!?]?)(?=\0|\Z)")
_WORD = re.compile(r"[A-Za-z]{2,}")
_NAMES_OF_THINGS = re.compile(r"\S*(?:[@/_=\d]|\w[.:]\w)\S*")
"""Addresses, names of files, keys and numbers."""


def write_catalogue(folder: Path, code: str) -> None:
    """Write the catalogue of a language into a folder of LOCALE_PATHS, from those that exist for this language."""
    sources = [Path(config.path) / "locale" for config in apps.get_app_configs()]
    sources += [Path(django.__file__).parent / "conf/locale", PROJECT_DIR / "locale"]
    messages: dict[bytes, bytes] = {b"": HEADER.encode()}
    for source in sources:
        for file in sorted((source / code / "LC_MESSAGES").glob("django.mo")):
            messages |= {original: _enclose(original) for original in _read_originals(file.read_bytes()) if original}
    target = folder / code / "LC_MESSAGES"
    target.mkdir(parents=True)
    (target / "django.mo").write_bytes(_pack(messages))


def _enclose(original: bytes) -> bytes:
    text = original.decode().rpartition("\x04")[2]
    # The last sign stays outside, so that a sentence that follows begins after a full stop.
    return _BODY.sub(rf"{OPEN}\1{CLOSE}\2", text).encode()


def _read_originals(content: bytes) -> Iterator[bytes]:
    """Yield the messages of a compiled catalogue (GNU gettext, section 10.3)."""
    order = "<" if content.startswith(b"\xde\x12\x04\x95") else ">"
    count, originals = struct.unpack_from(f"{order}2I", content, 8)
    for place in range(count):
        length, start = struct.unpack_from(f"{order}2I", content, originals + 8 * place)
        yield content[start : start + length]


def _pack(messages: dict[bytes, bytes]) -> bytes:
    pairs = sorted(messages.items())
    count, head = len(pairs), 28
    start = head + 16 * count
    texts, tables = b"", []
    for column in (0, 1):
        table = []
        for pair in pairs:
            table += [len(pair[column]), start + len(texts)]
            texts += pair[column] + b"\0"
        tables.append(struct.pack(f"<{2 * count}I", *table))
    header = struct.pack("<7I", 0x950412DE, 0, count, head, head + 8 * count, 0, start)
    return header + b"".join(tables) + texts


def find_bare_words(html: str, *, data: Collection[str]) -> list[str]:
    """Return the texts of a page in which a word is outside of the brackets, and is none of ``data``."""
    reader = _Reader(frozenset(word.lower() for word in data))
    reader.feed(html)
    reader.close()
    return reader.bare


class _Reader(HTMLParser):
    def __init__(self, data: frozenset[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.bare: list[str] = []
        self._data = data
        self._depth = 0
        self._unread = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in BLOCKS:
            self._depth = 0
        self._unread += tag in DATA
        values = dict(attrs)
        names = [*SHOWN_ATTRIBUTES, *(["value"] if values.get("type") in ("submit", "button") else [])]
        if self._depth == 0 and not self._unread:
            for name in names:
                self._note(_strip(values.get(name) or "", 0)[0])

    def handle_endtag(self, tag: str) -> None:
        self._unread -= tag in DATA
        if tag in BLOCKS:
            self._depth = 0

    def handle_data(self, data: str) -> None:
        if not self._unread:
            outside, self._depth = _strip(data, self._depth)
            self._note(outside)

    def _note(self, outside: str) -> None:
        words = _WORD.findall(_NAMES_OF_THINGS.sub(" ", outside))
        if any(word.lower() not in self._data for word in words):
            self.bare.append(" ".join(outside.split()))


def _strip(text: str, depth: int) -> tuple[str, int]:
    """Return what is outside of the brackets, and how deep the end of the text is within them."""
    outside = []
    for sign in text:
        depth += sign == OPEN
        outside.append(sign if depth == 0 else " " if sign == OPEN else "")
        depth -= sign == CLOSE and depth > 0
    return "".join(outside), depth
