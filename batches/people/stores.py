"""The places outside the database that hold personal data, such as the inbox of the local stack.

The settings name them (``PERSONAL_DATA_STORES``), because this package knows no part of the local stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Protocol, cast

from django.conf import settings
from django.utils.module_loading import import_string

from batches.people.spelling import Spelling


class Store(Protocol):
    """A place that holds personal data. Its constructor takes nothing."""

    name: str

    def export(self, pattern: re.Pattern[str]) -> list[dict[str, Any]]:
        """Return what the place holds about an address, as JSON can hold it."""

    def erase(self, pattern: re.Pattern[str]) -> int:
        """Delete what the place holds about an address, and return how many things that were."""

    def purge(self, before: datetime) -> int:
        """Delete what is older than a moment, and return how many things that were."""


def open_stores() -> Iterator[Store]:
    """Yield the stores of this site."""
    for path in settings.PERSONAL_DATA_STORES:
        yield cast(Store, import_string(path)())


def compile_pattern(spelling: Spelling) -> re.Pattern[str]:
    """Return the pattern that finds an address, for a store."""
    return re.compile(spelling.pattern, re.IGNORECASE)
