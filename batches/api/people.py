"""Search for people over all batches that the caller may see, and list what each of them got.

A query or a person's id enters. People leave, each with the newest email, or the emails to one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from batches import paging
from batches.api.errors import not_found
from batches.api.schemas import ListOptions
from batches.directory import find_people, find_person, read_mails
from batches.history import read_histories
from batches.models import Email
from batches.people_names import find_name

QUERY_MAX_CHARS = 200

router = Router(tags=["people"])


class PeopleOptions(ListOptions):
    q: str = Field(
        max_length=QUERY_MAX_CHARS,
        description="A name, an address, or a part of either, without regard to case and accents. Every word has to be "
        "found. Three characters may be anywhere; one or two begin a word. A whole address finds that one alone.",
    )


class MailOut(Schema):
    """One email to a person. `GET /api/batches/{batchId}/emails` has all about it."""

    batchId: int
    batchTitle: str = Field(description="The name of the batch, or of its file.")
    row: int
    status: str
    code: int | None
    reply: str = Field(description="The mail server's last reply, or the reason why there is none.")
    sentAt: datetime | None
    attempts: int = Field(description="The attempts of all jobs of the batch that have ended.")
    isTest: bool = Field(description="Whether it was a test message.")


class PersonOut(Schema):
    id: int
    name: str = Field(description="The name in the newest list, or an empty text.")
    address: str
    emailCount: int = Field(description="The emails to this person in the batches that you may see.")
    newest: MailOut


class PersonList(Schema):
    items: list[PersonOut]
    next: str | None = Field(description="The cursor of the next page, or null.")


class MailList(Schema):
    items: list[MailOut]
    next: str | None = Field(description="The cursor of the next page, or null.")


@router.get("/people", response=PersonList)
def search_people(request: HttpRequest, options: Query[PeopleOptions]) -> PersonList:
    """Find people by name, address or a part of either, in the batches that you may see.

    The newest people come first. Batches that are still to begin, and purged ones, are not searched. A page may have
    fewer items than its limit although there is a next one.
    """
    [before] = paging.parse(options.cursor, count=1) if options.cursor else [None]
    page = find_people(request.user, options.q, size=options.limit, **({} if before is None else {"before": before}))
    mails = _describe([found.newest for found in page.people])
    people = [
        PersonOut(
            id=found.person_id,
            name=find_name(found.newest.batch.merge_fields, found.newest.fields),
            address=found.newest.address,
            emailCount=found.email_count,
            newest=mail,
        )
        for found, mail in zip(page.people, mails, strict=True)
    ]
    return PersonList(items=people, next=None if page.next_id is None else str(page.next_id))


@router.get("/people/{int:person_id}/emails", response=MailList)
def list_mails(request: HttpRequest, person_id: int, options: Query[ListOptions]) -> MailList:
    """The emails to one person in the batches that you may see, the newest batch first."""
    person = find_person(request.user, person_id)
    if person is None:
        raise not_found(f"person {person_id}")
    before = paging.parse(options.cursor, count=2) if options.cursor else None
    chosen = {} if before is None else {"before": (before[0], before[1])}
    emails, following = read_mails(request.user, person, size=options.limit, **chosen)
    return MailList(items=_describe(emails), next=None if following is None else ".".join(map(str, following)))


def _describe(emails: Sequence[Email]) -> list[MailOut]:
    histories = read_histories(emails)
    return [
        MailOut(
            batchId=email.batch_id,
            batchTitle=email.batch.title,
            row=email.row,
            status=histories[email.pk].state,
            code=histories[email.pk].code,
            reply=histories[email.pk].reply,
            sentAt=histories[email.pk].sent_at,
            attempts=len(histories[email.pk].attempts),
            isTest=email.batch.is_test,
        )
        for email in emails
    ]
