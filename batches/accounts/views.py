"""The pages of an account: signing in, the password, the sessions, and the connection with the OpenID provider."""

from __future__ import annotations

import time
from typing import Any

from allauth.account.internal.flows.login import perform_password_login  # what allauth's own sign-in calls
from allauth.account.models import Login
from allauth.mfa import app_settings as mfa_settings
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.models import User
from django.contrib.auth.views import LoginView, PasswordChangeView
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from batches import audit, factors
from batches.accounts import agents
from batches.accounts.forms import ChangePasswordForm, SignInForm
from batches.accounts.openid import MAY_CONNECT_UNTIL
from batches.accounts.passkeys import has_passkey_host
from batches.accounts.proof import has_fresh_proof
from batches.models import AuditAction


class SignedInRequest(HttpRequest):
    """A request that passed ``login_required``. Its user is never anonymous."""

    user: User


CONNECT_SECONDS = 300
"""How long a user who wants to connect the account may take to do so."""


class SignIn(LoginView):
    """Asks for name and password. allauth then asks for a second factor, if the user has one."""

    authentication_form = SignInForm
    template_name = "account/login.html"
    redirect_authenticated_user = True

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        user = form.get_user()
        login = Login(user=user, redirect_url=self.get_success_url())
        response: HttpResponse = perform_password_login(self.request, {"username": user.get_username()}, login)
        return response

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        more = {"has_passkeys": mfa_settings.PASSKEY_LOGIN_ENABLED and has_passkey_host(self.request)}
        openid = {"openid_name": settings.OIDC_NAME if settings.OIDC_URL else ""}
        return {**super().get_context_data(**kwargs), **more, **openid}


@method_decorator(sensitive_post_parameters(), name="dispatch")
class ChangePassword(PasswordChangeView):
    """Asks for the old password and a new one. All other sessions end, because their proof is the old password."""

    form_class = ChangePasswordForm
    template_name = "account/password.html"
    success_url = reverse_lazy("password")

    def form_valid(self, form: Any) -> HttpResponse:
        with transaction.atomic():  # the entry of the audit with the password
            response = super().form_valid(form)
            # The session has a new key now. Without a row of it, "sign out everywhere" would not find it.
            UserSession.objects.create_from_request(self.request)
        messages.success(self.request, "Your password is changed. You are signed out everywhere else.")
        return response


@login_required
def show_sessions(request: SignedInRequest) -> HttpResponse:
    """Show where the user is signed in. A POST ends one session, all others, or all."""
    if request.method == "POST":
        return _end_sessions(request)
    sessions = sorted(
        UserSession.objects.purge_and_list(request.user), key=lambda each: each.last_seen_at, reverse=True
    )
    rows = [
        {
            "id": each.pk,
            "device": agents.name_device(each.user_agent),
            "address": each.ip,
            "began_at": each.created_at,
            "seen_at": each.last_seen_at,
            "is_current": each.session_key == request.session.session_key,
        }
        for each in sessions
    ]
    return render(request, "account/sessions.html", {"sessions": rows})


def _end_sessions(request: SignedInRequest) -> HttpResponse:
    which = request.POST.get("which", "")
    mine = UserSession.objects.filter(user_id=request.user.pk)
    others = mine.exclude(session_key=request.session.session_key)
    chosen = (
        mine if which == "all" else others if which == "others" else others.filter(pk=which if which.isdecimal() else 0)
    )
    with transaction.atomic():
        ended = [session.end() for session in chosen]
        audit.record(AuditAction.SIGN_OUT_EVERYWHERE, request.user, which=which[:10], ended_count=len(ended))
    if which == "all":
        logout(request)
        return redirect("login")
    messages.success(request, "It is signed out." if which.isdecimal() else "All other sessions are signed out.")
    return redirect("usersessions_list")


@login_required
def show_connections(request: SignedInRequest) -> HttpResponse:
    """Show whether the user also signs in by OpenID. A POST begins to connect, or ends the connection."""
    accounts = SocialAccount.objects.filter(user_id=request.user.pk, provider=settings.OIDC_PROVIDER_ID)
    if request.method == "POST" and not has_fresh_proof(request):
        return redirect(f"{reverse('account_reauthenticate')}?next={request.path}")
    if request.method == "POST" and "connect" in request.POST:
        request.session[MAY_CONNECT_UNTIL] = time.time() + CONNECT_SECONDS
    elif request.method == "POST" and request.user.has_usable_password():
        with transaction.atomic():
            ended = accounts.delete()[0]
            audit.record(AuditAction.USER_CHANGE, request.user, disconnected=ended)
    return render(
        request,
        "account/connections.html",
        {
            "openid_name": settings.OIDC_NAME if settings.OIDC_URL else "",
            "account": accounts.first(),
            "may_connect": request.session.get(MAY_CONNECT_UNTIL, 0) > time.time(),
        },
    )


@login_required
def show_account(request: SignedInRequest) -> HttpResponse:
    """Lead to the first page of the account: to the factors, if one is missing."""
    user = request.user
    is_missing = factors.lacks_required_factor(user)
    return redirect("mfa_index" if is_missing or not user.has_usable_password() else "password")


def show_inactive(request: HttpRequest) -> HttpResponse:
    """Say to somebody whose account is deactivated that it is. Only the right password or provider leads here."""
    reason = "Your account is deactivated. Ask an administrator to activate it."
    return render(request, "account/refused.html", {"reason": reason}, status=403)


def show_cancelled(request: HttpRequest) -> HttpResponse:
    """Lead back to the sign-in after the user cancelled it at the provider."""
    messages.info(request, f"You cancelled the sign-in with {settings.OIDC_NAME}.")
    return redirect("login")
