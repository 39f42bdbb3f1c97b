"""A CheckItem: one thing that a sender check looks at, and what came out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Light(Enum):
    """What came out, as pages colour it and say it."""

    GREEN = "fine"
    AMBER = "look at this"
    RED = "to be fixed"
    GREY = "not known"

    @property
    def colour(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckItem:
    """One thing that was looked at."""

    title: str
    light: Light
    sentence: str
    """What was found."""
    advice: str = ""
    """What to do. Empty where nothing is to be done."""
    record: str = ""
    """A DNS record to publish, as a zone file has it."""
    found: str = ""
    """What was found, word for word."""
