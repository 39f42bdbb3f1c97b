"""Who may see what: a signed-in person's own batches, every batch for staff; anything else is not found."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import Http404, HttpRequest

from batches.models import Batch


class SignedInRequest(HttpRequest):
    """A request behind ``login_required``: its user is never anonymous."""

    user: User


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
