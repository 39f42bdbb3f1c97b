"""The forms in which a user enters a password or a code. Each counts the guess before it is checked."""

from __future__ import annotations

from typing import Any

from allauth.account.forms import ReauthenticateForm
from allauth.core import context
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.base.forms import ReauthenticateForm as ReauthenticateByCodeForm
from allauth.mfa.totp.forms import ActivateTOTPForm
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.http import HttpRequest

from batches.accounts.guesses import Secret, guessing


class SignInForm(AuthenticationForm):
    """Django's form of a name and a password."""

    request: HttpRequest

    def clean(self) -> dict[str, Any]:
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if not name or not password:  # nothing is checked, so nothing is counted
            return self.cleaned_data
        with guessing(self.request, name=name, secret=Secret.PASSWORD):
            return super().clean()


class ChangePasswordForm(PasswordChangeForm):
    """Django's form, which asks for the old password."""

    def clean_old_password(self) -> str:
        with guessing(context.request, name=self.user.get_username(), secret=Secret.PASSWORD):
            return super().clean_old_password()


class PasswordAgainForm(ReauthenticateForm):  # type: ignore[misc]  # allauth has no types
    """Asks for the password again."""

    def clean_password(self) -> str:
        with guessing(context.request, name=self.user.get_username(), secret=Secret.PASSWORD):
            return str(super().clean_password())


class CodeForm(AuthenticateForm):  # type: ignore[misc]  # allauth has no types
    """Asks for a code of the app, or a recovery code, after the password."""

    def clean_code(self) -> str:
        with guessing(context.request, name=self.user.get_username(), secret=Secret.CODE):
            return str(super().clean_code())


class CodeAgainForm(ReauthenticateByCodeForm):  # type: ignore[misc]  # allauth has no types
    """Asks for a code again."""

    def clean_code(self) -> str:
        with guessing(context.request, name=self.user.get_username(), secret=Secret.CODE):
            return str(super().clean_code())


class AddAppForm(ActivateTOTPForm):  # type: ignore[misc]  # allauth has no types
    """Asks for the first code of a new authenticator app."""

    def clean_code(self) -> str:
        with guessing(context.request, name=self.user.get_username(), secret=Secret.CODE):
            return str(super().clean_code())
