"""The page that lists batches, newest first."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from batches.paging import read_page
from batches.web.progressbar import make_cards
from batches.web.requests import SignedInRequest, batches_of


@require_safe
@login_required
def show_batches(request: SignedInRequest) -> HttpResponse:
    """List the batches that the user may see, newest first."""
    page = read_page(batches_of(request).select_related("created_by"), order=["-pk"], query=request.GET, size=25)
    return render(request, "batches/batches.html", {"page": page, "cards": make_cards(page.rows)})
