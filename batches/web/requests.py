"""Who may see what: a signed-in person's own batches, every batch for staff; anything else is not found."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from batches.models import Batch


class SignedInRequest(HttpRequest):
    """A request behind ``login_required``: its user is never anonymous."""

    user: User


def posted_from_review(view: Callable[[SignedInRequest, int], HttpResponse]) -> Callable[..., HttpResponse]:
    """Let a signed-in person post a form of the review page, and change nothing otherwise.

    A refusal leaves the form's address in the browser: opened as a page, it leads back to the review.
    """

    @login_required
    @wraps(view)
    def respond(request: SignedInRequest, batch_id: int) -> HttpResponse:
        return view(request, batch_id) if request.method == "POST" else redirect("review", batch_id=batch_id)

    return respond


def batches_of(request: SignedInRequest) -> QuerySet[Batch]:
    """The batches that this person may see, newest first."""
    return Batch.objects.visible_to(request.user).order_by("-pk")


def find_batch(request: SignedInRequest, batch_id: int) -> Batch:
    """One batch that this person may see.

    Raises:
        Http404: there is none, or it is another user's; which of the two is not told.
    """
    batch = batches_of(request).select_related("created_by").filter(pk=batch_id).first()
    if batch is None:
        raise Http404(f"There is no batch {batch_id} among yours.")
    return batch
