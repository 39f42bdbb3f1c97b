"""Read an expression of a tag, and rewrite it for minijinja. Pure.

Tokens enter. Edits of the code and the names that it uses leave. The rewrite makes comparisons and calculations a call
of our own functions, because every value of a list is a text and minijinja takes any text for larger than any number.
It also gives names as people write them, such as ``First Name``, the form of an identifier.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from batches.names import make_key
from batches.rendering.comparisons import check_sides
from batches.rendering.fields import make_identifier
from batches.rendering.syntax import CONSTANTS, KEYWORDS, Code, Kind, NameUse, Node, Uses
from batches.rendering.tags import Token
from batches.rendering.typed_names import ROWS, find_end_of_attribute, find_end_of_name

COMPARE, CALCULATE, IS_IN = "__compare", "__calculate", "__is_in"
"""The functions of ``numbers`` under names that no merge field can have."""

_COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!="})
_NUMBER_FILTERS = frozenset({"length", "count", "round", "abs", "sum"})
"""Filters whose result is always a number. ``int`` and ``float`` are none of them: a blank value stays blank."""

_CONVERTING_FILTERS = frozenset({"int", "float", "round", "abs"})
_NUMBER_TESTS = frozenset({"gt", "greaterthan", "ge", "lt", "lessthan", "le", "divisibleby", "even", "odd", "number"})


class Expression(Code):
    """Reads the expressions of one tag, from the weakest operator to the strongest.

    Args:
        offset: The place of the code in the source.
        keys: The keys of the list's merge fields, if there is a list.
        renamed: The identifiers to write instead of others.
    """

    def __init__(
        self,
        code: str,
        tokens: list[Token],
        *,
        uses: Uses,
        offset: int,
        keys: Collection[str],
        renamed: Mapping[str, str],
    ) -> None:
        super().__init__(code, tokens, offset=offset)
        self._uses, self._keys, self._renamed = uses, keys, renamed

    def read(self) -> Node:
        """Read a whole expression."""
        node = self.read_condition()
        while self.accept("if"):
            self.read_condition()
            if self.accept("else"):
                self.read()
            node = self.node(Kind.OTHER, node.start)
        return node

    def read_condition(self) -> Node:
        """Read an expression without ``... if ... else ...``."""
        return self._join(self._and, "or")

    def _and(self) -> Node:
        return self._join(self._not, "and")

    def _join(self, operand: Callable[[], Node], word: str) -> Node:
        node = operand()
        while self.accept(word):
            operand()
            node = self.node(Kind.OTHER, node.start)
        return node

    def _not(self) -> Node:
        if token := self.accept("not"):
            self._not()
            return self.node(Kind.OTHER, token.start)
        return self._comparison()

    def _comparison(self) -> Node:
        node = self._sum()
        while True:
            sign = self.token
            if sign.kind == "sign" and sign.text in _COMPARISONS:
                self.skip()
                node = self._compare(node, sign, self._sum())
            elif self.accept("in"):
                node = self._membership(node, sign, self._sum(), is_negated=False)
            elif sign.text == "not" and self.token_after.text == "in":
                self.skip()
                self.skip()
                node = self._membership(node, sign, self._sum(), is_negated=True)
            else:
                return node

    def _sum(self) -> Node:
        return self._calculation(self._concatenation, "+", "-")

    def _concatenation(self) -> Node:
        node = self._product()
        while self.accept("~"):
            self._product()
            node = self.node(Kind.TEXT, node.start)
        return node

    def _product(self) -> Node:
        return self._calculation(self._power, "*", "/", "//", "%")

    def _power(self) -> Node:
        return self._calculation(self._unary, "**")

    def _calculation(self, operand: Callable[[], Node], *signs: str) -> Node:
        node = operand()
        while sign := self.accept(*signs):
            node = self._calculate(node, sign, operand())
        return node

    def _unary(self) -> Node:
        return self._filters(self._postfix(self._negation()))

    def _negation(self) -> Node:
        """Read what an attribute, an index or a filter follows. A minus before it is stronger than those."""
        token = self.accept("-")
        if not token:
            return self._primary()
        node = self._negation()
        if node.kind == Kind.NUMBER:
            return self.node(Kind.NUMBER, token.start)
        # As a calculation, because minijinja can't negate a text.
        self.replace(token, "")
        self._note_number(node)
        self.wrap(node, f"{CALCULATE}(0, ", node, f', "-", "0", {self.quote(node)})')
        return Node(Kind.NUMBER, token.start, node.end)

    def read_filters(self) -> Kind:
        """Read a filter and those that follow it. Returns what the last one gives."""
        kind = self._filter()
        while self.accept("|"):
            kind = self._filter()
        return kind

    def _filter(self) -> Kind:
        name = self.word()
        self._uses.filters.append(NameUse(name.text, self._offset + name.start))
        if self.accept("("):
            self._arguments(names_in=name.text)
        return Kind.NUMBER if name.text in _NUMBER_FILTERS else Kind.OTHER

    def _filters(self, node: Node) -> Node:
        while True:
            if self.accept("|"):
                if self.token.text in _CONVERTING_FILTERS:
                    self._note_number(node)
                node = self.node(self.read_filters(), node.start)
            elif self.accept("is"):
                self.accept("not")
                name = self.word()
                if name.text in _NUMBER_TESTS:
                    self._note_number(node)
                self._uses.tests.append(NameUse(name.text, self._offset + name.start))
                self._test_argument()
                node = self.node(Kind.OTHER, node.start)
            else:
                return node

    def _test_argument(self) -> None:
        if self.accept("("):
            self._arguments()
        elif self.token.kind in ("number", "string") or self.token.text in ("-", "[", "{"):
            self._postfix(self._negation())
        elif self.token.kind == "name" and self.token.text not in KEYWORDS - CONSTANTS:
            self._postfix(self._primary())

    def _postfix(self, node: Node) -> Node:
        base = self.typed(node) if node.kind == Kind.FIELD else ""
        while True:
            if node.kind != Kind.NUMBER and self.accept("."):
                name = self.skip() if self.token.kind == "number" else self._read_attribute(base)
                self._attribute(base if node.kind == Kind.FIELD else "", name)
                node = self.node(Kind.FIELD if base in self._uses.row_names else Kind.OTHER, node.start)
            elif self.accept("["):
                self._index(base, node)
                node = self.node(Kind.OTHER, node.start)
            elif self.accept("("):
                if node.kind == Kind.FIELD:
                    self._uses.functions.append(NameUse(base, self._offset + node.start))
                self._arguments()
                node = self.node(Kind.OTHER, node.start)
            else:
                return node

    def _read_attribute(self, base: str) -> Token:
        """Read the name after a point. That of a field of a row may have several words: row.First Name."""
        first = self.word()
        self.skip_to(find_end_of_attribute(self._code, self._tokens, self._at - 1, self._keys_of(base)))
        node = self.node(Kind.FIELD, first.start)
        return Token("name", self.typed(node), node.start, node.end)

    def _keys_of(self, base: str) -> Collection[str] | None:
        return self._keys if base in self._uses.row_names else None

    def _attribute(self, base: str, name: Token) -> None:
        typed = " ".join(name.text.split())
        if self.token.text == "(" and base and base not in self._uses.own and base != "loop":
            self._uses.methods.append(NameUse(typed, self._offset + name.start))
        if name.kind != "name":
            return
        identifier = make_identifier(typed)
        if identifier != name.text:
            self.replace(name, identifier)
        self._uses.attributes.add(identifier)
        if base in self._uses.row_names:
            self._uses.row_fields.setdefault(identifier, typed)

    def _index(self, base: str, node: Node) -> None:
        token = self.token
        if token.kind == "string" and base in self._uses.row_names:
            self._uses.attributes.add(token.text[1:-1])
            self._uses.row_fields.setdefault(token.text[1:-1], token.text[1:-1])
        is_slice = False
        while not self.accept("]"):
            if self.accept(":"):
                is_slice = True
            else:
                self.read()
        if is_slice and node.kind == Kind.FIELD and base not in self._uses.own | {ROWS}:
            # minijinja makes [] of a slice of what does not exist. To join it is a fault.
            self.wrap(node, "(", node, ' ~ "")')

    def _arguments(self, *, names_in: str = "") -> None:
        """Read arguments up to the closing bracket. Some filters take the name of a filter or test as an argument."""
        position = 0
        while not self.accept(")"):
            token = self.token
            if token.kind == "name" and self.token_after.text == "=":
                self.skip()
                self.skip()
                if token.text == "attribute" and self.token.kind == "string":
                    self._uses.attributes.add(self.token.text[1:-1])
            elif token.kind == "string":
                self._named_argument(names_in, position, token)
            self.read()
            position += 1
            if self.token.text != ")":
                self.expect(",")

    def _named_argument(self, filter_name: str, position: int, token: Token) -> None:
        use = NameUse(token.text[1:-1], self._offset + token.start)
        if filter_name == "map" and position == 0:
            self._uses.filters.append(use)
        elif filter_name in ("selectattr", "rejectattr") and position == 0:
            self._uses.attributes.add(use.name)
        elif (filter_name in ("select", "reject") and position == 0) or (
            filter_name in ("selectattr", "rejectattr") and position == 1
        ):
            self._uses.tests.append(use)

    def _primary(self) -> Node:
        token = self.token
        if token.kind == "string":
            while self.token.kind == "string":
                self.skip()
            return self.node(Kind.LITERAL, token.start)
        if token.kind == "number":
            # Names may begin with a number: {{ 2. choice }}.
            end = self._find_end_of_name()
            if any(part.kind == "name" and make_key(part.text) for part in self._tokens[self._at : end]):
                return self._variable()
            self.skip()
            return self.node(Kind.NUMBER, token.start)
        if token.kind == "name" and token.text in CONSTANTS:
            self.skip()
            return self.node(Kind.CONSTANT, token.start)
        if token.kind == "name" and token.text not in KEYWORDS:
            return self._variable()
        if token.text in ("(", "[", "{"):
            return self._enclosed()
        self.refuse()

    def _variable(self) -> Node:
        """Read a merge field. Words in a row are one name, as in ``First Name``."""
        first = self.token
        self.skip_to(self._find_end_of_name())
        node = self.node(Kind.FIELD, first.start)
        if node.end == first.end and self._is_calculation(first):
            return self._split(first)
        self.use(node)
        return node

    def _find_end_of_name(self) -> int:
        return find_end_of_name(self._code, self._tokens, self._at, own=self._uses.own, keys=self._keys)

    def use(self, node: Node, *, is_own: bool = False) -> None:
        """Note a variable, and write its identifier."""
        typed = self.typed_name(node)
        identifier = make_identifier(typed)
        if identifier in KEYWORDS:
            identifier += "_"  # as the merge field of such a column is named
        if not identifier:
            self.refuse(f"“{typed}” is no name of a field.", at=node)
        if is_own:
            self._uses.own.add(identifier)
        else:
            self._uses.fields.setdefault(identifier, typed)
            if identifier not in self._uses.own:
                self._uses.read_first.add(identifier)
        written = self._renamed.get(identifier, identifier)
        if written != self.typed(node):
            self.replace(node, written)

    def _is_calculation(self, name: Token) -> bool:
        """Say whether ``total-discount`` means two columns of the list, and not one."""
        parts = name.text.replace("/", "-").split("-")
        keys = [make_key(part) for part in parts]
        return len(keys) > 1 and make_key(name.text) not in self._keys and all(key in self._keys for key in keys)

    def _split(self, name: Token) -> Node:
        """Write ``a-b`` as a calculation of fields."""
        node = None
        start = name.start
        for sign_at in [*(i for i, char in enumerate(name.text) if char in "-/"), len(name.text)]:
            part = Node(Kind.FIELD, start, name.start + sign_at)
            self.use(part)
            if node is not None:
                sign = Token("sign", self._code[start - 1], start - 1, start)
                node = self._calculate(node, sign, part)
            node = node or part
            start = part.end + 1
        return node or self.refuse()

    def _enclosed(self) -> Node:
        opening = self.skip()
        closing = {"(": ")", "[": "]", "{": "}"}[opening.text]
        kinds = []
        while not self.accept(closing):
            kinds.append(self.read().kind)
            if self.token.text != closing:
                self.accept(":") or self.expect(",")
        if opening.text == "(":
            is_one = len(kinds) == 1 and kinds[0] != Kind.COMPARISON
            return self.node(kinds[0] if is_one else Kind.OTHER, opening.start)
        are_numbers = opening.text == "[" and set(kinds) == {Kind.NUMBER}
        return self.node(Kind.NUMBERS if are_numbers else Kind.OTHER, opening.start)

    def _note_number(self, node: Node) -> None:
        if node.kind == Kind.FIELD:
            typed = self.typed_name(node)
            base, _, attribute = typed.partition(".")
            self._uses.number_fields.add(make_identifier(attribute if base in self._uses.own else typed))

    def _compare(self, left: Node, sign: Token, right: Node) -> Node:
        whole = Node(Kind.COMPARISON, left.start, right.end)
        kinds = {left.kind, right.kind}
        check_sides(self, left, sign, right, own=self._uses.own)
        if Kind.LITERAL in kinds or kinds == {Kind.NUMBER} or kinds == {Kind.CONSTANT}:
            return whole
        if sign.text in ("==", "!=") and not kinds & {Kind.NUMBER, Kind.SUM}:
            return whole
        self._call(COMPARE, left, sign, right)
        return whole

    def _membership(self, value: Node, sign: Token, group: Node, *, is_negated: bool) -> Node:
        whole = Node(Kind.COMPARISON, value.start, group.end)
        if group.kind != Kind.NUMBERS or value.kind == Kind.NUMBER:
            return whole
        self._note_number(value)
        word = self.typed(Node(Kind.OTHER, sign.start, group.start)).rstrip()
        self.replace(Node(Kind.OTHER, sign.start, sign.start + len(word)), ",")
        self.wrap(value, f"({'not ' * is_negated}{IS_IN}(", group, f", {self.quote(value)}))")
        return whole

    def _calculate(self, left: Node, sign: Token, right: Node) -> Node:
        whole = Node(Kind.NUMBER, left.start, right.end)
        kinds = {left.kind, right.kind}
        if kinds == {Kind.NUMBER}:
            return whole
        if kinds & {Kind.LITERAL, Kind.TEXT, Kind.NUMBERS}:
            return whole._replace(kind=Kind.TEXT)
        self._call(CALCULATE, left, sign, right)
        return whole if sign.text != "+" else whole._replace(kind=Kind.SUM)

    def _call(self, function: str, left: Node, sign: Token, right: Node) -> None:
        """Write a call of one of our functions in place of an operator. Its faults name both sides as typed."""
        self._note_number(left)
        self._note_number(right)
        self.replace(sign, ",")
        self.wrap(left, f"{function}(", right, f', "{sign.text}", {self.quote(left)}, {self.quote(right)})')
