"""API tokens in the admin: list those of all users, make one for a user, revoke them.

A form enters. A new token leaves once, in the answer to the form itself.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from batches.accounts.proof import require_proof
from batches.credentials import make_token, revoke_tokens
from batches.models import ApiToken
from batches.models.token import ApiTokenQuerySet
from batches.token_form import TokenForm


class UserTokenForm(TokenForm):
    """A new token of any user."""

    user = forms.ModelChoiceField(User.objects.filter(is_active=True).order_by("username"))
    field_order = ("user",)


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A token can be made and revoked. Nothing of it can be changed: to widen one, make another."""

    list_display = ("shown_name", "user", "may_do", "holds", "created_at", "expires_at", "last_used_at")
    list_select_related = ("user",)
    list_filter = ("user__is_active",)
    search_fields = ("=user__username", "name")
    search_help_text = _("The whole name of a user, or a part of a token's name.")
    ordering = ("-pk",)
    exclude = ("digest", "password_digest")

    @admin.display(description=_("name"))
    def shown_name(self, token: ApiToken) -> str:
        return token.name or gettext("no name")

    @admin.display(description=_("may"))
    def may_do(self, token: ApiToken) -> str:
        return ", ".join(token.scopes)

    @admin.display(description=_("holds"), boolean=True)
    def holds(self, token: ApiToken) -> bool:
        return token.user.is_active and token.holds(timezone.now())

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only a superuser makes tokens of others: with one, anybody else would get what its user may do."""
        return request.user.is_active and request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the form, or make the token and show it. Only here is it known."""
        if not self.has_add_permission(request):
            return super().add_view(request, form_url, extra_context)  # which refuses
        form = UserTokenForm(request.POST or None)
        made = ""
        if request.method == "POST" and form.is_valid():
            require_proof(request)
            made = make_token(form.cleaned_data["user"], **form.token_options())
        context = {
            **self.admin_site.each_context(request),
            "title": _("The new API token") if made else _("Make an API token"),
            "opts": self.opts,
            "form": form,
            "made": made,
        }
        response = TemplateResponse(request, "admin/batches/make_token.html", context)
        response.headers["Cache-Control"] = "no-store"
        return response

    def delete_model(self, request: HttpRequest, obj: ApiToken) -> None:
        revoke_tokens(ApiToken.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        assert isinstance(queryset, ApiTokenQuerySet)  # noqa: S101  (the model's manager makes it so)
        revoke_tokens(queryset)
