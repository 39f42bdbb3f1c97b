"""What is known of a template before it is rendered: its fields, how they fit a list, or why it can't be used. Pure.

A template that was read enters. An Analysis leaves, also through the pipe of a child process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Self

from batches.rendering.fields import FieldBinding
from batches.rendering.read_template import ReadTemplate
from batches.rendering.template import ListSource, TemplateFault, make_context


class ListNames(NamedTuple):
    """The names of a list that a template is bound to. ``merge_fields`` is None if there is no list."""

    merge_fields: tuple[str, ...] | None = None
    address_heading: str = ""

    @classmethod
    def of(cls, source: ListSource | None) -> Self:
        """Copy the names of a batch or a lane's spec."""
        return cls() if source is None else cls(tuple(source.merge_fields), source.address_heading)


_NO_BINDING = FieldBinding(aliases={}, missing=(), near={})


@dataclass(frozen=True, kw_only=True, slots=True)
class Analysis:
    """What is known of a template, for one list or for none."""

    fault: str = ""
    """Why it can't be used, as a sentence. Then nothing else is known."""
    merge_fields: frozenset[str] = frozenset()
    """The fields that the template uses, by the names of the list's merge fields where it has them."""
    number_fields: frozenset[str] = frozenset()
    """Those of them that the template compares or calculates with as numbers."""
    typed_names: Mapping[str, str] = field(default_factory=dict)
    """From the name of a field that the list lacks to the name as it was typed, such as first_name to First Name."""
    binding: FieldBinding = _NO_BINDING
    uses_rows: bool = False
    """Whether the template shows all rows of a recipient."""
    columns: tuple[str, ...] = ()
    """The merge fields of the list."""

    @classmethod
    def of(cls, template: ReadTemplate, names: ListNames) -> Self:
        """Gather what is known of a template that was read for a list."""
        return cls(
            merge_fields=template.merge_fields,
            number_fields=template.number_fields,
            typed_names=template.typed_names,
            binding=template.binding,
            uses_rows=template.uses_rows,
            columns=names.merge_fields or (),
        )

    def require_sound(self) -> Self:
        """Return this analysis if the template can be used.

        Raises:
            TemplateFault: It can't.
        """
        if self.fault:
            raise TemplateFault(self.fault)
        return self

    @property
    def written_fields(self) -> list[str]:
        """The fields as the template writes them, in alphabetical order."""
        return sorted(self.typed_names.get(name, name) for name in self.merge_fields)

    def make_context(self, cells: Sequence[Any], *, address: str) -> dict[str, Any]:
        """Name one email's cells by the merge fields of the list."""
        return make_context(self.columns, cells, address=address)

    def to_json(self) -> dict[str, Any]:
        """Return the values that JSON can write."""
        binding = asdict(self.binding)
        return {
            "fault": self.fault,
            "merge_fields": sorted(self.merge_fields),
            "number_fields": sorted(self.number_fields),
            "typed_names": dict(self.typed_names),
            "binding": binding,
            "uses_rows": self.uses_rows,
            "columns": self.columns,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what ``to_json`` made."""
        binding = values["binding"]
        near = {name: tuple(names) for name, names in binding["near"].items()}
        return cls(
            fault=values["fault"],
            merge_fields=frozenset(values["merge_fields"]),
            number_fields=frozenset(values["number_fields"]),
            typed_names=values["typed_names"],
            binding=FieldBinding(aliases=binding["aliases"], missing=tuple(binding["missing"]), near=near),
            uses_rows=values["uses_rows"],
            columns=tuple(values["columns"]),
        )
