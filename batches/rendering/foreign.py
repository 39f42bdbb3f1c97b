"""Find the tags of other systems in a message, because they would be sent unchanged. Pure.

Message parts enter. Foreign tags leave, each with what to write instead. Nothing is refused here: a text may mean its
brackets. So a pattern is listed only if it looks like a name in the tag of a known system.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from batches.names import make_key
from batches.rendering.fields import bind_fields
from batches.rendering.template import MessageParts
from batches.rendering.wording import PARTS

TAGS_MAX = 50
"""How many foreign tags of a message are listed."""


class ForeignKind(StrEnum):
    """Which system writes tags like this one. The value is an example."""

    STARS = "*|FNAME|*"
    SQUARE = "[name]"
    DOUBLE_SQUARE = "[[name]]"
    ROUND = "((name))"
    PERCENT = "%name%"
    ANGLE = "<<name>>"
    GUILLEMETS = "«name»"
    BRACE = "{name}"
    DOLLAR = "${name}"
    ERB = "<%= name %>"
    RARE = "$name$"
    COMMENT = "{# in CSS"


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignTag:
    """One tag that is no merge field here."""

    part: str
    """Which part has it: "subject", "html" or "text"."""
    line: int
    text: str
    kind: ForeignKind
    name: str
    """The name in the tag, or "" if it has none."""
    column: str = ""
    """The merge field of the list that the name means or resembles most; "" if there is none, or no list."""

    @property
    def hint(self) -> str:
        """One sentence that says what is wrong and what to write instead."""
        return self._advise(f"The {PARTS[self.part]} has {self.text} in line {self.line}.")

    @property
    def letter_hint(self) -> str:
        """The same of a letter in Markdown, which is read as a text body."""
        return self._advise(f"The letter has {self.text} in line {self.line}.")

    def _advise(self, where: str) -> str:
        if self.kind == ForeignKind.COMMENT:
            return f"{where} That begins a comment, which is left out of the message. Write a space after the {{."
        what = f"the column {self.column}" if self.column else "a field"
        return f"{where} It would be sent unchanged. To show {what}, write {{{{ {self.column or self.name} }}}}."


_NAME = r"[^\W\d_](?:[\w.-]|:(?=\w)){0,40}"
_WORDS = rf"{_NAME}(?:[ ]{_NAME}){{0,3}}"
_PATTERNS = {
    ForeignKind.STARS: r"\*\|\s*(?P<name>[\w:. -]{1,60}?)\s*\|\*",
    ForeignKind.ERB: rf"(?:<|&lt;)%=?\s*(?P<name>{_WORDS})\s*%(?:>|&gt;)",
    ForeignKind.DOUBLE_SQUARE: rf"\[\[\s*(?P<name>{_WORDS})\s*\]\]",
    # Not an index (list[i]), a link of Markdown ([text](address)), or a task ([x]).
    ForeignKind.SQUARE: rf"(?<![\w\]\[])\[(?P<name>(?!(?:end)?if\b)(?=\w{{2}}){_WORDS})\](?![(\[\]:])",
    ForeignKind.ROUND: rf"\(\(\s*(?P<name>{_WORDS})\s*\)\)",
    # Not an octet of an address, such as %C3%A4. Such a pair of digits is never followed by a letter and a %.
    ForeignKind.PERCENT: r"(?<![\w%])(?P<marks>%%?)(?P<name>[^\W\d_][\w.:-]{2,40})(?P=marks)(?![\w%])",
    ForeignKind.ANGLE: rf"(?:<<|&lt;&lt;)\s*(?P<name>{_WORDS})\s*(?:>>|&gt;&gt;)",
    ForeignKind.DOLLAR: rf"\$\{{\s*(?P<name>{_WORDS})\s*\}}",
    ForeignKind.BRACE: rf"(?<![{{$#%\w])\{{!?[ ]?(?P<name>{_WORDS})[ ]?\}}(?!\}})",
    ForeignKind.GUILLEMETS: rf"«\s?(?P<name>{_WORDS})\s?»",
    ForeignKind.RARE: (
        rf"(?<!\w)(?:\$|##?|@@?|__|\u2039\u2039?|\{{\$|#\{{|\[[ ]|%\(|%%?)(?P<name>{_WORDS})"
        r"(?:\$|##?|@@?|__|\u203a\u203a?|\}|[ ]\]|\)s|%%?)"
    ),
}
_FIRST_NAME = "firstname vorname prenom nombre nome voornaam fornamn fornavn givenname imie name"
_LAST_NAME = (
    "lastname nachname name familienname nom nomdefamille apellido apellidos cognome achternaam surname nazwisko"
)
_MEANINGS = {
    **dict.fromkeys(("fname", "firstname", "vorname", "givenname"), _FIRST_NAME),
    **dict.fromkeys(("lname", "lastname", "nachname", "surname"), _LAST_NAME),
    **dict.fromkeys(("email", "emailaddress", "mail", "subscriberemail"), "email"),
}
"""Names of the usual fields in other systems, and the keys of columns for the same."""

_ONLY_COLUMNS = (ForeignKind.GUILLEMETS, ForeignKind.RARE)
"""Signs that texts have too. Such a tag is listed only if its name is that of a column."""

_TAGS = [(kind, re.compile(pattern)) for kind, pattern in _PATTERNS.items()]
_OURS = {r"\{\{": r"\}\}", r"\{%": r"%\}", r"\{#": r"#\}"}
_UNREAD = {r"<style\b": r"</style\s*>", r"<script\b": r"</script\s*>", "<!--": "-->"}
"""What begins and ends a part that nobody reads as text."""

_COMMENT = re.compile(r"\{#(?!\s).*?(?:#\}|\Z)", re.DOTALL)


def find_foreign_tags(parts: MessageParts, merge_fields: Collection[str] = ()) -> list[ForeignTag]:
    """Find the tags of other systems, in the order of the parts and of their lines; TAGS_MAX at most.

    Args:
        merge_fields: Those of the list, if there is one. ``«name»`` and ``$name$`` are listed only for one of them,
            because texts have these signs too. The hint names the one that a tag means.
    """
    keys = frozenset(map(make_key, merge_fields))
    found = [tag for part in PARTS for tag in _find_in(part, getattr(parts, part), keys)][:TAGS_MAX]
    if not merge_fields:
        return found
    columns = {name: find_column(name, merge_fields) for name in {tag.name for tag in found}}
    return [replace(tag, column=columns[tag.name]) for tag in found]


def find_column(name: str, merge_fields: Collection[str]) -> str:
    """Return the merge field that a name of another system means or resembles most; "" if none does."""
    key = make_key(name)
    by_key = {make_key(field): field for field in reversed([*merge_fields, "email"])}
    for word in (key, *_MEANINGS.get(key, "").split()):
        if word in by_key:
            return by_key[word]
    return next(iter(bind_fields([name], merge_fields).near.get(name, ())), "")


def _find_in(part: str, source: str, keys: frozenset[str]) -> list[ForeignTag]:
    line_ends = [match.start() for match in re.finditer("\n", source)]
    hits = [*_find_comments(source)] if part == "html" else []
    readable = _blank_out_enclosed(_OURS, source)
    if part == "html":
        readable = _blank_out_enclosed(_UNREAD, readable)
    for kind, pattern in _TAGS:
        for match in pattern.finditer(readable):
            if kind not in _ONLY_COLUMNS or make_key(match["name"]) in keys:
                hits.append((match.start(), match[0], kind, match["name"]))
        readable = _blank_out(pattern, readable)  # so that [[name]] is not found again as [name]
    return [
        ForeignTag(part=part, line=bisect_right(line_ends, start) + 1, text=text, kind=kind, name=name)
        for start, text, kind, name in sorted(hits)
    ]


def _find_comments(source: str) -> Iterator[tuple[int, str, ForeignKind, str]]:
    """Comments that begin like a rule of CSS for an id: ``{#menu{``."""
    for match in _COMMENT.finditer(source):
        if "{" in match[0][2:]:
            yield match.start(), match[0].partition("\n")[0][:20], ForeignKind.COMMENT, ""


def _blank_out_enclosed(signs: Mapping[str, str], source: str) -> str:
    """Blank out what is between two signs, and the signs. Takes time in proportion to the source."""
    begin = re.compile("|".join(f"({sign})" for sign in signs), re.IGNORECASE)
    ends: dict[int, re.Pattern[str]] = {n: re.compile(end, re.IGNORECASE) for n, end in enumerate(signs.values(), 1)}
    pieces, position = [], 0
    while found := begin.search(source, position):
        number = found.lastindex or 0
        end = ends[number].search(source, found.end()) if number in ends else None
        if end is None:
            ends.pop(number, None)  # no later one has an end either, and to look again would take very long
        stop = end.end() if end else found.end()
        inside = source[found.start() : stop]
        pieces += [source[position : found.start()], _blank(inside) if end else inside]
        position = stop
    return "".join([*pieces, source[position:]])


def _blank_out(pattern: re.Pattern[str], source: str) -> str:
    return pattern.sub(lambda match: _blank(match[0]), source)


def _blank(text: str) -> str:
    """Replace all but line ends by spaces, so that places and lines stay as they are."""
    return re.sub("[^\n]", " ", text)
