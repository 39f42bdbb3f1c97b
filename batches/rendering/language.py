"""Read a whole source of the template language: its statements, its fields, and the names that it uses. Pure.

A source enters as it was typed. The source that minijinja compiles leaves, with the names that it uses. What minijinja
would refuse in its own words is refused here with what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches

from batches.names import make_key
from batches.rendering.expressions import Expression
from batches.rendering.syntax import KEYWORDS, Kind, Node, Uses
from batches.rendering.tags import Tag, TagFault, find_line, find_tags, read_tokens
from batches.rendering.typed_names import ROWS

_WITH_END = frozenset({"if", "for", "filter", "macro", "call", "with", "block", "autoescape", "set"})
_ENDINGS = {f"end{word}": word for word in _WITH_END}
_STATEMENTS = frozenset({*_ENDINGS, *_WITH_END, "elif", "else", "do", "break", "continue"})
_OTHER_TEMPLATES = frozenset({"include", "import", "from", "extends"})
_MISTAKES = {
    "else if": "elif",
    "elseif": "elif",
    "elsif": "elif",
    "elsef": "elif",
    "end if": "endif",
    "end for": "endfor",
    "end": "endif",
    "fi": "endif",
    "foreach": "for",
    "assign": "set",
}
_PLAIN_NAME = re.compile(r"[^\"{}|\[\]=<>*%~\\]*[^\W\d][^\"{}|\[\]=<>*%~\\]*")
_BEGINNINGS = frozenset({"and", "in", "is"})
"""Keywords with which a heading begins, such as "In class", and no mistake does."""

_QUOTED_NAME = re.compile(r"[^\W\d_]\w+(?:[ _-]\w+){0,3}")
_DIGITS = re.compile(r"[\d./-]+")
_CALL = re.compile(r"\w\(")
_NAME_MAX_CHARS = 60
_HANDLEBARS = re.compile(r"[#/^>!&]")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadSource:
    """A source that was read."""

    code: str
    """The source for minijinja. It has as many lines as the typed one."""
    uses: Uses


def read_source(source: str, *, keys: Collection[str] = (), renamed: Mapping[str, str] | None = None) -> ReadSource:
    """Read a source, and rewrite it for minijinja.

    Args:
        keys: The keys of the list's merge fields, if there is a list.
        renamed: The identifiers to write instead of others.

    Raises:
        TagFault: A tag can't be read.
    """
    reader = _Reader(keys, renamed or {})
    pieces, position = [], 0
    for tag in find_tags(source):
        pieces += [source[position : tag.start], reader.rewrite(tag)]
        position = tag.end
    reader.finish(source)
    return ReadSource(code="".join([*pieces, source[position:]]), uses=reader.uses)


class _Reader:
    """Reads the tags of one source in order."""

    def __init__(self, keys: Collection[str], renamed: Mapping[str, str]) -> None:
        self._keys, self._renamed = keys, renamed
        self._open: list[tuple[str, int]] = []
        """The statements that have no end yet, each with its place."""
        self.uses = Uses()

    def rewrite(self, tag: Tag) -> str:
        """Return the code of a tag for minijinja."""
        if tag.is_statement:
            expression = self._expression(tag)
            self._statement(expression, tag)
            return expression.rewritten()
        return self._variable(tag)

    def finish(self, source: str) -> None:
        """Refuse a statement without an end."""
        if self._open:
            word, offset = self._open[-1]
            line = find_line(source, offset)
            raise TagFault(f"{{% {word} %}} in line {line} has no end. Write {{% end{word} %}} after it.", offset)

    def _expression(self, tag: Tag) -> Expression:
        return Expression(
            tag.code,
            read_tokens(tag.code),
            uses=self.uses,
            offset=tag.start,
            keys=self._keys,
            renamed=self._renamed,
        )

    def _variable(self, tag: Tag) -> str:
        name = tag.code.strip()
        if not name:
            raise TagFault("The tag is empty. Write the name of a field in it: {{ first_name }}.", tag.start)
        if self._is_column(name):
            return self._name(tag, name)
        expression = self._expression(tag)
        self._check_quotes(expression, tag)
        function_count, field_count = len(self.uses.functions), len(self.uses.fields)
        try:
            expression.read()
            expression.finish()
            is_name = self._is_plain_name(name) and len(self.uses.functions) > function_count
        except TagFault:
            if not self._is_plain_name(name):
                raise
            is_name = True
        if not is_name:
            return expression.rewritten()
        # The whole tag is one name: "Tel.", "Name (child)", "1. choice".
        del self.uses.functions[function_count:]
        for added in list(self.uses.fields)[field_count:]:
            del self.uses.fields[added]
        return self._name(tag, name)

    def _is_column(self, name: str) -> bool:
        """Say whether a tag means a column whose heading is no name: 2026, Not paid, Rows."""
        if make_key(name) not in self._keys or not _PLAIN_NAME.fullmatch(f"{name}x"):
            return False
        first = name.split()[0]
        is_keyword = first in KEYWORDS and make_key(name[len(first) :]) not in self._keys
        return is_keyword or first == ROWS or _DIGITS.fullmatch(name) is not None

    def _name(self, tag: Tag, name: str) -> str:
        """Return the code of a tag that is one name, whatever signs it has."""
        expression = self._expression(tag)
        start = len(tag.code) - len(tag.code.lstrip())
        expression.use(Node(Kind.FIELD, start, start + len(name)))
        return expression.rewritten()

    def _check_quotes(self, expression: Expression, tag: Tag) -> None:
        """Refuse a name in quotation marks: everybody would read the name."""
        if expression.token.kind != "string" or expression.token_after.kind != "end":
            return
        name = expression.token.text[1:-1].strip()
        is_typed = '"' not in tag.text and "'" not in tag.text  # with the quotes of a word processor
        if make_key(name) in self._keys or (is_typed and _QUOTED_NAME.fullmatch(name)):
            message = f"“{name}” in quotation marks is sent as it is. Write {{{{ {name} }}}} without them."
            raise TagFault(message, tag.start)

    def _is_plain_name(self, name: str) -> bool:
        words = name.split()
        return (
            len(name) <= _NAME_MAX_CHARS
            and _PLAIN_NAME.fullmatch(name) is not None
            and (words[0] not in KEYWORDS | _STATEMENTS or (words[0] in _BEGINNINGS and len(words) > 1))
            and not _HANDLEBARS.match(name)
            and not _CALL.search(name)
        )

    def _statement(self, code: Expression, tag: Tag) -> None:
        words = " ".join(tag.code.split()[:2])
        word = code.word().text
        wrong = words if words in _MISTAKES else word
        if wrong in _MISTAKES:
            raise TagFault(f"There is no {{% {wrong} %}}. Write {{% {_MISTAKES[wrong]} %}}.", tag.start)
        if word == "raw":  # with an end, it is no tag here
            raise TagFault("{% raw %} has no end. Write {% endraw %} after it.", tag.start)
        if word in _OTHER_TEMPLATES:
            raise TagFault(f"A message can't use other templates. Copy the text here, not {tag.text}.", tag.start)
        if word not in _STATEMENTS:
            raise TagFault(_say_unknown_statement(word, tag), tag.start)
        if word in _ENDINGS:
            self._close(word, tag)
            if code.token.kind == "name":  # the name of a block or macro may follow
                code.skip()
            code.finish()
            return
        if word in ("else", "elif"):
            self._check_is_inside(word, tag)
        has_end = _STATEMENT_READERS[word](self, code) if word in _STATEMENT_READERS else False
        code.finish()
        if has_end:
            self._open.append((word, tag.start))

    def _close(self, word: str, tag: Tag) -> None:
        opening = _ENDINGS[word]
        if not self._open:
            raise TagFault(f"{{% {word} %}} ends nothing. Remove it, or write {{% {opening} ... %}} before.", tag.start)
        inner = self._open[-1][0]
        if inner != opening:
            message = f"{{% {word} %}} comes before the end of {{% {inner} %}}. Write {{% end{inner} %}} first."
            raise TagFault(message, tag.start)
        self._open.pop()

    def _check_is_inside(self, word: str, tag: Tag) -> None:
        inner = self._open[-1][0] if self._open else ""
        if inner not in (("if", "for") if word == "else" else ("if",)):
            message = f"{{% {word} %}} belongs between {{% if ... %}} and {{% endif %}}. Move it there, or remove it."
            raise TagFault(message, tag.start)

    def _read_expression_with_end(self, code: Expression) -> bool:
        code.read()
        return True

    def _read_expression(self, code: Expression) -> bool:
        code.read()
        return False

    def _read_for(self, code: Expression) -> bool:
        before = set(self.uses.own)
        names = self._read_targets(code, "in")
        is_over_rows = code.token.text == ROWS
        with self._without(self.uses.own - before):
            code.read_condition()
        if is_over_rows and len(names) == 1:
            self.uses.row_names.add(names[0])
        if code.accept("if"):
            code.read()
        code.accept("recursive")
        return True

    def _read_set(self, code: Expression) -> bool:
        before = set(self.uses.own)
        self._read_targets(code, "=", "|")
        if code.token.kind == "end":
            return True
        if code.accept("|"):
            code.read_filters()
            return True
        with self._without(self.uses.own - before):
            code.read()
        return False

    def _read_with(self, code: Expression) -> bool:
        while code.token.kind != "end":
            before = set(self.uses.own)
            self._read_targets(code, "=")
            with self._without(self.uses.own - before):
                code.read()
            code.accept(",")
        return True

    @contextmanager
    def _without(self, names: set[str]) -> Iterator[None]:
        """Read a value before the variables are set to it: {% set name = name|upper %}."""
        self.uses.own -= names
        yield
        self.uses.own |= names

    def _read_call(self, code: Expression) -> bool:
        if code.accept("("):
            self._read_parameters(code)
        code.read()
        return True

    def _read_macro(self, code: Expression) -> bool:
        name = code.word()
        self.uses.own.add(name.text)
        code.expect("(")
        self._read_parameters(code)
        return True

    def _read_filter(self, code: Expression) -> bool:
        code.read_filters()
        return True

    def _read_block(self, code: Expression) -> bool:
        code.word()
        return True

    def _read_parameters(self, code: Expression) -> None:
        while not code.accept(")"):
            self._read_name(code)
            if code.accept("="):
                code.read()
            code.accept(",")

    def _read_targets(self, code: Expression, *ends: str) -> list[str]:
        """Read the names that a statement sets, up to a word or sign or the end of the tag."""
        names = []
        while code.token.kind != "end" and code.token.text not in ends:
            names.append(self._read_target(code))
            code.accept(",")
        if code.token.text in ends and code.token.text != "|":
            code.skip()
        elif ends[0] == "in":
            code.refuse()
        return names

    def _read_target(self, code: Expression) -> str:
        code.accept("(")
        name = self._read_name(code)
        code.accept(")")
        while code.accept("."):  # an attribute of a namespace
            code.word()
        return name

    def _read_name(self, code: Expression) -> str:
        token = code.word()
        code.use(Node(Kind.FIELD, token.start, token.end), is_own=True)
        return token.text


_STATEMENT_READERS = {
    "if": _Reader._read_expression_with_end,
    "elif": _Reader._read_expression,
    "for": _Reader._read_for,
    "set": _Reader._read_set,
    "with": _Reader._read_with,
    "call": _Reader._read_call,
    "macro": _Reader._read_macro,
    "filter": _Reader._read_filter,
    "do": _Reader._read_expression,
    "autoescape": _Reader._read_expression_with_end,
    "block": _Reader._read_block,
}
"""Each reads a statement after its word, and says whether an end has to follow."""


def _say_unknown_statement(word: str, tag: Tag) -> str:
    near = get_close_matches(word, sorted(_STATEMENTS), 1)
    if near:
        return f"There is no {{% {word} %}}. Did you mean {{% {near[0]} %}}?"
    return f"There is no {{% {word} %}}. To show a field, write {{{{ {tag.code.strip()} }}}}."
