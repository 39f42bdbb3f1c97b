"""Offer to fix a template by one click: replace one piece of text in one line by another. Pure.

Message parts as a person wrote them enter, with the sentence of their fault and the fields of a list. Notes leave, some
with a Fix. A fix is applied to what the person has typed, and nothing is saved.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from django.utils.translation import gettext as _

from batches.names import make_key
from batches.rendering.fields import bind_fields
from batches.rendering.foreign import ForeignKind, ForeignTag
from batches.rendering.tags import TagFault, find_line, find_tags
from batches.rendering.wording import read_place

FIXES_MAX = 20
"""How many columns that a list lacks are looked at."""


LINE_MAX_CHARS = 4_000
"""The longest line in which a fix is looked for. The time grows with its square."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fix:
    """Write ``new`` for the first ``old`` in a line, or after it."""

    part: str
    """``subject``, ``source``, ``html`` or ``text``."""
    line: int
    old: str
    new: str

    @property
    def as_json(self) -> str:
        """The value of the button that applies it."""
        return json.dumps([self.part, self.line, self.old, self.new], ensure_ascii=False)

    def apply(self, text: str) -> str:
        """Return the text with the fix, or as it is if it has changed meanwhile."""
        lines = text.replace("\r\n", "\n").split("\n")
        start = sum(len(line) + 1 for line in lines[: max(0, self.line - 1)])
        text = "\n".join(lines)
        at = text.find(self.old, start)
        return text if at < 0 else text[:at] + self.new + text[at + len(self.old) :]


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """What is wrong with a part of a template, or may be."""

    part: str
    """The part beside which it is shown. Empty: none in particular."""
    text: str
    is_fault: bool = False
    """Whether the template can't be used with it."""
    line: int = 0
    fix: Fix | None = None


def note_fault(sentence: str, sources: Mapping[str, str]) -> Note:
    """Make the note of a fault, beside the part that has it."""
    place = read_place(sentence)
    part = place.part if place.part in sources else ""
    text = place.message if part else sentence
    return Note(part=part, text=text, is_fault=True, line=place.line, fix=_fix_fault(part, place.line, text, sources))


_HAS_NO_END = re.compile(r"that begins with “(.+?)” has no end", re.DOTALL)
_NO_STATEMENT = re.compile(r"There is no \{% (.+?) %\}\. (?:Write|Did you mean) \{% (.+?) %\}")
_NO_NAME = re.compile(r"There is no (?:filter|test) named (\w+)\. Did you mean (\w+)\?")
_QUOTED = re.compile(r"“(.+?)” in quotation marks is sent as it is")
_ONE_SIGN = {
    "A single =": (r"(?<![=!<>])=(?!=)", "=="),
    "“or” instead of": (r"\|\|", "or"),
    "“and” instead": (r"&&?", "and"),
}


def _fix_fault(part: str, line: int, message: str, sources: Mapping[str, str]) -> Fix | None:
    typed = _get_line(sources[part], line) if part and line else ""
    if len(typed) > LINE_MAX_CHARS:
        return None
    for old, new in _offer(message, typed):
        if old and old in typed and old != new:
            return Fix(part=part, line=line, old=old, new=new)
    return None


def _offer(message: str, typed: str) -> Iterator[tuple[str, str]]:
    """Return what to replace in a line, and by what: the message of the fault says it in words."""
    if "two braces on each side" in message and (found := re.search(r"\{\{\{(.*?)\}\}\}", typed)):
        yield found[0], f"{{{{{found[1]}}}}}"
    if _HAS_NO_END.search(message) and (found := re.search(r"\{\{\s*\w[\w-]*(?!.*\}\})\}?", typed)):
        yield found[0], f"{found[0].rstrip('}').rstrip()} }}}}"
    if said := _NO_STATEMENT.search(message):
        words = r"\s+".join(map(re.escape, said[1].split()))
        if found := re.search(rf"\{{%[-+]?\s*{words}", typed):
            yield found[0], f"{{% {said[2]}"
    if (said := _NO_NAME.search(message)) and (found := re.search(rf"\b{said[1]}\b", typed)):
        yield found[0], said[2]
    if said := _QUOTED.search(message):
        for quotes in ("“”", '""', "''", "„“", "»«", "«»"):
            yield f"{quotes[0]}{said[1]}{quotes[1]}", said[1]
    for words, (pattern, new) in _ONE_SIGN.items():
        if words in message and (tag := re.search(r"\{%.*?%\}", typed)):
            yield tag[0], re.sub(pattern, new, tag[0])


def note_foreign(tag: ForeignTag, *, is_letter: bool = False) -> Note:
    """Make the note of a tag of another program. The fix is the field that it means, or one of its name.

    Args:
        is_letter: Whether the text body is a letter in Markdown, which was read as one.
    """
    fix, is_source = None, is_letter and tag.part == "text"
    part, text = ("source", tag.letter_hint) if is_source else (tag.part, tag.hint)
    if tag.kind != ForeignKind.COMMENT and tag.name:
        fix = Fix(part=part, line=tag.line, old=tag.text, new=f"{{{{ {tag.column or tag.name} }}}}")
    return Note(part=part, line=tag.line, text=text, fix=fix)


def note_missing(sources: Mapping[str, str], merge_fields: Collection[str], list_name: str) -> list[Note]:
    """Make a note of each field that a list lacks. The fix is the column that is near."""
    notes: dict[str, Note] = {}
    keys = {make_key(name) for name in [*merge_fields, "email"]}
    for part, source in sources.items():
        for name, tag_text, offset in _find_names(source):
            if make_key(name) in keys or name in notes or len(notes) >= FIXES_MAX:
                continue
            near = bind_fields([name], merge_fields).near.get(name)
            if near is None:  # it means a column
                continue
            line = find_line(source, offset)
            fix = Fix(part=part, line=line, old=tag_text, new=tag_text.replace(name, near[0], 1)) if near else None
            text = _("Your list “%(list)s” has no column %(name)s.") % {"list": list_name, "name": name}
            if near:
                text += " " + _("Near: %(near)s.") % {"near": near[0]}
            notes[name] = Note(part=part, line=line, text=text, fix=fix)
    return list(notes.values())


def _find_names(source: str) -> Iterator[tuple[str, str, int]]:
    """Return the fields that are shown as they are, such as ``{{ name }}`` and ``{{ name|title }}``."""
    try:
        for tag in find_tags(source):
            name = tag.code.partition("|")[0].strip()
            if not tag.is_statement and re.fullmatch(r"[^\W\d][\w -]*", name) and name != "unsubscribe_url":
                yield name, tag.text, tag.start
    except TagFault:
        return


def _get_line(source: str, line: int) -> str:
    lines = source.replace("\r\n", "\n").split("\n")
    return lines[line - 1] if 0 < line <= len(lines) else ""
