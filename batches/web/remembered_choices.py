"""Remember in the session which message and time a user chose for a draft, so that the draft shows them again."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import QueryDict

from batches.models import Batch
from batches.web.message import MessageChoice
from batches.web.requests import SignedInRequest
from batches.web.send_time_field import TypedTime, read_typed

SESSION_KEY = "review_choices"
TIMES_KEY = "review_times"
SEND_AT = "scheduled_at"
"""The field of the form with the time that a user typed."""

REMEMBERED_MAX = 20
"""How many drafts of a user are remembered, the newest."""


def remember_choice(request: SignedInRequest, choice: MessageChoice) -> None:
    """Remember a choice."""
    _remember(request, SESSION_KEY, choice.batch, urlencode(choice.query()))


def remember_time(request: SignedInRequest, batch: Batch) -> None:
    """Remember the time that was typed into the posted form. It is read when the batch is sent, and not before."""
    typed = read_typed(request.POST, SEND_AT)
    _remember(request, TIMES_KEY, batch, [typed.text, typed.zone, typed.which] if typed.text else None)


def recall_time(request: SignedInRequest, batch: Batch) -> TypedTime | None:
    """Return the time that was typed for a draft, as it was typed."""
    found = request.session.get(TIMES_KEY, {}).get(str(batch.pk))
    return TypedTime(text=found[0], zone=found[1], which=found[2]) if found else None


def _remember(request: SignedInRequest, session_key: str, batch: Batch, value: object) -> None:
    """Remember something of a draft. None: forget it. What is remembered already is not written again."""
    remembered: dict[str, object] = request.session.get(session_key, {})
    key = str(batch.pk)
    if remembered.get(key) == value:
        return
    kept = [(name, each) for name, each in remembered.items() if name != key][1 - REMEMBERED_MAX :]
    request.session[session_key] = dict(kept if value is None else [*kept, (key, value)])


def recall_choice(request: SignedInRequest, batch: Batch) -> QueryDict:
    """Return the query string of the choice for a draft, with what this request asks for over it."""
    remembered = QueryDict(request.session.get(SESSION_KEY, {}).get(str(batch.pk), ""), mutable=True)
    for name, values in request.GET.lists():
        remembered.setlist(name, values)
    return remembered
