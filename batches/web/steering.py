"""The buttons that steer a batch: pause, resume, cancel, replay, ways on. When each is offered, and what it does.

The name of an action enters. A redirect leaves, with the sentence that says what happened.
"""

from __future__ import annotations

from collections.abc import Container

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from batches.accounts.proof import require_fresh_proof
from batches.files.errors import ListRefused
from batches.jobs import creation, lifecycle
from batches.models import Batch, BatchStatus, JobKind
from batches.permissions import Act, find_missing
from batches.progress import Snapshot
from batches.web.actions import Action, Button, Done, Perform, Question, TickBox, make_button
from batches.web.progressbar import ENDED
from batches.web.requests import SignedInRequest, find_batch, posted_from
from batches.web.ways_on import BACK_TO_DRAFT, CHANGE_TIME, COPY, SEND_NOW, AskAgain

MOVING = (BatchStatus.SCHEDULED, BatchStatus.PENDING, BatchStatus.PROCESSING)

ALL_ACTS = frozenset(Act)


def make_buttons(now: Snapshot, acts: Container[Act] = ALL_ACTS) -> list[Button]:
    """Make a button for every action that is one of these acts."""
    return [make_button(action, now) for action in ACTIONS if action.act in acts]


def list_acts(user: User, batch: Batch) -> set[Act]:
    """Return what a user may do with a batch."""
    return {act for act in ALL_ACTS if find_missing(user, batch, act) is None}


@posted_from("batch", "batch_id")
def steer_batch(request: SignedInRequest, batch_id: int, action: str) -> HttpResponse:
    """Do what a button says. The next page then says what happened, or the batch's page why it was refused."""
    chosen = next((each for each in ACTIONS if each.name == action), None)
    if chosen is None:
        raise Http404(f"There is no action {action}.")
    batch = find_batch(request, batch_id, act=chosen.act)
    if chosen in SENDING:
        require_fresh_proof(request, recipient_count=batch.total_count)
    try:
        done = chosen.perform(request, batch, request.POST)
    except creation.ApprovalAsked:
        pass  # the page of the batch says what it waits for
    except AskAgain as exc:
        messages.error(request, str(exc))
        return redirect(exc.goes_to)
    except (lifecycle.JobRefused, ListRefused) as exc:
        messages.error(request, str(exc))
    else:
        messages.success(request, done.sentence)
        if done.goes_to:
            return redirect(done.goes_to)
    return redirect("batch", batch_id=batch.pk)


def _pause(request: SignedInRequest, batch: Batch, posted: QueryDict) -> Done:
    lifecycle.pause_batch(batch)
    return Done(sentence=_("Paused. A few emails that were already on their way may still arrive."))


def _resume(request: SignedInRequest, batch: Batch, posted: QueryDict) -> Done:
    lifecycle.resume_batch(batch, by=request.user)
    return Done(sentence=_("Resumed. The rest is being sent."))


def _cancel(request: SignedInRequest, batch: Batch, posted: QueryDict) -> Done:
    lifecycle.cancel_batch(batch)
    return Done(sentence=_("Cancelled. People who had not got the email yet will not get it."))


def _replay(which: JobKind) -> Perform:
    def replay(request: SignedInRequest, batch: Batch, posted: QueryDict) -> Done:
        include_unknown = INCLUDE_UNKNOWN.name in posted
        job = creation.replay_batch(batch, which=which, user=request.user, include_unknown=include_unknown)
        return Done(sentence=say_being_sent(job.total_count))

    return replay


def say_being_sent(count: int) -> str:
    """Say how many emails a replay sends."""
    sentence = ngettext("%(count)s email is being sent again.", "%(count)s emails are being sent again.", count)
    return sentence % {"count": f"{count:,}"}


INCLUDE_UNKNOWN = TickBox(
    name="include-unknown",
    label=gettext_lazy(
        "Send also to those of whom nobody knows whether they have got it. Some of them may get it twice."
    ),
    count="unknown",
)

REPLAYS = (
    Action(
        name="replay-failed",
        label=gettext_lazy("Send the failed again"),
        statuses=ENDED,
        act=Act.RESTART,
        perform=_replay(JobKind.FAILED),
        count="failed",
    ),
    Action(
        name="replay-unsent",
        label=gettext_lazy("Send to those who have not got it"),
        statuses=ENDED,
        act=Act.RESTART,
        perform=_replay(JobKind.UNSENT),
        count="unsent",
        question=Question(
            text=gettext_lazy(
                "Everybody whose email failed or was cancelled gets it now. Nobody who has got it gets it again."
            ),
            yes=gettext_lazy("Send it now"),
            no=gettext_lazy("Do not send"),
            tick_box=INCLUDE_UNKNOWN,
            is_safe=True,
        ),
    ),
    Action(
        name="replay-unknown",
        label=gettext_lazy("Send again where it is not certain"),
        statuses=ENDED,
        act=Act.RESTART,
        perform=_replay(JobKind.UNKNOWN),
        count="unknown",
        question=Question(
            text=gettext_lazy("Some of these people may have got the email already. They will get it twice."),
            yes=gettext_lazy("Send again"),
            no=gettext_lazy("Do not send"),
        ),
    ),
)

SENDING = (CHANGE_TIME, SEND_NOW, *REPLAYS)
"""The actions by which mail goes out that nobody expected then. They may need a new proof of who the user is."""

ACTIONS = (
    CHANGE_TIME,
    SEND_NOW,
    BACK_TO_DRAFT,
    Action(name="pause", label=gettext_lazy("Pause"), statuses=MOVING, act=Act.STOP, perform=_pause),
    Action(
        name="resume", label=gettext_lazy("Resume"), statuses=(BatchStatus.PAUSED,), act=Act.RESTART, perform=_resume
    ),
    Action(
        name="cancel",
        label=gettext_lazy("Cancel"),
        statuses=(*MOVING, BatchStatus.PAUSED),
        act=Act.STOP,
        perform=_cancel,
        question=Question(
            text=gettext_lazy("They will not get it. You can send to them later."),
            yes=gettext_lazy("Stop sending"),
            no=gettext_lazy("Keep sending"),
            count="pending",
            count_label=gettext_lazy("People who have not got the email yet:"),
        ),
    ),
    *REPLAYS,
    COPY,
)
"""Every action, in the order of the buttons."""
