"""What a person gets whose session ended in the middle: what was typed comes back, and every part of a page says so.

A request without a session enters. A page that leads to the sign-in leaves; for a script or a frame, which can't show
that page, a short answer with 401. After the sign-in the kept form is filled in again, and nothing is carried out.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render, resolve_url
from django.template.loader import render_to_string
from django.utils.deprecation import MiddlewareMixin
from django.utils.translation import gettext as _

from batches.accounts.form_filling import add_notice, fill_form
from batches.accounts.kept_forms import (
    KeptForm,
    find_kept_form,
    forget_kept_form,
    has_kept_form,
    keep_form,
    knows_user,
    remember_user,
)

NO_PAGES = ("/api/", "/u/", "/static/", "/hooks/", "/metrics")
"""Addresses that have no form of a signed-in user."""
ADMIN_SIGN_IN = "/admin/login/"


class KeptForms(MiddlewareMixin):
    """Keeps a form that was posted without a session, and fills it in after the sign-in."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if request.path_info.startswith(NO_PAGES):
            return response
        if not request.user.is_authenticated:
            return _answer_stranger(request, response)
        if not knows_user(request):
            remember_user(request, response)
        if has_kept_form(request.session) and isinstance(response, HttpResponse):
            _bring_back(request, response)
        return response


def _answer_stranger(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    leads_to = response.headers.get("Location", "")
    if not leads_to.startswith((resolve_url(settings.LOGIN_URL), ADMIN_SIGN_IN)):
        return response
    purpose = request.headers.get("Sec-Fetch-Dest", "")
    if purpose == "empty":  # fetch() of a script, which would take the sign-in for the page
        return JsonResponse({"detail": say_signed_out()}, status=401)
    if purpose == "iframe":
        return render(request, "account/signed_out_frame.html", status=401)
    if request.method == "POST" and not _is_account(request):
        kept = keep_form(request)
        messages.warning(request, _say_before(kept))
    return response


def say_signed_out() -> str:
    return _("You were signed out, and nothing was done. Sign in again.")


def _say_before(kept: KeptForm | None) -> str:
    """Say on the page of the sign-in what happened, and what comes after it."""
    if kept and kept.fields:
        return _("You were signed out, so nothing was saved or sent. Sign in again, and what you typed comes back.")
    if kept and kept.is_too_long:
        return _("You were signed out, so nothing was saved or sent. Go back in the browser and copy your text first.")
    return _("You were signed out, so nothing was done. Sign in again, and repeat it.")


def _bring_back(request: HttpRequest, response: HttpResponse) -> None:
    """Fill in the kept form on the first page after the sign-in. If that page has no such form, show what was typed."""
    kept = find_kept_form(request)
    is_page = response.status_code == 200 and response.headers.get("Content-Type", "").startswith("text/html")
    if kept is None or not is_page or request.method != "GET" or _is_on_the_way(request):
        return
    html = response.content.decode(response.charset)
    filled = None
    if kept.fields:
        notice = render_to_string("account/kept_form.html", {"kept": kept, "is_filled": True})
        filled = fill_form(html, page=request.path, path=kept.path, values=kept.fields, notice=notice)
    if filled is None:
        filled = add_notice(html, render_to_string("account/kept_form.html", {"kept": kept, "is_filled": False}))
    response.content = filled.encode(response.charset)
    response.headers["Content-Length"] = str(len(response.content))
    forget_kept_form(request)


def _is_on_the_way(request: HttpRequest) -> bool:
    """Whether this is no page that the user works with: the sign-in itself, or a part of a page."""
    if request.headers.get("Sec-Fetch-Dest", "document") != "document":
        return True
    return _is_account(request)


def _is_account(request: HttpRequest) -> bool:
    """Whether this is a page of the sign-in or of the own account, whose forms are secrets. Tokens are neither."""
    return request.path.startswith("/accounts/") and not request.path.startswith("/accounts/tokens/")


def refuse_forgery(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form whose token is wrong (``CSRF_FAILURE_VIEW``).

    If the user has signed in again since the page was opened, the page comes again with what was typed. Only a browser
    that says that the form came from this site gets that: a form of another site must not fill in one of ours.
    """
    is_own = request.headers.get("Sec-Fetch-Site") == "same-origin"
    if request.method == "POST" and is_own and request.user.is_authenticated and not _is_account(request):
        keep_form(request, user_id=request.user.pk)
        return redirect(request.path)
    return render(request, "403_csrf.html", status=403)


def show_session(request: HttpRequest) -> JsonResponse:
    """Say to a script of a page who is signed in, and the token of the forms, which changes with each sign-in."""
    if not request.user.is_authenticated:
        return JsonResponse({"detail": say_signed_out()}, status=401)
    return JsonResponse({"user": request.user.get_username(), "token": get_token(request)})
