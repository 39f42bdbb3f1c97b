"""The pages of users: who there is, what they may do, and how somebody joins. A form enters; a page or redirect leaves.

Each change asks for a new proof (``accounts.proof``), and its rules are in ``batches.user_accounts``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import Group, User
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.contrib.auth.views import PasswordResetConfirmView
from django.core.validators import MaxLengthValidator
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_safe

from batches import user_accounts
from batches.accounts.proof import require_proof
from batches.factors import with_factors
from batches.files.addresses import BadAddress, normalise_address
from batches.paging import read_page
from batches.user_accounts import MEANINGS, UserRefused
from batches.web.requests import SignedInRequest

SEARCH_MAX_CHARS = 150
NAME_MAX_CHARS = 150
"""Of a user name, as Django's column has it."""


class GroupChoices(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # Django's class takes no argument
    """The groups that a manager may give, each with what it allows."""

    def label_from_instance(self, obj: Group) -> str:
        meaning = MEANINGS.get(obj.name)
        if meaning:
            return f"{obj.name}: {meaning}"
        rights = ", ".join(str(permission.name) for permission in obj.permissions.all())
        return f"{obj.name}: {rights}" if rights else obj.name


class GroupsForm(forms.Form):
    """What a user may do."""

    groups = GroupChoices(
        Group.objects.none(),
        label=gettext_lazy("What the user may do"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, manager: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["groups"]
        assert isinstance(field, GroupChoices)  # noqa: S101  (declared above)
        keys = [group.pk for group in user_accounts.list_groups(manager)]
        field.queryset = Group.objects.filter(pk__in=keys).order_by("name").prefetch_related("permissions")


class InviteForm(GroupsForm):
    """A new user."""

    email = forms.CharField(label=gettext_lazy("Email address"), max_length=254)
    username = forms.CharField(
        label=gettext_lazy("User name"),
        required=False,
        max_length=NAME_MAX_CHARS,
        validators=[UnicodeUsernameValidator()],
        help_text=gettext_lazy("For the sign-in. Left empty, it is the email address."),
    )
    first_name = forms.CharField(label=gettext_lazy("First name"), required=False, max_length=150)
    last_name = forms.CharField(label=gettext_lazy("Last name"), required=False, max_length=150)
    field_order = ("email", "username", "first_name", "last_name", "groups")

    def clean_email(self) -> str:
        try:
            return normalise_address(self.cleaned_data["email"])
        except BadAddress as exc:
            raise forms.ValidationError(str(exc)) from exc

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        cleaned["username"] = cleaned.get("username") or cleaned.get("email", "")
        try:
            MaxLengthValidator(NAME_MAX_CHARS)(cleaned["username"])
        except forms.ValidationError as exc:  # an address may be longer
            self.add_error("username", exc)
        return cleaned


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def show_users(request: SignedInRequest) -> HttpResponse:
    """List the users. A POST invites one."""
    user_accounts.require_manager(request.user)
    if request.method != "POST":
        return _show_list(request, InviteForm(manager=request.user))
    require_proof(request)
    form = InviteForm(request.POST, manager=request.user)
    if not form.is_valid():
        return _show_list(request, form, status=422)
    chosen = form.cleaned_data
    try:
        user = user_accounts.invite(
            request.user,
            username=chosen["username"],
            email=chosen["email"],
            names=(chosen["first_name"], chosen["last_name"]),
            groups=chosen["groups"],
        )
    except UserRefused as exc:
        form.add_error(None, str(exc))
        return _show_list(request, form, status=422)
    return _send_link(request, user)


@require_safe
@login_required
def show_user(request: SignedInRequest, user_id: int) -> HttpResponse:
    """Show one user, with what the manager may change."""
    user_accounts.require_manager(request.user)
    user = get_object_or_404(_read_users(), pk=user_id)
    form = GroupsForm(initial={"groups": user.groups.all()}, manager=request.user)
    return _show_one(request, user, form=form)


@require_http_methods(["GET", "POST"])
@login_required
def change_user(request: SignedInRequest, user_id: int, change: str) -> HttpResponse:
    """Do one change to a user, and say what happened."""
    user_accounts.require_manager(request.user)
    user = get_object_or_404(_read_users(), pk=user_id)
    if request.method != "POST":
        return redirect("user", user_id=user.pk)
    require_proof(request)
    try:
        if change == "invite":
            return _send_link(request, user)
        messages.success(request, CHANGES[change](request, user))
    except UserRefused as exc:
        messages.error(request, str(exc))
    return redirect("user", user_id=user.pk)


def _set_groups(request: SignedInRequest, user: User) -> str:
    form = GroupsForm(request.POST, manager=request.user)
    if not form.is_valid():
        raise UserRefused(_("One of these groups is none that you may give. Choose again."))
    user_accounts.set_groups(request.user, user, form.cleaned_data["groups"])
    return _("Saved: what %(name)s may do.") % {"name": user.get_username()}


def _lock(request: SignedInRequest, user: User) -> str:
    user_accounts.set_active(request.user, user, is_active=False)
    return _("%(name)s is locked, and everything that %(name)s was sending is paused.") % {"name": user.get_username()}


def _unlock(request: SignedInRequest, user: User) -> str:
    user_accounts.set_active(request.user, user, is_active=True)
    return _("%(name)s may sign in again.") % {"name": user.get_username()}


def _drop_factors(request: SignedInRequest, user: User) -> str:
    count = user_accounts.drop_factors(request.user, user)
    if not count:
        return _("%(name)s has no second factor. Nothing was removed.") % {"name": user.get_username()}
    words = ngettext("%(count)s factor of %(name)s is removed.", "%(count)s factors of %(name)s are removed.", count)
    return words % {"count": count, "name": user.get_username()}


def _promote(request: SignedInRequest, user: User) -> str:
    user_accounts.set_administrator(request.user, user, is_administrator=True)
    return _("%(name)s is an administrator now, and may do everything.") % {"name": user.get_username()}


def _demote(request: SignedInRequest, user: User) -> str:
    keeps = "keeps_admin_pages" in request.POST
    user_accounts.set_administrator(request.user, user, is_administrator=False, keeps_admin_pages=keeps)
    return _("%(name)s is no administrator any more.") % {"name": user.get_username()}


CHANGES: dict[str, Callable[[SignedInRequest, User], str]] = {
    "groups": _set_groups,
    "lock": _lock,
    "unlock": _unlock,
    "factors": _drop_factors,
    "promote": _promote,
    "demote": _demote,
}
"""What a manager does with a user, by the last part of the address."""


def _send_link(request: SignedInRequest, user: User) -> HttpResponse:
    """Send an invitation. If the mail does not go out, show the link, this once."""
    is_public = settings.PUBLIC_URL and not settings.IS_LOCAL_STACK  # the local stack does not know its port there
    site = settings.PUBLIC_URL if is_public else request.build_absolute_uri("/").rstrip("/")
    link, why_not = user_accounts.send_invitation(request.user, user, site=site)
    if not why_not:
        messages.success(request, _("An invitation is on its way to %(address)s.") % {"address": user.email})
        return redirect("user", user_id=user.pk)
    form = GroupsForm(initial={"groups": user.groups.all()}, manager=request.user)
    return _show_one(request, get_object_or_404(_read_users(), pk=user.pk), form=form, link=link, why_not=why_not)


def _read_users() -> QuerySet[User]:
    return with_factors(User.objects.prefetch_related("groups"))


def _show_list(request: SignedInRequest, form: InviteForm, status: int = 200) -> HttpResponse:
    search = request.GET.get("q", "").strip().replace("\0", "")[:SEARCH_MAX_CHARS]
    users = _read_users()
    for word in search.split():
        fields = ("username", "email", "first_name", "last_name")
        users = users.filter(Q(*((f"{field}__icontains", word) for field in fields), _connector=Q.OR))
    page = read_page(users, order=["-pk"], query=request.GET)
    context = {"page": page, "search": search, "form": form, "meanings": MEANINGS.items()}
    return render(request, "batches/users.html", context, status=status)


def _show_one(
    request: SignedInRequest, user: User, *, form: GroupsForm, link: str = "", why_not: str = ""
) -> HttpResponse:
    context = {
        "shown": user,
        "form": form,
        "link": link,
        "why_not": why_not,
        "refusal": user_accounts.find_refusal(request.user, user),
        "is_joined": user_accounts.is_joined(user),
        "is_self": user.pk == request.user.pk,
        "may_promote": request.user.is_superuser,
    }
    response = render(request, "batches/user.html", context)
    response.headers["Cache-Control"] = "no-store"
    return response


@method_decorator(require_http_methods(["GET", "HEAD", "POST"]), name="dispatch")
class Join(PasswordResetConfirmView):
    """The page to which an invitation leads. It takes a password, once, and leads to the sign-in.

    Django moves the token from the address into the session, so that no other site and no log gets it.
    """

    template_name = "batches/join.html"
    token_generator = user_accounts.invitation_tokens
    success_url = reverse_lazy("login")

    def get_user(self, uidb64: str) -> User | None:
        """Find the user. Who has joined or is locked has no use for the link."""
        user: User | None = super().get_user(uidb64)
        return user if user is not None and user.is_active and not user_accounts.is_joined(user) else None

    def form_valid(self, form: Any) -> HttpResponse:
        with transaction.atomic():  # the entry of the audit with the password
            response: HttpResponse = super().form_valid(form)
        messages.success(self.request, _("Your password is set. Sign in with your user name."))
        return response
