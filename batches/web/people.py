"""The search for people over all batches that the user may see, and the page of one person: every mail to them.

A name or an address enters in the query of the search. A person's page has an id in its address and never the person's
email address, so no log and no browser's history keeps it from there.
"""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_safe

from batches import paging
from batches.directory import FoundPerson, find_people, find_person, read_mails
from batches.models import Batch, Email
from batches.people_names import find_name
from batches.permissions import Permission, may
from batches.web.listed_emails import ListedEmail, add_subjects, list_emails
from batches.web.recipient_page import say_suppressed
from batches.web.requests import SignedInRequest

PAGE_SIZE = 50


class ListedPerson:
    """A person as the search lists it: with the newest mail."""

    def __init__(self, found: FoundPerson, newest: ListedEmail) -> None:
        self.person_id = found.person_id
        self.email_count = found.email_count
        self.name = newest.name
        self.address = newest.email.address
        self.newest = newest


@require_safe
@login_required
def show_people(request: SignedInRequest) -> HttpResponse:
    """Find people by name, address or a part of either."""
    text = " ".join(request.GET.get("q", "").split())
    after = _read_cursor(request.GET, count=1)
    page = find_people(request.user, text, size=PAGE_SIZE, **({"before": after[0]} if after else {}))
    newest = add_subjects(list_emails([found.newest for found in page.people]))
    context = {
        "text": text,
        "people": [ListedPerson(found, mail) for found, mail in zip(page.people, newest, strict=True)],
        "page": _make_page(
            request.GET, following=None if page.next_id is None else str(page.next_id), is_first=not after
        ),
        "is_complete": not Batch.objects.unlisted().exists(),
    }
    response = render(request, "batches/people.html", context)
    add_never_cache_headers(response)
    return response


@require_safe
@login_required
def show_person_mails(request: SignedInRequest, person_id: int) -> HttpResponse:
    """Show every mail to one person that the user may see, the newest first."""
    person = find_person(request.user, person_id)
    after = _read_cursor(request.GET, count=2)
    emails: list[Email] = []
    following = None
    if person is not None:
        chosen = {"before": (after[0], after[1])} if after else {}
        emails, following = read_mails(request.user, person, size=PAGE_SIZE, **chosen)
    if not emails:
        raise Http404(f"There is no person {person_id} in your batches.")
    listed = add_subjects(list_emails(emails))
    context = {
        "name": next((each.name for each in listed if each.name), ""),
        "address": emails[0].address,
        "names": sorted({find_name(email.batch.merge_fields, email.fields) for email in emails} - {""}),
        "suppressed": say_suppressed(emails[0]),
        "listed_emails": listed,
        "page": _make_page(request.GET, following=following and ".".join(map(str, following)), is_first=not after),
        "may_erase": may(request.user, Permission.VIEW_AUDIT),
    }
    response = render(request, "batches/person_mails.html", context)
    add_never_cache_headers(response)
    return response


def _read_cursor(query: QueryDict, *, count: int) -> list[int]:
    """Return the cursor of a page, or nothing for the first page. A malformed one shows the first page."""
    cursor = str(query.get("after", ""))
    try:
        return paging.parse(cursor, count=count) if cursor else []
    except paging.CursorFault:
        return []


def _make_page(query: QueryDict, *, following: str | None, is_first: bool) -> paging.Page[Email]:
    return paging.make_page((), query=query, following=following, is_first=is_first)
