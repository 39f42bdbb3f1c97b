"""Decide which merge field of a list each field of a template shows, and name the fields that no list has. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any, Self

from batches.names import make_key
from batches.rendering.fields import FieldBinding, bind_fields
from batches.rendering.syntax import Uses
from batches.rendering.template import UNSUBSCRIBE_URL, TemplateFault
from batches.rendering.typed_names import NOT_FIELDS, ROWS

NO_COLUMN = "The list has no column for"
"""How the sentence about missing fields begins."""

ONLY_NEWS = (
    "Nobody can unsubscribe from service mail, so it has no {{ unsubscribe_url }}. "
    "Choose a topic that is news, or remove the tag."
)
NOT_IN_SUBJECT = "The subject can't have {{ unsubscribe_url }}. Move the tag to the text or the HTML body."
NOT_IN_ROWS = (
    "A recipient has one link to unsubscribe, whatever the number of rows. "
    "Write {{ unsubscribe_url }} in the text or the HTML body, without the name of the row."
)

_LINK_KEY = make_key(UNSUBSCRIBE_URL)


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldNames:
    """The fields of a template, and how they are named for minijinja."""

    renamed: Mapping[str, str]
    """From an identifier of the source to the name to write instead."""
    merge_fields: frozenset[str]
    binding: FieldBinding
    """Between the template's fields and the list's. Without a list, every field but the address is missing."""
    typed: Mapping[str, str]
    """From an identifier to the name as it was typed first."""
    uses_rows: bool
    number_fields: frozenset[str]
    """The merge fields, and variables of the template, that are compared or calculated with as numbers."""
    row_aliases: Mapping[str, str]
    """From a field of a row, as it was typed, to the merge field that it shows."""

    @classmethod
    def find(
        cls,
        parts: Iterable[tuple[Set[str], Uses]],
        columns: Collection[str] | None,
        address_heading: str = "",
        *,
        is_news: bool = False,
    ) -> Self:
        """Find the fields of all parts. Each part gives the variables that it does not set itself, and its uses.

        Raises TemplateFault if the link to unsubscribe is used in service mail, or as a field of a row.
        """
        typed: dict[str, str] = {}
        attributes: set[str] = set()
        numbers: set[str] = set()
        row_fields: dict[str, str] = {}
        for undeclared, uses in parts:
            called = {use.name for use in uses.functions}
            read = (undeclared | (uses.read_first - NOT_FIELDS)) - called
            fields_here = {name: text for name, text in uses.fields.items() if name in read}
            typed = fields_here | typed
            row_fields |= uses.row_fields
            attributes |= uses.attributes
            numbers |= uses.number_fields
        uses_rows = ROWS in typed and ROWS not in (columns or ())
        if uses_rows:
            del typed[ROWS]
        columns = _with_link(columns, typed, attributes | row_fields.keys(), is_news=is_news)
        same = _find_same([*typed, *row_fields])
        fields = {same.get(name, name) for name in [*typed, *row_fields]}
        binding = bind_fields(fields, columns, address_heading)

        def bound(name: str) -> str:
            return binding.aliases.get(same.get(name, name), same.get(name, name))

        return cls(
            renamed={name: bound(name) for name in typed if bound(name) != name},
            merge_fields=frozenset(map(bound, fields)) - {UNSUBSCRIBE_URL},
            binding=binding,
            typed=row_fields | typed,
            uses_rows=uses_rows,
            number_fields=frozenset(map(bound, numbers)),
            row_aliases=bind_fields(attributes, columns, address_heading).aliases if uses_rows else {},
        )

    def name_rows(self, context: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return the rows of a context, one if it has none, with the names that the template uses."""
        rows = context.get(ROWS) or [context]
        aliases = self.row_aliases.items()
        return [{**row, **{name: row[field] for name, field in aliases if field in row}} for row in rows]

    def say_missing(self, context: Mapping[str, Any]) -> str:
        """Return a sentence about the fields that the list lacks, with the columns that are near; "" if none is.

        A field that ``context`` has is not missing: a template without a list takes the names of the context.
        """
        missing = [name for name in self.binding.missing if name not in context]
        if not missing:
            return ""
        near = [
            f"Near {self._as_typed(name)}: {' or '.join(self.binding.near[name])}."
            for name in missing
            if self.binding.near[name]
        ]
        lacks = f"{NO_COLUMN}: {', '.join(map(self._as_typed, missing))}."
        return " ".join((lacks, *near, "Write the name of a column in the template, or rename a field of the list."))

    def _as_typed(self, name: str) -> str:
        return self.typed.get(name, name)


def _with_link(
    columns: Collection[str] | None, typed: Iterable[str], of_rows: Iterable[str], *, is_news: bool
) -> Collection[str]:
    """Return the columns that a field can be bound to. In news, the link comes before a column of its name."""
    if is_news and any(map(is_link, of_rows)):
        raise TemplateFault(NOT_IN_ROWS)
    if is_news:
        return [UNSUBSCRIBE_URL, *(name for name in columns or () if not is_link(name))]
    if any(map(is_link, typed)):
        raise TemplateFault(ONLY_NEWS)
    return columns or ()


def is_link(name: str) -> bool:
    """Whether a name, as people write it, means the link to unsubscribe."""
    return make_key(name) == _LINK_KEY


def _find_same(names: Iterable[str]) -> dict[str, str]:
    """Find the spellings of one field: from each to the first one, or to ``email``, which every list has."""
    first = {"email": "email"}
    same = {}
    for name in names:
        chosen = first.setdefault(make_key(name) or name, name)
        if chosen != name:
            same[name] = chosen
    return same
