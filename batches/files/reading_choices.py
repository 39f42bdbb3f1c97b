"""Keep what a person chose about a file, so that a choice holds when another one is made after it. Pure.

Reading options leave as a mapping that is stored with the batch (``Reading.chosen``). The mapping enters again with the
next change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from batches.files.opening import ReadingOptions

_DEPENDENT = {
    "sheet": ("header_row", "has_header", "address_indexes", "hidden_rows"),
    "delimiter": ("address_indexes",),
    "header_row": ("has_header",),
    "has_header": ("header_row",),
}
"""Choices that lose their meaning when another one changes: another sheet has other columns, and hides other rows."""


def list_choices(options: ReadingOptions) -> dict[str, Any]:
    """Return what a person chose, by the names of ReadingOptions. What is to be found from the file is left out."""
    return {name: value for name, value in asdict(options).items() if value is not None and value is not False}


def change_choices(chosen: Mapping[str, Any], changes: Mapping[str, Any]) -> ReadingOptions:
    """Return the earlier choices with some of them changed. A change to None finds that option from the file again."""
    present = dict(chosen)
    for name, value in changes.items():
        if value != present.get(name):
            for dependent in _DEPENDENT.get(name, ()):
                present.pop(dependent, None)
    merged = {**present, **changes}
    known = {item.name: merged[item.name] for item in fields(ReadingOptions) if merged.get(item.name) is not None}
    if "address_indexes" in known:
        known["address_indexes"] = tuple(known["address_indexes"])  # JSON has no tuple
    return ReadingOptions(**known)
