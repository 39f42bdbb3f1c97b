"""The URLs of an account. Names with ``account_``, ``mfa_`` and the like are those that django-allauth looks for."""

from allauth.account import views as allauth_views
from allauth.mfa.webauthn.views import add_webauthn
from django.contrib.auth.views import LogoutView
from django.db import transaction
from django.urls import include, path

from batches.accounts import openid, views
from batches.accounts.signed_out import show_session

urlpatterns = [
    path("", views.show_account, name="account"),
    path("login/", views.SignIn.as_view(), name="login"),
    path("login/", views.SignIn.as_view(), name="account_login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("logout/", LogoutView.as_view(), name="account_logout"),
    path("session/", show_session, name="session"),
    path("password/", views.ChangePassword.as_view(), name="password"),
    path("reauthenticate/", allauth_views.reauthenticate, name="account_reauthenticate"),
    path("inactive/", views.show_inactive, name="account_inactive"),
    path("sessions/", views.show_sessions, name="usersessions_list"),
    # The entry of the audit with the passkey. The library has a transaction for an app only.
    path("two-factor/webauthn/add/", transaction.atomic(add_webauthn), name="mfa_add_webauthn"),
    path("two-factor/", include("allauth.mfa.urls")),
    path("connections/", views.show_connections, name="socialaccount_connections"),
    path("openid/login/", openid.sign_in, name="openid_login"),
    path("openid/callback/", openid.finish, name="openid_callback"),
    path("openid/again/", openid.sign_in_again, name="openid_again"),
    path("openid/cancelled/", views.show_cancelled, name="socialaccount_login_cancelled"),
]
