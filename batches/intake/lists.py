"""Turn a list that a program gave, addresses or mappings with an "email" and merge fields, into records."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from batches.files.dialect import COLUMNS_MAX, Layout, make_layout
from batches.files.errors import ListRefused

ADDRESS_KEY = "email"

# JSON can spell half of a surrogate pair, which no encoding can. SUBSTITUTE is the control character for what
# can't be shown, and is refused as such.
_HALF_LETTER = re.compile("[\ud800-\udfff]")

Recipients = Sequence[str | Mapping[str, str]]


def list_layout(recipients: Recipients) -> Layout:
    """The address first, then each name that a mapping has, in the order in which they turn up."""
    if not recipients:
        raise ListRefused("The list of recipients is empty. Give it at least one address.")
    names = dict.fromkeys(name for item in recipients if isinstance(item, Mapping) for name in item)
    odd = next((name for name in names if not name.isprintable()), None)
    if odd is not None:
        raise ListRefused(f"A merge field is named {odd!r}, which has characters that can't be shown. Rename it.")
    if len(names) > COLUMNS_MAX:
        raise ListRefused(
            f"The recipients have {len(names)} different merge fields. Keep it to {COLUMNS_MAX} or fewer."
        )
    columns = (ADDRESS_KEY, *(name for name in names if name != ADDRESS_KEY))
    return make_layout(columns, address_index=0, has_header=True)


def list_rows(recipients: Recipients, layout: Layout) -> Iterator[list[str]]:
    """A record for each; what a mapping lacks is blank."""
    for item in recipients:
        fields = item if isinstance(item, Mapping) else {ADDRESS_KEY: item}
        yield [_HALF_LETTER.sub("\x1a", str(fields.get(name, ""))) for name in layout.columns]
