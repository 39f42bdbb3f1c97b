"""The page between upload and send: what is in the list, what the message will look like, and the last buttons."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from batches.web.access import SignedInRequest, find_batch


@require_safe
@login_required
def show_review(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Show what would be sent."""
    return render(request, "batches/review.html", {"batch": find_batch(request, batch_id)})
