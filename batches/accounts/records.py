"""Write down what django-allauth tells: factors, proofs and connected accounts. And begin the time of a session."""

from __future__ import annotations

from typing import Any

from allauth.account.signals import authentication_step_completed
from allauth.account.signals import user_logged_in as signed_in
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authentication_failed
from allauth.socialaccount.signals import social_account_added, social_account_removed
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import post_delete, post_save
from django.http import HttpRequest
from django.utils import timezone

from batches import audit, session_limits
from batches.accounts.proof import remember_openid_proof
from batches.models import AuditAction


def begin_session(request: HttpRequest, user: User, **kwargs: Any) -> None:
    session_limits.begin(request.session, now=timezone.now())
    request.signed_in_name = user.get_username()  # type: ignore[attr-defined]  # for the cookie of the device


def remember_proof(request: HttpRequest, sociallogin: Any = None, **kwargs: Any) -> None:
    if sociallogin is not None:
        remember_openid_proof(request, sociallogin.account.extra_data)


def record_proof(request: HttpRequest, user: User, method: str, **kwargs: Any) -> None:
    if kwargs.get("reauthenticated"):
        audit.record(AuditAction.REAUTHENTICATE, user, method=str(kwargs.get("type", method)))


def record_added(instance: Authenticator, created: bool, raw: bool = False, **kwargs: Any) -> None:
    if created and not raw:
        audit.record(AuditAction.FACTOR_ADD, instance.user, factor=str(instance.type))


def record_removed(instance: Authenticator, **kwargs: Any) -> None:
    audit.record(AuditAction.FACTOR_REMOVE, instance.user, factor=str(instance.type))


def record_wrong_code(user: User, **kwargs: Any) -> None:
    action = AuditAction.REAUTHENTICATE if kwargs.get("reauthentication") else AuditAction.SIGN_IN
    audit.record(action, user, is_refused=True, reason="wrong code")


def record_connected(sociallogin: Any, **kwargs: Any) -> None:
    audit.record(AuditAction.USER_CHANGE, sociallogin.user, connected=sociallogin.account.provider)


def record_disconnected(socialaccount: Any, **kwargs: Any) -> None:
    audit.record(AuditAction.USER_CHANGE, socialaccount.user, disconnected=socialaccount.provider)


RECEIVERS = (
    (user_logged_in, begin_session),
    (signed_in, remember_proof),
    (authentication_step_completed, record_proof),
    (authentication_failed, record_wrong_code),
    (social_account_added, record_connected),
    (social_account_removed, record_disconnected),
)


def connect() -> None:
    """Call each receiver when its signal is sent. Libraries offer no other way to see these acts."""
    for signal, receiver in RECEIVERS:
        signal.connect(receiver, dispatch_uid=receiver.__qualname__)
    # Not the library's own signals, which come after the commit: a factor without its entry would stay.
    post_save.connect(record_added, sender=Authenticator, dispatch_uid="record_added")
    post_delete.connect(record_removed, sender=Authenticator, dispatch_uid="record_removed")
