"""The buttons that steer a batch: pause, resume, cancel, replay. When each is offered, and what it does.

The name of an action enters. A redirect to the batch's page leaves, with the sentence that says what happened.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from batches.accounts.proof import require_fresh_proof
from batches.jobs import creation, lifecycle
from batches.models import Batch, BatchStatus, JobKind
from batches.permissions import Act, find_missing
from batches.progress import Snapshot
from batches.web.requests import SignedInRequest, find_batch

MOVING = (BatchStatus.SCHEDULED, BatchStatus.PENDING, BatchStatus.PROCESSING)
ENDED = (BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.CANCELLED)

REPLAY = "replay-"
"""How the names of the actions begin that send again."""

ALL_ACTS = frozenset(Act)

Perform = Callable[[Batch, User, Container[str]], str]
"""Does the action for a user, with the names of the boxes that the user ticked.

Returns the sentence that says what happened. Raises ``JobRefused``.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class TickBox:
    """A choice beside a question."""

    name: str
    label: str
    count: str
    """The count of the snapshot that the choice is about. If it is 0, the box is hidden."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What a person is asked before a step that is hard to take back, with a button for each answer."""

    text: str
    yes: str
    no: str
    tick_box: TickBox | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """One thing a person may do with a batch while it has certain statuses."""

    name: str
    label: str
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
    ticked_count: int = 0
    """How many emails the tick box is about, if it has one."""


def make_buttons(now: Snapshot, acts: Container[Act] = ALL_ACTS) -> list[Button]:
    """Make a button for every action that is one of these acts."""
    counts = count_for_actions(now)
    return [
        Button(
            action=action,
            is_shown=action.fits(now),
            count=counts.get(action.count, 0),
            ticked_count=counts[action.question.tick_box.count] if action.question and action.question.tick_box else 0,
        )
        for action in ACTIONS
        if action.act in acts
    ]


def list_acts(user: User, batch: Batch) -> set[Act]:
    """Return what a user may do with a batch."""
    return {act for act in ALL_ACTS if find_missing(user, batch, act) is None}


def count_for_actions(now: Snapshot) -> dict[str, int]:
    """Count what the actions are about. ``static/js/counts.js`` does the same while the page is open."""
    return {"failed": now["failed"], "unknown": now["unknown"], "unsent": now["failed"] + now["cancelled"]}


@require_POST
@login_required
def steer_batch(request: SignedInRequest, batch_id: int, action: str) -> HttpResponse:
    """Pause, resume, cancel or replay a batch. The batch's page then says what happened, or why it was refused."""
    chosen = next((each for each in ACTIONS if each.name == action), None)
    if chosen is None:
        raise Http404(f"There is no action {action}.")
    batch = find_batch(request, batch_id, act=chosen.act)
    if chosen.name.startswith(REPLAY):
        require_fresh_proof(request, recipient_count=batch.total_count)
    try:
        sentence = chosen.perform(batch, request.user, request.POST)
    except creation.ApprovalAsked:
        pass  # the page of the batch says what it waits for
    except lifecycle.JobRefused as exc:
        messages.error(request, str(exc))
    else:
        messages.success(request, sentence)
    return redirect("batch", batch_id=batch.pk)


def _pause(batch: Batch, user: User, ticked: Container[str]) -> str:
    lifecycle.pause_batch(batch)
    return "The batch is paused. A few emails that were already on their way may still arrive."


def _resume(batch: Batch, user: User, ticked: Container[str]) -> str:
    lifecycle.resume_batch(batch, by=user)
    return "The batch goes on."


def _cancel(batch: Batch, user: User, ticked: Container[str]) -> str:
    lifecycle.cancel_batch(batch)
    return "The batch is cancelled. People who had not got the email yet will not get it."


def _replay(which: JobKind) -> Perform:
    def replay(batch: Batch, user: User, ticked: Container[str]) -> str:
        job = creation.replay_batch(batch, which=which, user=user, include_unknown=INCLUDE_UNKNOWN.name in ticked)
        return f"{job.total_count:,} email{' is' if job.total_count == 1 else 's are'} being sent."

    return replay


INCLUDE_UNKNOWN = TickBox(
    name="include-unknown",
    label="Send also to those of whom nobody knows whether they have got it. Some of them may get it twice.",
    count="unknown",
)

ACTIONS = (
    Action(name="pause", label="Pause", statuses=MOVING, act=Act.STOP, perform=_pause),
    Action(name="resume", label="Resume", statuses=(BatchStatus.PAUSED,), act=Act.RESTART, perform=_resume),
    Action(
        name="cancel",
        label="Cancel",
        statuses=(*MOVING, BatchStatus.PAUSED),
        act=Act.STOP,
        perform=_cancel,
        question=Question(
            text="People who have not got the email yet will not get it. You can send to them later.",
            yes="Stop sending",
            no="Keep sending",
        ),
    ),
    Action(
        name="replay-failed",
        label="Send the failed again",
        statuses=ENDED,
        act=Act.RESTART,
        perform=_replay(JobKind.FAILED),
        count="failed",
    ),
    Action(
        name="replay-unsent",
        label="Send to those who have not got it",
        statuses=ENDED,
        act=Act.RESTART,
        perform=_replay(JobKind.UNSENT),
        count="unsent",
        question=Question(
            text="Everybody whose email failed or was cancelled gets it now. Nobody who has got it gets it again.",
            yes="Send it now",
            no="Do not send",
            tick_box=INCLUDE_UNKNOWN,
        ),
    ),
    Action(
        name="replay-unknown",
        label="Send the unknown again",
        statuses=ENDED,
        act=Act.RESTART,
        perform=_replay(JobKind.UNKNOWN),
        count="unknown",
        question=Question(
            text="Some of these people may have got the email already. They will get it twice.",
            yes="Send again",
            no="Do not send",
        ),
    ),
)
"""Every action, in the order of the buttons."""
