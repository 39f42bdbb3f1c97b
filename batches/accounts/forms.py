"""The forms in which a user enters a password or a code. Each counts the guess before it is checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from allauth.account.forms import ReauthenticateForm
from allauth.core import context
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.base.forms import ReauthenticateForm as ReauthenticateByCodeForm
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from django import forms
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from batches.accounts.guesses import Secret, guessing

CREDENTIAL_FAULT = "The answer of the browser can't be read. Reload the page, then try the passkey again."


class CredentialField(forms.JSONField):
    """What the browser says of a passkey, as JSON. Anybody may send something else, at any depth."""

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except RecursionError as exc:
            raise ValidationError(CREDENTIAL_FAULT) from exc

    def bound_data(self, data: Any, initial: Any) -> Any:
        """Never show it again: a browser makes a new one."""
        return None


@contextmanager
def reading_credential() -> Iterator[None]:
    """Refuse what the library can't read. It checks some of the parts only, and fails at others."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise ValidationError(CREDENTIAL_FAULT) from exc


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


class AddPasskeyForm(AddWebAuthnForm):  # type: ignore[misc]  # allauth has no types
    """Takes a new passkey."""

    credential = CredentialField(widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any]:
        with reading_credential():
            return dict(super().clean())


class PasskeyForm(AuthenticateWebAuthnForm):  # type: ignore[misc]  # allauth has no types
    """Asks for a passkey after the password."""

    credential = CredentialField(widget=forms.HiddenInput)

    def clean_credential(self) -> Any:
        with reading_credential():
            return super().clean_credential()


class PasskeyAgainForm(ReauthenticateWebAuthnForm):  # type: ignore[misc]  # allauth has no types
    """Asks for a passkey again."""

    credential = CredentialField(widget=forms.HiddenInput)

    def clean_credential(self) -> Any:
        with reading_credential():
            return super().clean_credential()


class SignInByPasskeyForm(LoginWebAuthnForm):  # type: ignore[misc]  # allauth has no types
    """Asks for a passkey in place of name and password."""

    credential = CredentialField(widget=forms.HiddenInput)

    def clean_credential(self) -> Any:
        with reading_credential():
            return super().clean_credential()
