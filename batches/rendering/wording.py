"""Say in plain words what is wrong with a template. minijinja's own words never reach a person. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # the processes that serve pages and send mail load no template engine
    from minijinja import TemplateError

PARTS = {"subject": "subject", "html": "HTML body", "text": "text body"}
"""The parts of a message, and their names in a sentence."""

_TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")
_SENTENCES = {
    "OutOfFuel": "The loops run for too long. Make them smaller",
    "SyntaxError": "{tag} can't be read. Write a field as {{{{ first_name }}}}, a condition as {{% if points > 100 %}}",
    "UndefinedError": "{tag} has no value for this recipient. Check the names in it",
    "InvalidOperation": "{tag} can't be worked out with the values of this recipient. Check the values",
    "MissingArgument": "{tag} lacks an argument. Write it in brackets after the name",
    "TooManyArguments": "{tag} has too many arguments in brackets. Remove some",
}
_FAULTS_OF_A_LETTER = frozenset({"UndefinedError", "InvalidOperation"})
"""Errors that depend on the values of one recipient."""

_OTHER = "{tag} can't be used for this recipient. Change it, or remove it"

EMPTY_LETTER = "It is empty. Write something in it."


def say_where(part: str, line: int | None, message: str) -> str:
    """Put the part of the message, and the line if it is known, before what is wrong."""
    where = f" in line {line}" if line else ""
    return f"The {PARTS[part]} of the template can't be used{where}: {message}"


def say_where_in_letter(line: int | None, message: str) -> str:
    """Say of a letter in Markdown what ``say_where`` says of the parts that are made from it."""
    where = f" in line {line}" if line else ""
    return f"The letter can't be used{where}: {message}"


_WHERE = re.compile(
    r"The (subject|HTML body|text body) of the template can't be used(?: in line (\d+))?: (.*)", re.DOTALL
)
_WHERE_IN_LETTER = re.compile(r"The letter can't be used(?: in line (\d+))?: (.*)", re.DOTALL)


class Place(NamedTuple):
    """What a sentence of ``say_where`` or ``say_where_in_letter`` says, and of which part and line."""

    part: str
    """``subject``, ``html``, ``text``, ``source``, or empty: of none in particular."""
    line: int
    """0: of no line in particular."""
    message: str


def read_place(sentence: str) -> Place:
    """Take apart what ``say_where`` and ``say_where_in_letter`` put together, to show it beside the part."""
    if found := _WHERE_IN_LETTER.fullmatch(sentence):
        return Place("source", int(found[1] or 0), found[2])
    if found := _WHERE.fullmatch(sentence):
        part = next(part for part, name in PARTS.items() if name == found[1])
        return Place(part, int(found[2] or 0), found[3])
    return Place("", 0, sentence)


def name_as_letter(sentence: str) -> str:
    """Say of the letter what was said of the text body, as which the Markdown was read."""
    place = read_place(sentence)
    return say_where_in_letter(place.line, place.message) if place.part == "text" else sentence


def say_letter_fault(part: str, message: str, line: int | None = None) -> str:
    """Say of a letter what ``say_where`` says of a template: other recipients may have values that fit."""
    where = f" in line {line} of the template" if line else ""
    return f"The {PARTS[part]} of this letter can't be made{where}: {message}"


def say_error(part: str, exc: TemplateError, typed: str) -> str:
    """Say what an error of minijinja means, with the tag of its line as it was typed."""
    return _say_kind(part, exc.kind, exc.line, typed)


def say_no_value(part: str, line: int, typed: str) -> str:
    """Say that a tag of a line names what this recipient does not have."""
    return _say_kind(part, "UndefinedError", line, typed)


def _say_kind(part: str, kind: str, line: int | None, typed: str) -> str:
    lines = typed.split("\n")
    tags = _TAG.findall(lines[line - 1]) if line and line <= len(lines) else []
    tag = tags[0] if len(tags) == 1 else "a tag of this line"
    sentence = _SENTENCES.get(kind, _OTHER).format(tag=tag)
    message = f"{sentence[:1].upper()}{sentence[1:]}."
    if kind in _FAULTS_OF_A_LETTER:
        return say_letter_fault(part, message, line)
    return say_where(part, line, message)
