"""Find the batches that a request may reach: users reach their own, staff reach all. Any other batch is a 404."""

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
    """A request that passed ``login_required``. Its user is never anonymous."""

    user: User


def posted_from_review(view: Callable[[SignedInRequest, int], HttpResponse]) -> Callable[..., HttpResponse]:
    """Let a signed-in user post a form of the review page. Any other method redirects to the review.

    A refused form leaves its own address in the browser. If the user then opens that address as a page, the
    redirect leads back to the review.
    """

    @login_required
    @wraps(view)
    def respond(request: SignedInRequest, batch_id: int) -> HttpResponse:
        return view(request, batch_id) if request.method == "POST" else redirect("review", batch_id=batch_id)

    return respond


def batches_of(request: SignedInRequest) -> QuerySet[Batch]:
    """Return the batches that the user may see, newest first."""
    return Batch.objects.visible_to(request.user).order_by("-pk")


def find_batch(request: SignedInRequest, batch_id: int) -> Batch:
    """Find one batch that the user may see.

    Raises:
        Http404: there is no such batch, or it belongs to another user. The answer does not tell which.
    """
    batch = batches_of(request).select_related("created_by").filter(pk=batch_id).first()
    if batch is None:
        raise Http404(f"There is no batch {batch_id} among yours.")
    return batch
