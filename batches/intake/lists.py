"""Turn a list that a program gave, addresses or mappings with an "email" and merge fields, into records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from batches.intake.dialect import Layout, make_layout
from batches.intake.errors import IntakeError

ADDRESS_KEY = "email"

Recipients = Sequence[str | Mapping[str, str]]


def list_layout(recipients: Recipients) -> Layout:
    """The address first, then each name that a mapping has, in the order in which they turn up."""
    if not recipients:
        raise IntakeError("The list of recipients is empty. Give it at least one address.")
    names = dict.fromkeys(name for item in recipients if isinstance(item, Mapping) for name in item)
    columns = (ADDRESS_KEY, *(name for name in names if name != ADDRESS_KEY))
    return make_layout(columns, address_index=0, has_header=True)


def list_rows(recipients: Recipients, layout: Layout) -> Iterator[list[str]]:
    """A record for each; what a mapping lacks is blank."""
    for item in recipients:
        fields = item if isinstance(item, Mapping) else {ADDRESS_KEY: item}
        yield [str(fields.get(name, "")) for name in layout.columns]
