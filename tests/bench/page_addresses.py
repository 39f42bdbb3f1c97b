"""The addresses that the bench of pages asks: every page and list, by what it shows.

The ids of the generated rows enter. A name and an address of each page leave.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.bench import messages, pages_data

FEW = "3 failed of many"
"""Begins the names of the pages that have a goal of their own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """The ids of what was generated."""

    million: int
    many: int
    draft: int
    job: int
    person: int
    """Who got many mails."""
    group: str
    """The key of the group of failures of ``million``."""
    recipient_count: int
    """Of ``million`` and of ``draft``."""
    batch_count: int

    @property
    def middle(self) -> int:
        """A row in the middle of a batch."""
        return self.recipient_count // 2

    @property
    def address(self) -> str:
        """Of the recipient in the middle."""
        return f"person{self.middle}@mail{self.middle % 997}.example.com"


def list_addresses(places: Places) -> dict[str, str]:
    """Return the addresses that are measured, by what they show."""
    return {
        "home": "/",
        **_list_batches(places),
        **_list_one_batch(places),
        **_list_people(places),
        **_list_others(places),
        **_list_api(places),
        **_list_admin(places),
    }


def _list_batches(places: Places) -> dict[str, str]:
    return {
        "list of batches": "/batches/",
        "list of batches, deep": f"/batches/?after={places.million // 2}",
        "list of batches, tests": "/batches/?tests=only",
        "list of batches, a part of a name": "/batches/?q=list-77",
        "list of batches, one name": "/batches/?q=list-777.csv",
        "list of batches, a word of all": "/batches/?q=csv",
        "list of batches, a word of none": "/batches/?q=zebra",
        "list of batches, a subject": "/batches/?q=rare",
        "list of batches, failed": "/batches/?status=failed",
        "list of batches, failed and a word of all": "/batches/?status=failed&q=csv",
        "list of batches, a template of none": "/batches/?template=template-7",
        "list of batches, a template of all": f"/batches/?template={messages.TEMPLATE_KEY}",
        "list of batches, of long ago": "/batches/?until=2001-01-01",
    }


def _list_one_batch(places: Places) -> dict[str, str]:
    million, many, draft = (f"/batches/{batch}/" for batch in (places.million, places.many, places.draft))
    last, person = places.recipient_count, f"person+{places.middle}"
    return {
        "batch": million,
        "batch, last page": f"{million}?after={last - 50}",
        "batch, parts for its script": f"{million}?part=notes&part=rows",
        "batch, shown for a name": f"{million}?for={person}",
        "batch, shown for an address": f"{million}?for={places.address}",
        "batch, shown for nobody": f"{million}?for=zebra",
        "batch, a name": f"{million}?q={person}",
        "batch, a word of all": f"{million}?q=person",
        "batch, a word of all among the failed": f"{million}?q=person&status=failed",
        "batch, a word of none": f"{million}?q=zebra",
        "batch of many": many,
        "tab sent": f"{million}?status=sent",
        "tab failed, a fifth": f"{million}?status=failed",
        "tab failed, a fifth, deep": f"{million}?status=failed&after={last * 9 // 10}",
        "tab returned": f"{million}?status=returned",
        "tab returned, deep": f"{million}?status=returned&after={last * 9 // 10}",
        "tab pending, none": f"{million}?status=pending",
        "tab unknown, none": f"{million}?status=unknown",
        FEW: f"{many}?status=failed",
        "tab suppressed, 3 of many": f"{many}?status=suppressed",
        "tab cancelled, the last of many": f"{many}?status=cancelled",
        "group of failures": f"{million}failures/{places.group}/",
        "group of failures at a domain": f"{million}failures/{places.group}/?at=mail7.example.com",
        "a recipient": f"{million}recipients/{places.middle}/",
        "message of a recipient": f"{million}recipients/{places.middle}/message/",
        "draft": draft,
        "review": f"{draft}review/",
        "review, shown for a name": f"{draft}review/?line={person}",
        "review, shown for an address": f"{draft}review/?line={places.address}",
        "review, shown for nobody": f"{draft}review/?line=zebra",
        "letters to look through": f"{draft}review/letters/",
    }


def _list_people(places: Places) -> dict[str, str]:
    return {
        "people, a name": "/people/?q=zo%C3%AB+person",
        "people, a name and a number": f"/people/?q=person+{places.middle}",
        "people, an address": f"/people/?q={places.address}",
        "people, a part of an address": f"/people/?q=person{places.middle}%40",
        "people, a word of none": "/people/?q=zebra",
        "people, one with many mails": f"/people/?q={pages_data.OFTEN}",
        "person with many mails": f"/people/{places.person}/",
        "person with many mails, deep": f"/people/{places.person}/?after={places.batch_count - 100}.1",
    }


