"""Read the records of a list that a program gave: addresses, or mappings with an "email" and merge fields."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence

from batches.intake.errors import IntakeError

ADDRESS_KEY = "email"


class ListRecords:
    """Records of a sequence; a record's line is its place in the list, from 1."""

    def __init__(self, recipients: Sequence[str | Mapping[str, str]]) -> None:
        if not recipients:
            raise IntakeError("The list of recipients is empty. Give it at least one address.")
        self._recipients = recipients
        names = dict.fromkeys(name for item in recipients if isinstance(item, Mapping) for name in item)
        self.columns = (ADDRESS_KEY, *(name for name in names if name != ADDRESS_KEY))
        self.reader = self
        self.line_num = 0

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        if self.line_num == len(self._recipients):
            raise StopIteration
        item = self._recipients[self.line_num]
        self.line_num += 1
        fields = item if isinstance(item, Mapping) else {ADDRESS_KEY: item}
        return [str(fields.get(name, "")) for name in self.columns]

    def explain(self, exc: csv.Error, *, line: int) -> str:
        raise exc
