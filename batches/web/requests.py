"""Find the batches that a request may reach: the user's own, or everybody's with the permission.

A batch that the user may not see is a 404. What the user may not do with a batch is a 403 with a sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from batches.accounts.kept_forms import find_kept_form
from batches.models import Batch
from batches.permissions import Act, require_act

MESSAGE_FIELDS = ("template", "subject", "sender", "topic", "row")
"""The fields of the review that choose the message. Its address has them too."""


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
        if request.method != "POST":
            return redirect(f"{reverse('review', args=[batch_id])}{_find_kept_query(request)}")
        try:
            return view(request, batch_id)
        except Batch.DoesNotExist as exc:
            raise Http404(f"Batch {batch_id} was discarded meanwhile.") from exc

    return respond


def _find_kept_query(request: SignedInRequest) -> str:
    """Return the query of the review for a form that is kept from before the sign-in, so that it shows that message."""
    kept = find_kept_form(request)
    typed = kept.query() if kept and kept.path == request.path else QueryDict()
    chosen = {name: typed[name] for name in MESSAGE_FIELDS if typed.get(name)}
    return f"?{urlencode(chosen)}" if chosen else ""


View = Callable[..., HttpResponse]


def posted_from(page: str, *arguments: str) -> Callable[[View], View]:
    """Let a signed-in user post a form of a page. A GET redirects to that page.

    Somebody whose session had ended comes to the address of the form after the sign-in, with a GET.

    Args:
        page: The name of the page's URL.
        arguments: Those arguments of the form's address that the page's address has too.
    """

    def decorate(view: View) -> View:
        @login_required
        @wraps(view)
        def respond(request: SignedInRequest, **values: Any) -> HttpResponse:
            if request.method in ("GET", "HEAD"):
                return redirect(reverse(page, kwargs={name: values[name] for name in arguments}))
            return view(request, **values)

        posted: View = require_http_methods(["GET", "HEAD", "POST"])(respond)
        return posted

    return decorate


def batches_of(request: SignedInRequest) -> QuerySet[Batch]:
    """Return the batches that the user may see, newest first."""
    return Batch.objects.visible_to(request.user).order_by("-pk")


def find_batch(request: SignedInRequest, batch_id: int, *, act: Act | None = None) -> Batch:
    """Find one batch that the user may see, and with ``act`` one with which the user may do that.

    Raises:
        Http404: there is no such batch, or it belongs to another user. The answer does not tell which.
        NotPermitted: the user may see the batch, but not do this with it.
    """
    batch = batches_of(request).select_related("created_by").filter(pk=batch_id).first()
    if batch is None:
        raise Http404(f"There is no batch {batch_id} among yours.")
    if act is not None:
        require_act(request.user, batch, act)
    return batch
