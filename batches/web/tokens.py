"""The page of a user's API tokens: list them, make one, revoke one.

A form enters. A new token leaves once, in the answer to the form itself: it is stored nowhere, so no other page has it.
"""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from batches.accounts.proof import require_proof
from batches.credentials import make_token, revoke_tokens
from batches.models import ApiToken
from batches.token_form import TokenForm
from batches.web.requests import SignedInRequest, posted_from


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@never_cache
def show_tokens(request: SignedInRequest) -> HttpResponse:
    """List the user's tokens, or make one and show it."""
    form = TokenForm(request.POST or None)
    made = ""
    if request.method == "POST" and form.is_valid():
        require_proof(request)
        made = make_token(request.user, **form.token_options())
        form = TokenForm()
    now = timezone.now()
    tokens = list(ApiToken.objects.filter(user=request.user).select_related("user").order_by("-pk"))
    context = {"form": form, "made": made, "listed": [(token, token.holds(now)) for token in tokens]}
    return render(request, "batches/tokens.html", context, status=422 if form.is_bound else 200)


@posted_from("tokens")
def revoke_token(request: SignedInRequest, token_id: int) -> HttpResponse:
    """Revoke one of the user's tokens. One that is gone is revoked too."""
    if revoke_tokens(ApiToken.objects.filter(user=request.user, pk=token_id)):
        messages.success(request, "The token was revoked. A program that still has it is refused from now on.")
    return redirect("tokens")
