"""The form of an API token, which the account page and the admin share.

A name, scopes and a time enter. The arguments of ``credentials.make_token`` leave.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from batches.credentials import TOKEN_DAYS
from batches.models import TokenScope

PERIODS = {7: _("a week"), 30: _("30 days"), 90: _("90 days"), TOKEN_DAYS: _("a year"), 0: _("until it is revoked")}
"""What a person can choose: days, and how the form says them."""


class TokenForm(forms.Form):
    """A new token."""

    name = forms.CharField(
        max_length=100,
        strip=True,
        help_text=_("What it is for, such as the program that has it. The audit shows this name."),
        error_messages={"required": _("Give the token a name, so that you know later which one to revoke.")},
    )
    scopes = forms.MultipleChoiceField(
        label=_("What it may do"),
        choices=[(scope.value, format_lazy("{}: {}", scope.value, scope.label)) for scope in TokenScope],
        widget=forms.CheckboxSelectMultiple,
        initial=[TokenScope.READ.value],
        help_text=_("A token can never do more than its user may."),
        error_messages={"required": _("Choose at least one. A token without any can do nothing.")},
    )
    days = forms.TypedChoiceField(
        label=_("Valid for"),
        choices=list(PERIODS.items()),
        coerce=int,
        initial=90,
        help_text=_("It also ends when the password changes or the account is closed."),
    )

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise forms.ValidationError("The name has a character that can't be printed. Type it again.")
        return name

    def token_options(self) -> dict[str, Any]:
        """Return the arguments of ``make_token``, without the user."""
        days: int = self.cleaned_data["days"]
        return {
            "name": self.cleaned_data["name"],
            "scopes": [TokenScope(value) for value in self.cleaned_data["scopes"]],
            "expires_at": timezone.now() + timedelta(days=days) if days else None,
        }
