"""The menu at the head of each page: only what the user may open, with the page that is open marked.

A request enters. Entries leave, which ``templates/base.html`` draws: the ones of every day in a row, the others under
"More". Nothing is read before the template asks for it, and a page for strangers asks for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from batches import factors
from batches.jobs import approvals
from batches.permissions import Permission, may

StrOrPromise = str | Promise


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One page of the menu."""

    label: StrOrPromise
    address: str
    is_current: bool
    count: int = 0
    """How much waits there for the user. 0: nothing is shown."""
    is_dispensable: bool = False
    """A narrow screen shows it under "More"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an entry leads, and who may open it."""

    label: StrOrPromise
    name: str
    """The name of its URL. A site without such a page, as one without the local inbox, has no entry."""
    needs: Permission | str = ""
    """The permission of its page. Empty: every user may open it."""


START = Place(label=_("Start"), name="home")
SEND = Place(label=_("Send"), name="home")
BATCHES = Place(label=_("Batches"), name="batches")
TO_APPROVE = Place(label=_("To approve"), name="approvals", needs=Permission.APPROVE_BATCH)
TEMPLATES = Place(label=_("Templates"), name="templates")

MORE = (
    Place(label=_("Inbox"), name="inbox"),
    Place(label=_("Do not send"), name="suppressions", needs=Permission.MANAGE_SUPPRESSIONS),
    Place(label=_("Personal data"), name="person", needs=Permission.VIEW_AUDIT),
    Place(label=_("Audit"), name="audit", needs=Permission.VIEW_AUDIT),
    Place(label=_("Users"), name="users", needs="auth.change_user"),
)
"""The pages that are opened seldom, in their order."""


class Menu:
    """The menu of one request. Each property reads what it needs when the template asks for it."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @cached_property
    def main(self) -> list[Entry]:
        """The entries of every day."""
        if not self._is_open:
            return []
        start = SEND if may(self._user, Permission.SEND_BATCH) else START
        main = [self._enter(place) for place in (start, BATCHES, TEMPLATES)]
        if may(self._user, Permission.APPROVE_BATCH):
            main.append(self._enter(TO_APPROVE, count=approvals.list_waiting().count(), is_dispensable=True))
        return main

    @cached_property
    def more(self) -> list[Entry]:
        """The entries under "More"."""
        return list(self._list_more()) if self._is_open else []

    @property
    def dispensable(self) -> list[Entry]:
        """The entries of every day that a narrow screen shows under "More"."""
        return [entry for entry in self.main if entry.is_dispensable]

    @property
    def search_address(self) -> str:
        """Where the field at the head searches for a person, or an empty text."""
        return find_address("people") if self._is_open else ""

    def _list_more(self) -> Iterator[Entry]:
        for place in MORE:
            if (not place.needs or self._user.has_perm(str(place.needs))) and find_address(place.name):
                yield self._enter(place)
        if self._user.is_staff:
            yield self._enter(Place(label=_("Admin"), name="admin:index"))

    def _enter(self, place: Place, *, count: int = 0, is_dispensable: bool = False) -> Entry:
        address = find_address(place.name)
        path = self._request.path
        is_current = path == address if place.name == "home" else path.startswith(address)
        return Entry(
            label=place.label, address=address, is_current=is_current, count=count, is_dispensable=is_dispensable
        )

    @property
    def _user(self) -> User:
        user = self._request.user
        assert isinstance(user, User)  # noqa: S101  (_is_open was asked before)
        return user

    @cached_property
    def _is_open(self) -> bool:
        """Whether the user may open more than the pages of the account: signed in, and with the factors required."""
        user = getattr(self._request, "user", None)  # an error before the sign-in was looked at has none
        return bool(user and user.is_authenticated and not factors.lacks_required_factor(user))


def find_address(name: str) -> str:
    """Return the address of a page without arguments, or an empty text if this site has no such page."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


def menu(request: HttpRequest) -> dict[str, Menu]:
    """Return the menu for templates (a context processor)."""
    return {"menu": Menu(request)}
