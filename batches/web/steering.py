"""The buttons that steer a batch: pause, resume, cancel, replay; when each is offered and what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from batches.jobs import creation, lifecycle
from batches.models import Batch, BatchStatus, JobKind
from batches.progress import Snapshot
from batches.web.requests import SignedInRequest, find_batch

MOVING = (BatchStatus.SCHEDULED, BatchStatus.PENDING, BatchStatus.PROCESSING)
ENDED = (BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.CANCELLED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """One thing a person may do with a batch while it is in certain states.

    The page holds all of them and the script shows those that fit, so that a status that changes under
    the reader changes the buttons too.
    """

    action: str
    label: str
    when: tuple[BatchStatus, ...]
    some: str = ""
    """The count that must not be 0, by its name in the snapshot."""
    question: str = ""
    """Asked before it is done, where it can't be undone."""

    def fits(self, now: Snapshot) -> bool:
        """Whether it may be offered now."""
        counts = {"failed": now["failed"], "unknown": now["unknown"]}
        return now["status"] in self.when and (not self.some or counts[self.some] > 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A button on a page, shown or hidden."""

    button: Button
    is_shown: bool


BUTTONS = (
    Button(action="pause", label="Pause", when=MOVING),
    Button(action="resume", label="Resume", when=(BatchStatus.PAUSED,)),
    Button(
        action="cancel",
        label="Cancel",
        when=(*MOVING, BatchStatus.PAUSED),
        question="Whoever has not got the mail yet will get none. This can't be undone.",
    ),
    Button(action="replay-failed", label="Send the failed again", when=ENDED, some="failed"),
    Button(
        action="replay-unknown",
        label="Send the unknown again",
        when=ENDED,
        some="unknown",
        question="Some of them may have got the mail already and will get it twice.",
    ),
)


def make_buttons(now: Snapshot) -> list[Offer]:
    """Every button, each with whether it fits now."""
    return [Offer(button=button, is_shown=button.fits(now)) for button in BUTTONS]


@require_POST
@login_required
def steer_batch(request: SignedInRequest, batch_id: int, action: str) -> HttpResponse:
    """Pause, resume, cancel or replay; a refusal comes back as its sentence on the batch's page."""
    batch = find_batch(request, batch_id)
    if action not in ACTIONS:
        raise Http404(f"There is no action {action}.")
    try:
        said = ACTIONS[action](batch, request)
    except lifecycle.JobRefused as exc:
        messages.error(request, str(exc))
    else:
        messages.success(request, said)
    return redirect("batch", batch_id=batch.pk)


def _pause(batch: Batch, request: SignedInRequest) -> str:
    lifecycle.pause_batch(batch)
    return "The batch is paused. What was on its way to the relay is still recorded."


def _resume(batch: Batch, request: SignedInRequest) -> str:
    lifecycle.resume_batch(batch)
    return "The batch goes on."


def _cancel(batch: Batch, request: SignedInRequest) -> str:
    lifecycle.cancel_batch(batch)
    return "The batch is cancelled. Whoever had not got the mail yet gets none."


def _replay(which: JobKind) -> Callable[[Batch, SignedInRequest], str]:
    def replay(batch: Batch, request: SignedInRequest) -> str:
        job = creation.replay_batch(batch, which=which, user=request.user)
        return f"To be sent again: {job.total_count:,}."

    return replay


ACTIONS: dict[str, Callable[[Batch, SignedInRequest], str]] = {
    "pause": _pause,
    "resume": _resume,
    "cancel": _cancel,
    "replay-failed": _replay(JobKind.FAILED),
    "replay-unknown": _replay(JobKind.UNKNOWN),
}
