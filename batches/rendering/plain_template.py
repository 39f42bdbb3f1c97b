"""A template that only names merge fields: read and filled in here, in the process that needs it. Pure.

Most templates are plain. They need no engine and no child process: our own reader says that a source has nothing but
names in its tags, and the text between them is joined with the values. What it costs is known before it is paid.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Set
from itertools import chain, zip_longest
from typing import Any

from batches.rendering.language import ReadSource
from batches.rendering.read_template import ReadTemplate, refuse_output
from batches.rendering.syntax import KEYWORDS
from batches.rendering.template import OUTPUT_MAX_CHARS, UNSUBSCRIBE_URL, MessageParts, TemplateFault
from batches.rendering.typed_names import NOT_FIELDS, ROWS
from batches.rendering.wording import say_no_value

PLAIN_TAG = re.compile(r"\{\{\s*(\w+)\s*\}\}|\{[{%#]")
"""A tag of a source for the engine. It has a group if it is a name and nothing else."""

TAGS_MAX = 2_000
"""A part with more tags is left to a child. Reading it may take longer than a page may."""

# Short tags without quotes, braces and statements. Our reader takes time in proportion to their length, whatever is in
# them; so text that may be hostile is read here only if it has no others.
_MAY_BE_PLAIN = re.compile(r"""[^{]*(?:\{(?![{%#])[^{]*|\{\{(?:[^{}"'\\]|(?<=\w)'){1,120}\}\}[^{]*)*""")

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;", "/": "&#x2f;"})
"""How minijinja escapes values in HTML, so that both kinds of templates write the same."""


class _NotPlain(Exception):
    """A part has more than names in its tags."""


def read_plain(
    parts: MessageParts, merge_fields: Collection[str] | None = None, *, address_heading: str = ""
) -> PlainTemplate | None:
    """Read a template that has nothing but names in its tags. None: it has more, or too many of them.

    The arguments are those of ``ReadTemplate``.

    Raises:
        TemplateFault: A tag can't be read, the subject is empty, or there is no body.
    """
    if not all(map(_may_be_plain, (parts.subject, parts.html, parts.text))):
        return None
    try:
        return PlainTemplate(
            subject=parts.subject,
            html=parts.html,
            text=parts.text,
            columns=merge_fields,
            address_heading=address_heading,
            is_news=parts.is_news,
            footer=parts.footer,
        )
    except _NotPlain:
        return None


def _may_be_plain(source: str) -> bool:
    return source.count("{{") <= TAGS_MAX and _MAY_BE_PLAIN.fullmatch(source) is not None


class PlainTemplate(ReadTemplate):
    """A template of text and merge fields."""

    def __init__(self, **arguments: Any) -> None:
        self._literals: dict[str, list[str]] = {}
        self._names: dict[str, list[str]] = {}
        self._literal_chars: dict[str, int] = {}
        self._lines: dict[str, dict[str, int]] = {}
        """For each part, the line of the first tag that names a field."""
        super().__init__(**arguments)

    def _take_in(self, part: str, read: ReadSource, *, is_first: bool) -> None:
        literals: list[str] = []
        names: list[str] = []
        lines: dict[str, int] = {}
        position, line = 0, 1
        for tag in PLAIN_TAG.finditer(read.code):
            name = tag[1]
            if not name or not _is_field(name):
                raise _NotPlain
            line += read.code.count("\n", position, tag.start(1))
            lines.setdefault(name, line)
            line += read.code.count("\n", tag.start(1), tag.end())
            literals.append(read.code[position : tag.start()])
            names.append(name)
            position = tag.end()
        # As every engine of this language does: the line end at the end of a file is no part of the text.
        rest = read.code[position:]
        literals.append(rest.removesuffix("\n").removesuffix("\r"))
        self._literals[part], self._names[part], self._lines[part] = literals, names, lines
        self._literal_chars[part] = sum(map(len, literals))

    def _find_undeclared(self, part: str, read: ReadSource) -> Set[str]:
        return set(self._names[part])

    def _render(self, part: str, context: Mapping[str, Any]) -> str:
        names = self._names[part]
        values = {name: self._find_value(part, name, context) for name in dict.fromkeys(names)}
        if part == "html":
            values = {name: self._escape(name, value) for name, value in values.items()}
        filled = [values[name] for name in names]
        if self._literal_chars[part] + sum(map(len, filled)) > OUTPUT_MAX_CHARS:
            raise refuse_output(part)
        return "".join(chain.from_iterable(zip_longest(self._literals[part], filled, fillvalue="")))

    def _escape(self, name: str, value: str) -> str:
        """Escape a value for HTML. Our own link has no sign that needs it."""
        return value if self.is_news and name == UNSUBSCRIBE_URL else value.translate(_ESCAPES)

    def _find_value(self, part: str, name: str, context: Mapping[str, Any]) -> str:
        try:
            value = context[name]
        except KeyError:
            missing = self._fields.say_missing(context)
            raise TemplateFault(missing or say_no_value(part, self._lines[part][name], self._typed[part])) from None
        return value if isinstance(value, str) else str(value)


def _is_field(name: str) -> bool:
    is_special = name in KEYWORDS or name in NOT_FIELDS or name == ROWS or name.startswith("__")
    return name.isidentifier() and not is_special
