"""Turn a list that a program gave into records: each recipient is an address, or a mapping with merge fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from batches.files.errors import ListRefused
from batches.files.layout import COLUMNS_MAX, Layout, make_layout

ADDRESS_KEY = "email"

# JSON can spell half of a surrogate pair, which UTF-8 can't. It becomes SUBSTITUTE, the control character for what
# can't be shown, and the row is then refused because of that character.
_HALF_SURROGATE = re.compile("[\ud800-\udfff]")

Recipients = Sequence[str | Mapping[str, str]]


def list_layout(recipients: Recipients) -> Layout:
    """Return the layout of a list: the address first, then each name of a mapping, in the order of appearance.

    Raises:
        ListRefused: the list is empty, has too many names, or has a name that can't be shown.
    """
    if not recipients:
        raise ListRefused("The list of recipients is empty. Give it at least one address.")
    names = dict.fromkeys(name for item in recipients if isinstance(item, Mapping) for name in item)
    unprintable = next((name for name in names if not name.isprintable()), None)
    if unprintable is not None:
        raise ListRefused(f"The merge field {unprintable!r} has characters in its name that can't be shown. Rename it.")
    if len(names) > COLUMNS_MAX:
        raise ListRefused(
            f"The recipients have {len(names)} different merge fields. Reduce them to {COLUMNS_MAX} or fewer."
        )
    columns = (ADDRESS_KEY, *(name for name in names if name != ADDRESS_KEY))
    return make_layout(columns, address_index=0, has_header=True)


def list_rows(recipients: Recipients, layout: Layout) -> Iterator[list[str]]:
    """Yield a record for each recipient. A merge field that a mapping lacks is blank."""
    for item in recipients:
        fields = item if isinstance(item, Mapping) else {ADDRESS_KEY: item}
        yield [_HALF_SURROGATE.sub("\x1a", str(fields.get(name, ""))) for name in layout.columns]
