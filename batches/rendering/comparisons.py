"""Refuse comparisons that can't be meant, when a template is saved. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection

from batches.rendering.numbers import is_number
from batches.rendering.syntax import Code, Kind, Node
from batches.rendering.tags import Token

_THOUSANDS = re.compile(r"[1-9]\d{0,2}\.000")
_UNIT = re.compile(r"(\d+)\s+[^\W\d]+")
"""A number with its unit: 10 EUR."""


def check_sides(code: Code, left: Node, sign: Token, right: Node, *, own: Collection[str]) -> None:
    """Check both sides of a comparison.

    Args:
        own: The variables that the source sets itself. They may be true, false or none.

    Raises:
        TagFault: The comparison has a third side. Or it compares a field with true, false or none, or a number with a
            text in quotes. Or one side is a number with a unit, or may mean thousands.
    """
    if Kind.COMPARISON in (left.kind, right.kind):
        code.refuse("A comparison has two sides. Write 1 < points and points < 10.", at=sign)
    for one, other in ((left, right), (right, left)):
        if one.kind == Kind.CONSTANT:
            _check_constant(code, one, sign, other, own=own)
        if one.kind == Kind.LITERAL:
            _check_literal(code, one, sign, other)
        if one.kind == Kind.NUMBER and _THOUSANDS.fullmatch(code.typed(one)):
            _refuse_thousands(code, one)
    if right.kind == Kind.FIELD and (unit := _UNIT.fullmatch(code.typed(right))):
        code.refuse(f"“{unit[0]}” is no number. Write the number alone: {unit[1]}.", at=right)


def _refuse_thousands(code: Code, number: Node) -> None:
    """Refuse 1.000: it is 1 to the program, and 1000 to many people."""
    typed = code.typed(number)
    whole, _, _ = typed.partition(".")
    code.refuse(f"{typed} may mean {whole} or {typed.replace('.', '')}. Write the one that you mean.", at=number)


def _check_constant(code: Code, constant: Node, sign: Token, other: Node, *, own: Collection[str]) -> None:
    """Refuse to compare a field with true, false or none: no value of a list is one of them."""
    name = code.typed(other)
    is_field = other.kind == Kind.FIELD and name not in own
    if is_field or sign.text not in ("==", "!="):
        code.refuse(
            f"A value is never {code.typed(constant)}. Write {{% if {name} %}} to see whether there is one, "
            f'or compare with a text: {name} == "yes".',
            at=sign,
        )


def _check_literal(code: Code, literal: Node, sign: Token, other: Node) -> None:
    """Refuse a number in quotes where it would be compared letter by letter."""
    text = code.typed(literal)
    if sign.text not in ("==", "!=") and is_number(text[1:-1]):
        code.refuse(f"{text} is a text. Write the number without quotation marks: {text[1:-1]}.", at=literal)
    if other.kind == Kind.NUMBER:
        code.refuse(f"{text} is a text, and {code.typed(other)} is a number. Compare two of a kind.", at=sign)
