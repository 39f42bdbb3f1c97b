"""The ways on from a batch that waits for its time or has ended: another time, back to a draft, a copy of it.

A batch and a posted form enter. The sentence that says what happened leaves, with the page that comes next.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode

from django import forms
from django.http import QueryDict
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches import intake
from batches.jobs import lifecycle
from batches.jobs.rescheduling import reschedule_batch, return_to_draft
from batches.models import Batch, BatchStatus, EmailJob
from batches.moments import say_with_moments
from batches.permissions import Act
from batches.web.actions import Action, Done, Question
from batches.web.requests import SignedInRequest
from batches.web.send_time_field import SendTimeField, read_typed, write_query

SENT_ONCE = tuple(status for status in BatchStatus if status != BatchStatus.DRAFT)


TIME_FIELD = "scheduled_at"


class AskAgain(lifecycle.JobRefused):
    """What was typed can't be taken. The page asks for it again, and shows what was typed."""

    def __init__(self, sentence: str, goes_to: str) -> None:
        super().__init__(sentence)
        self.goes_to = goes_to


class TimeForm(forms.Form):
    """Another time for a batch, in the zone of the browser. The sentence afterwards names the moment that was taken."""

    scheduled_at = SendTimeField(
        error_messages={
            "required": gettext_lazy("Choose the time first."),
            "invalid": gettext_lazy("Write the time like 2026-03-31 09:00."),
        },
    )


def make_time_form(query: QueryDict, planned: datetime | None) -> TimeForm:
    """Make the form of a batch's page, with what was typed before if that was refused: see ``AskAgain``."""
    typed = read_typed(query, TIME_FIELD)
    return TimeForm(initial={TIME_FIELD: typed if typed.text else planned})


def _change_time(request: SignedInRequest, batch: Batch, posted: QueryDict) -> Done:
    form = TimeForm(posted)
    if not form.is_valid():
        sentence = " ".join(map(str, form.errors[TIME_FIELD]))
        query = write_query(read_typed(posted, TIME_FIELD), TIME_FIELD)
        raise AskAgain(sentence, f"{reverse('batch', args=[batch.pk])}?{query}")
    at = form.cleaned_data["scheduled_at"]
    reschedule_batch(batch, scheduled_at=at)
    return Done(sentence=say_with_moments(_("The new time is %(time)s."), time=at))


def _send_now(request: SignedInRequest, batch: Batch, posted: QueryDict) -> Done:
    reschedule_batch(batch, scheduled_at=None)
    return Done(sentence=_("The emails go out now."))


def _return_to_draft(request: SignedInRequest, batch: Batch, posted: QueryDict) -> Done:
    job = batch.jobs.order_by("-pk").first()
    return_to_draft(batch)
    sentence = _("“%(name)s” is a draft again. Nothing was sent.") % {"name": batch.title}
    return Done(sentence=sentence, goes_to=review_of(batch, job))


def _copy(request: SignedInRequest, batch: Batch, posted: QueryDict) -> Done:
    job = batch.jobs.order_by("-pk").first()
    copy = intake.copy_batch(batch, user=request.user)
    sentence = _("This is a new draft with the list of “%(name)s”. Nothing is sent yet.") % {"name": batch.title}
    if job is not None and _is_other_letter(job):
        sentence += " " + _("The template was changed since that batch was sent. Look at the message below.")
    return Done(sentence=sentence, goes_to=review_of(copy, job))


def review_of(draft: Batch, job: EmailJob | None) -> str:
    """Return the address of a draft's review with the letter, the sender and the topic that a job had."""
    chosen: dict[str, str] = {}
    if job is not None and job.template is not None:
        subject = "" if job.subject == job.template.subject else job.subject
        chosen = {
            "template": job.template.key,
            "subject": subject,
            "sender": job.sender.key if job.sender else "",
            "topic": job.topic.key if job.topic else "",
        }
    query = urlencode({name: value for name, value in chosen.items() if value})
    return reverse("review", args=[draft.pk]) + (f"?{query}" if query else "")


def _is_other_letter(job: EmailJob) -> bool:
    template = job.template
    return template is None or (template.html, template.text) != (job.html, job.text)


CHANGE_TIME = Action(
    name="time",
    label=gettext_lazy("Change the time"),
    statuses=(BatchStatus.SCHEDULED,),
    act=Act.SEND,
    perform=_change_time,
    question=Question(
        text=gettext_lazy("When shall the emails go out?"),
        yes=gettext_lazy("Save the time"),
        no=gettext_lazy("Keep the time"),
        has_time=True,
        is_safe=True,
    ),
)
SEND_NOW = Action(
    name="send-now",
    label=gettext_lazy("Send now"),
    statuses=(BatchStatus.SCHEDULED,),
    act=Act.SEND,
    perform=_send_now,
    question=Question(
        text=gettext_lazy("All of them get the email now, and not at the time that was chosen."),
        yes=gettext_lazy("Send it now"),
        no=gettext_lazy("Keep the time"),
        count="pending",
        count_label=gettext_lazy("Recipients:"),
        is_safe=True,
    ),
)
BACK_TO_DRAFT = Action(
    name="draft",
    label=gettext_lazy("Back to draft"),
    statuses=(BatchStatus.SCHEDULED,),
    act=Act.SEND,
    perform=_return_to_draft,
)
COPY = Action(
    name="copy",
    label=gettext_lazy("Copy to a new draft"),
    statuses=SENT_ONCE,
    act=Act.SEND,
    perform=_copy,
)
