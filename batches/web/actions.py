"""What a button of a batch's page is made of: the action, when it fits, and the question before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.http import QueryDict
from django.utils.functional import Promise

from batches.models import Batch, BatchStatus
from batches.permissions import Act
from batches.progress import Snapshot
from batches.web.requests import SignedInRequest

Words = str | Promise
"""A sentence, or one that is translated when it is shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What an action did."""

    sentence: str
    goes_to: str = ""
    """The page that the user sees next. Empty: that of the batch."""


Perform = Callable[[SignedInRequest, Batch, QueryDict], Done]
"""Does the action for the user of a request, with the posted form. Raises ``JobRefused``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TickBox:
    """A choice beside a question."""

    name: str
    label: Words
    count: str
    """The count of the snapshot that the choice is about. If it is 0, the box is hidden."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What a person is asked before a step that is hard to take back, with a button for each answer."""

    text: Words
    yes: Words
    no: Words
    tick_box: TickBox | None = None
    count: str = ""
    """The count of the snapshot that the question begins with, after ``count_label``. Empty: none."""
    count_label: Words = ""
    has_time: bool = False
    """Whether the answer needs a time."""
    is_safe: bool = False
    """Whether the step loses nothing, and nobody gets a mail twice by it. Its button is then not red."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """One thing a person may do with a batch while it has certain statuses."""

    name: str
    label: Words
    statuses: tuple[BatchStatus, ...]
    act: Act
    """What it is, for the permission that it needs."""
    perform: Perform
    count: str = ""
    """The count that the button shows and that must not be 0, or an empty string. See ``count_for_actions``."""
    question: Question | None = None

    def fits(self, now: Snapshot) -> bool:
        """Return whether the action may be offered now."""
        return now["status"] in self.statuses and (not self.count or count_for_actions(now)[self.count] > 0)


def count_for_actions(now: Snapshot) -> dict[str, int]:
    """Count what the actions are about. ``static/js/counts.js`` does the same while the page is open."""
    return {
        "failed": now["failed"],
        "unknown": now["unknown"],
        "unsent": now["failed"] + now["cancelled"],
        "pending": now["pending"],
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """An action on a page, shown or hidden.

    The page holds the buttons of all actions, and the script shows those that fit. So the buttons change when
    the status changes while the page is open.
    """

    action: Action
    is_shown: bool
    count: int = 0
    """How many emails the action is about, if it has a count."""
    asked_count: int = 0
    """The count that the question begins with, if it has one."""
    ticked_count: int = 0
    """How many emails the tick box is about, if it has one."""


def make_button(action: Action, now: Snapshot) -> Button:
    """Make the button of an action."""
    counts, question = count_for_actions(now), action.question
    return Button(
        action=action,
        is_shown=action.fits(now),
        count=counts.get(action.count, 0),
        asked_count=counts.get(question.count, 0) if question else 0,
        ticked_count=counts[question.tick_box.count] if question and question.tick_box else 0,
    )
