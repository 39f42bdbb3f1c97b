"""Remember in the session which message a user chose for a draft, so that a draft that is opened again shows it."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import QueryDict

from batches.models import Batch
from batches.web.message import MessageChoice
from batches.web.requests import SignedInRequest

SESSION_KEY = "review_choices"
REMEMBERED_MAX = 20
"""How many drafts of a user are remembered, the newest."""


def remember_choice(request: SignedInRequest, choice: MessageChoice) -> None:
    """Remember a choice. An unchanged one is not written again."""
    remembered: dict[str, str] = request.session.get(SESSION_KEY, {})
    key, query = str(choice.batch.pk), urlencode(choice.query())
    if remembered.get(key) == query:
        return
    kept = [(name, value) for name, value in remembered.items() if name != key][1 - REMEMBERED_MAX :]
    request.session[SESSION_KEY] = dict([*kept, (key, query)])


def recall_choice(request: SignedInRequest, batch: Batch) -> QueryDict:
    """Return the query string of the choice for a draft, with what this request asks for over it."""
    remembered = QueryDict(request.session.get(SESSION_KEY, {}).get(str(batch.pk), ""), mutable=True)
    for name, values in request.GET.lists():
        remembered.setlist(name, values)
    return remembered
