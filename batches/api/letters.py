"""Check every letter of a draft: begin the check, and read what it has found.

A draft and a template enter. A LetterCheckOut leaves.
"""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status

from batches import intake
from batches.api.batches import find_batch
from batches.api.errors import ApiError
from batches.api.schemas import Subject, TemplateKey, TopicKey
from batches.jobs.letter_checks import LetterCheck, begin_check, read_check
from batches.jobs.queues import fleet_status
from batches.jobs.topics import choose_topic
from batches.models import Batch, BatchStatus, EmailTemplate, LetterCheckState
from batches.permissions import Act
from batches.rendering import children
from batches.rendering.template import MessageParts
from batches.wording import say_letter_check

router = Router(tags=["drafts"])


class LetterFaultOut(Schema):
    """Letters that have the same fault."""

    reason: str
    count: int
    rows: list[int] = Field(description="The `row` of the first emails whose letters have it, 20 at most.")


class LetterCheckOut(Schema):
    """The check of every letter of a draft."""

    batchId: int
    templateId: str
    state: LetterCheckState = Field(description="waiting and running checks go on by themselves.")
    totalLetters: int
    checkedLetters: int = Field(description="Less than totalLetters after the end if the check took too long.")
    faultyLetters: int
    faults: list[LetterFaultOut]
    detail: str = Field(description="The state as a sentence.")


@router.post("/batches/{int:batch_id}/letters", response={202: LetterCheckOut})
def begin_letter_check(
    request: HttpRequest,
    batch_id: int,
    templateId: TemplateKey | None = None,
    subject: Subject | None = None,
    topic: TopicKey | None = None,
    again: bool = False,
) -> Status[LetterCheckOut]:
    """Render the letter of every row of a draft in a worker, to find those that have a fault. Nothing is sent.

    If there is a check of this message and this list, it is answered, and no second one begins. `again=true` begins
    one in place of a check that has ended.
    """
    find_batch(request, batch_id, act=Act.SEND)
    batch, template, parts = _find(request, batch_id, templateId, subject=subject, topic=topic)
    children.analyse_sound(parts, batch, user_id=request.user.pk)
    check = begin_check(batch, parts, again=again)
    if check is None:
        raise ApiError(503, "The letters can't be checked, because Redis can't be used now. Try again later.")
    return Status(202, _describe(check, template))


@router.get("/batches/{int:batch_id}/letters", response=LetterCheckOut)
def get_letter_check(
    request: HttpRequest,
    batch_id: int,
    templateId: TemplateKey | None = None,
    subject: Subject | None = None,
    topic: TopicKey | None = None,
) -> LetterCheckOut:
    """How far the check is, and what it has found. A check is forgotten after an hour, or if the list changes."""
    batch, template, parts = _find(request, batch_id, templateId, subject=subject, topic=topic)
    check = read_check(batch, parts)
    if check is None:
        raise ApiError(404, "There is no check of this message and this list. Begin one with POST.")
    return _describe(check, template)


def _find(
    request: HttpRequest, batch_id: int, template_id: str | None, *, subject: str | None, topic: str | None
) -> tuple[Batch, EmailTemplate, MessageParts]:
    batch = find_batch(request, batch_id)
    if batch.status != BatchStatus.DRAFT:
        raise intake.NotADraft("This batch is no longer a draft, so its letters can't be checked.")
    template = EmailTemplate.objects.find_named(template_id)
    about = choose_topic(topic, template=template)
    return batch, template, MessageParts.of(template, subject, about and about.message_topic)


def _describe(check: LetterCheck, template: EmailTemplate) -> LetterCheckOut:
    return LetterCheckOut(
        batchId=check.batch_id,
        templateId=template.key,
        state=check.state,
        totalLetters=check.total,
        checkedLetters=check.checked,
        faultyLetters=check.faulty,
        faults=[
            LetterFaultOut(reason=fault.reason, count=fault.count, rows=list(fault.rows)) for fault in check.faults
        ],
        detail=say_letter_check(check, fleet_status()),
    )
