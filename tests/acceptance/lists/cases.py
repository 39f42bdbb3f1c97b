"""What a case is: a list, and what must become of each of its lines.

The cases were collected from public reports about other programs that import lists. They are in ten kinds, in four
modules. Each module has more than one case of a kind, because a fault is a fault of its kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Rows = dict[str, dict[str, str]]
"""The expected recipients: values by merge field, by address."""

ANN: Rows = {"ann@example.org": {"name": "Ann"}}
BO: Rows = {"bo@example.org": {"name": "Bo"}}
CY: Rows = {"cy@example.org": {"name": "Cy"}}
AB = ANN | BO
ABC = ANN | BO | CY


def addresses(*names: str) -> Rows:
    """Expect these people of example.org, whatever their merge fields are."""
    return {f"{name}@example.org": {} for name in names}


@dataclass(frozen=True, kw_only=True, slots=True)
class ListCase:
    """One uploaded file. Exactly ``expect`` must become recipients, and every other line a rejected row."""

    name: str
    content: bytes
    expect: Rows | None
    """None: the whole file must be refused, with a sentence, and leave no draft."""
    filename: str = "list.csv"
    rejected: int = 0
    """How many rows must be rejected. A title and a blank line are no rows."""
    says: tuple[str, ...] = ()
    """Patterns that the refusal, or the reasons of the rejected rows, must match."""
    says_not: tuple[str, ...] = ()
    also: frozenset[str] = frozenset()
    """Addresses that may be recipients, or be rejected: there are good reasons for both."""
    seconds: float = 10
    encoding: str = ""
    """The file's encoding, if the sample is too small to be certain. Then the review may offer it."""
    found: Mapping[str, object] = field(default_factory=dict)
    """What the review must say: values of its ``reading``, or how many items a list there has."""


def make_case(name: str, content: str | bytes, expect: Rows | None, **more: object) -> ListCase:
    """Make a case of a text in UTF-8, or of the bytes of a file."""
    octets = content.encode() if isinstance(content, str) else content
    return ListCase(name=name, content=octets, expect=expect, **more)  # type: ignore[arg-type]
