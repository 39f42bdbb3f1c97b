"""Keep what is known of a tag's code while it is read: the next token, the names that it uses, and the edits. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple, NoReturn

from batches.rendering.tags import TagFault, Token

CONSTANTS = frozenset(["true", "false", "none", "True", "False", "None"])
KEYWORDS = CONSTANTS | frozenset(["and", "or", "not", "in", "is", "if", "else", "elif"])

_EXAMPLES = "Write a field as {{ first_name }} and a condition as {% if points > 100 %}."
_INSTEAD = {
    "=": "A single = sets a value. Write == to compare, and >= for “at least”.",
    "&": "Write “and” instead of &.",
    "|": "Write “or” instead of ||.",
    "!": "Write “not” instead of !, or != for “is not”.",
    "<": "There is HTML inside the tag. Move it out of the braces.",
    ">": "Write <> as !=, and => as >=.",
    ",": "Write a number without a sign between the thousands: 1000.",
    ":": 'Write the argument of a filter in brackets: name|default("friend").',
    "'": "A quotation mark has no second one. Close the quotation.",
    '"': "A quotation mark has no second one. Close the quotation.",
    "$": "Write the name without $.",
    "@": "Write the name without @.",
    "#": "Write a condition as {% if name %} ... {% endif %}.",
}


class Kind(Enum):
    """What is known of a part of an expression before it is rendered."""

    NUMBER = auto()
    LITERAL = auto()
    """A text in quotes."""
    TEXT = auto()
    SUM = auto()
    """Two sides of a plus: a number, or a text of two that were joined."""
    CONSTANT = auto()
    """True, false or none."""
    COMPARISON = auto()
    NUMBERS = auto()
    """A list of numbers only."""
    FIELD = auto()
    OTHER = auto()


class Node(NamedTuple):
    """A part of an expression."""

    kind: Kind
    start: int
    end: int


class NameUse(NamedTuple):
    """A filter, test, function or method in a template."""

    name: str
    offset: int


@dataclass(kw_only=True, slots=True)
class Uses:
    """The names that a source uses."""

    fields: dict[str, str] = field(default_factory=dict)
    """Variables: from the identifier to the name as it was typed first."""
    read_first: set[str] = field(default_factory=set)
    """Variables that are read where the source has not set them. minijinja finds most of them, but not name[:1]."""
    own: set[str] = field(default_factory=set)
    """Variables that the source sets itself."""
    attributes: set[str] = field(default_factory=set)
    row_fields: dict[str, str] = field(default_factory=dict)
    """Those attributes that are fields of the rows of one recipient."""
    row_names: set[str] = field(default_factory=set)
    """The variables of loops over ``rows``."""
    number_fields: set[str] = field(default_factory=set)
    """The variables and attributes that are compared or calculated with as numbers."""
    filters: list[NameUse] = field(default_factory=list)
    tests: list[NameUse] = field(default_factory=list)
    functions: list[NameUse] = field(default_factory=list)
    methods: list[NameUse] = field(default_factory=list)


class Code:
    """The code of one tag, read from left to right.

    Args:
        offset: The place of the code in the source.
    """

    def __init__(self, code: str, tokens: list[Token], *, offset: int) -> None:
        self._code, self._tokens, self._offset = code, tokens, offset
        self._at = 0
        self._inserts: list[tuple[int, int, int, int, str]] = []
        """Each with its place, its rank at that place, its order, the length that it replaces, and the text."""

    @property
    def token(self) -> Token:
        """The next token."""
        return self._tokens[self._at]

    @property
    def token_after(self) -> Token:
        """The token after the next one."""
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)]

    def skip(self) -> Token:
        """Take the next token."""
        token = self.token
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def skip_to(self, place: int) -> None:
        """Take all tokens before a place."""
        self._at = place

    def accept(self, *texts: str) -> Token | None:
        """Take the next token if it is one of some words or signs."""
        return self.skip() if self.token.text in texts and self.token.kind in ("name", "sign") else None

    def expect(self, text: str) -> Token:
        """Take the next token, which has to be a certain word or sign."""
        return self.accept(text) or self.refuse()

    def word(self) -> Token:
        """Take the next token, which has to be a word."""
        return self.skip() if self.token.kind == "name" else self.refuse()

    def finish(self) -> None:
        """Refuse whatever follows."""
        if self.token.kind != "end":
            self.refuse()

    def refuse(self, message: str = "", *, at: Node | Token | None = None) -> NoReturn:
        """Raise a TagFault about the next token, or with a message about a part of the code."""
        token = self.token
        if not message and token.kind == "end":
            message = f"The tag ends too early. {_EXAMPLES}"
        elif not message:
            message = f"“{token.text}” can't be read here. {_INSTEAD.get(token.text[:1], _EXAMPLES)}"
        raise TagFault(message, self._offset + (at or token).start)

    def node(self, kind: Kind, start: int) -> Node:
        """Make the part of the code from a place up to the last token that was taken."""
        return Node(kind, start, self._tokens[self._at - 1].end)

    def typed(self, node: Node) -> str:
        """Return a part of the code as it was typed."""
        return self._code[node.start : node.end]

    def typed_name(self, node: Node) -> str:
        """Return a part of the code as it was typed, with one space wherever there is space."""
        return " ".join(self.typed(node).split())

    def quote(self, node: Node) -> str:
        """Return a part of the code as a string of the template language."""
        return json.dumps(self.typed_name(node), ensure_ascii=False)

    def replace(self, token: Node | Token, text: str) -> None:
        """Write another text in the place of a token."""
        self._inserts.append((token.start, 2, 0, token.end - token.start, text))

    def wrap(self, first: Node, prefix: str, last: Node, suffix: str) -> None:
        """Write a text before one part and another one after a later part. The inner parts come first."""
        order = len(self._inserts)
        self._inserts.append((first.start, 1, -order, 0, prefix))
        self._inserts.append((last.end, 0, order, 0, suffix))

    def rewritten(self) -> str:
        """Return the code with all edits, and as many line ends as before: minijinja counts lines for its errors."""
        pieces, position = [], 0
        for place, _, _, length, text in sorted(self._inserts):
            pieces += [self._code[position:place], text]
            position = place + length
        result = "".join([*pieces, self._code[position:]])
        return result + "\n" * (self._code.count("\n") - result.count("\n"))
