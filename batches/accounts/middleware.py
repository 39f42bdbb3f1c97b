"""What holds for every request with a session: its limits, the second factor that is required, and known devices."""

from __future__ import annotations

from allauth.usersessions.models import UserSession
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin

from batches import factors, session_limits
from batches.accounts.devices import remember_device
from batches.accounts.guesses import TooManyGuesses
from batches.accounts.kept_forms import KEPT_SECONDS, has_kept_form
from batches.credentials import parse_bearer
from batches.session_limits import STRANGERS_SECONDS

OPEN_WITHOUT_FACTOR = (
    "/accounts/two-factor/",
    "/accounts/reauthenticate/",
    "/accounts/openid/",
    "/accounts/sessions/",
    "/accounts/login/",
    "/accounts/logout/",
    "/accounts/inactive/",
    "/static/",
)
"""Where a user who still has to add a factor may go: the pages that add one, and the way out. Not the tokens: a token
needs no factor, so it would be a way round."""

API = "/api/"

FOR_RECIPIENTS = "/u/"
"""Pages for everybody who has the link. They know no session, so nobody's is read, ended or extended for them."""


class Sessions(MiddlewareMixin):
    """Ends a session that has lasted too long, and lets nobody pass who still has to add a second factor."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        if request.path_info.startswith(FOR_RECIPIENTS) or not request.user.is_authenticated:
            return None
        now = timezone.now()
        if session_limits.is_over(request.session, now=now):
            logout(request)
            return None
        if session_limits.refresh(request.session, now=now):
            UserSession.objects.create_from_request(request)
        return _ask_for_factor(request)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        name = getattr(request, "signed_in_name", "")
        if name:
            remember_device(request, response, name)
        if request.path_info.startswith(FOR_RECIPIENTS):
            return response
        if request.session.modified and not request.user.is_authenticated:
            is_kept = has_kept_form(request.session)
            session_limits.shorten(request.session, seconds=KEPT_SECONDS if is_kept else STRANGERS_SECONDS)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, TooManyGuesses):
            return None
        response = render(request, "account/too_many.html", {"reason": str(exception)}, status=exception.http_status)
        response.headers["Retry-After"] = str(exception.wait_seconds)
        return response


def _ask_for_factor(request: HttpRequest) -> HttpResponse | None:
    if request.path.startswith(OPEN_WITHOUT_FACTOR):
        return None
    # A token has no session, and its own rules: see the API.
    is_token = parse_bearer(request.headers.get("Authorization", "")) is not None
    if request.path.startswith(API) and is_token:
        return None
    if not request.user.is_authenticated or not factors.lacks_required_factor(request.user):
        return None
    if request.path.startswith(API):
        return JsonResponse({"detail": factors.FACTOR_WANTED}, status=403)
    return redirect("mfa_index")