def _list_others(places: Places) -> dict[str, str]:
    return {
        "approvals": "/approvals/",
        "audit": "/audit/",
        "audit, of a batch": f"/audit/?batch={places.million}",
        "audit, of a user": "/audit/?who=user7",
        "audit, of nobody": "/audit/?who=zebra",
        "do not send": "/do-not-send/",
        "do not send, one reason": "/do-not-send/?reason=manual",
        "do not send, another reason": "/do-not-send/?reason=complained",
        "templates": "/templates/",
        "template": f"/templates/{messages.TEMPLATE_KEY}/edit/",
        "template, new": "/templates/new/",
        "versions of a template": f"/templates/{messages.TEMPLATE_KEY}/versions/",
        "users": "/users/",
        "users, a name": "/users/?q=user77",
        "users, nobody": "/users/?q=zebra",
        "checklist": "/checklist/",
        "help": "/help/",
        "tokens": "/accounts/tokens/",
    }


def _list_api(places: Places) -> dict[str, str]:
    million, many = (f"/api/batches/{batch}" for batch in (places.million, places.many))
    return {
        "API: batches": "/api/batches",
        "API: batches, deep": f"/api/batches?limit=50&cursor={places.million // 2}",
        "API: batch": million,
        "API: batch of many": many,
        "API: emails": f"{million}/emails",
        "API: emails, deep": f"{million}/emails?cursor={places.recipient_count * 9 // 10}",
        "API: emails failed": f"{million}/emails?status=failed",
        "API: emails pending, none": f"{million}/emails?status=pending",
        f"{FEW}, API": f"{many}/emails?status=failed",
        "API: review": f"/api/batches/{places.draft}/review?templateId={messages.TEMPLATE_KEY}",
        "API: job": f"/api/jobs/{places.job}",
        "API: people": f"/api/people?q={places.address}",
        "API: mails to a person": f"/api/people/{places.person}/emails",
        "API: do not send": "/api/suppressions",
        "API: audit": "/api/audit",
        "API: approvals": "/api/approvals",
        "API: template": f"/api/templates/{messages.TEMPLATE_KEY}",
        "API: senders": "/api/senders",
        "metrics": "/metrics",
        "health": "/api/health",
    }


def _list_admin(places: Places) -> dict[str, str]:
    admin, last = "/admin/batches", min(100, places.batch_count // 100)  # a hundred on a page of the admin
    middle = places.middle
    return {
        "admin": "/admin/",
        "admin: batches": f"{admin}/batch/",
        "admin: batches, a beginning": f"{admin}/batch/?q=list-77",
        "admin: batches, a user": f"{admin}/batch/?q=bench",
        "admin: batches, nothing": f"{admin}/batch/?q=zebra",
        "admin: batches, deep": f"{admin}/batch/?p={last}",
        "admin: batches, completed": f"{admin}/batch/?status__exact=completed",
        "admin: batch": f"{admin}/batch/{places.million}/change/",
        "admin: jobs": f"{admin}/emailjob/",
        "admin: jobs, nothing": f"{admin}/emailjob/?q=nobody",
        "admin: jobs, a template": f"{admin}/emailjob/?q={messages.TEMPLATE_KEY}",
        "admin: jobs, live": f"{admin}/emailjob/?status__exact=processing",
        "admin: job": f"{admin}/emailjob/{places.job}/change/",
        "admin: emails": f"{admin}/email/",
        "admin: emails of a batch": f"{admin}/email/?batch={places.million}",
        "admin: emails, an address": f"{admin}/email/?q={places.address}",
        "admin: emails, a beginning": f"{admin}/email/?q=person{middle}*",
        "admin: emails, failed": f"{admin}/email/?status=failed&batch={places.million}",
        "admin: emails, unknown": f"{admin}/email/?status=unknown&batch={places.million}",
        "admin: emails, suppressed": f"{admin}/email/?status=suppressed&batch={places.many}",
        "admin: emails, deep": f"{admin}/email/?p={last}",
        "admin: audit": f"{admin}/auditentry/",
        "admin: audit, of a user": f"{admin}/auditentry/?q=user7",
        "admin: audit, refused": f"{admin}/auditentry/?is_refused__exact=1",
        "admin: templates": f"{admin}/emailtemplate/",
        "admin: templates, nothing": f"{admin}/emailtemplate/?q=zebra",
        "admin: users": "/admin/auth/user/",
        "admin: users, nobody": "/admin/auth/user/?q=zebra",
    }
