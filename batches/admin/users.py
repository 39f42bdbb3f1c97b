"""The users of the admin, with an action that sends them an email.

Chosen users and a template enter. A batch of these users leaves, with its job.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.contrib.admin.widgets import AdminTextInputWidget
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group, User
from django.contrib.auth.models import Permission as StoredPermission
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from batches import intake
from batches.accounts.proof import require_fresh_proof
from batches.jobs import creation, lifecycle
from batches.jobs.senders import choose_sender
from batches.jobs.user_limits import refuse_used_up
from batches.models import Batch, EmailTemplate
from batches.permissions import NotPermitted, Permission, may
from batches.rendering.message import SUBJECT_MAX_CHARS
from batches.sender_form import SenderField
from batches.template_form import TemplateField
from batches.user_accounts import UserRefused, keep_an_administrator

admin.site.unregister(User)
admin.site.unregister(Group)

RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")
"""The fields that say what a user may do."""


class SendForm(forms.Form):
    """The message to send, and the number of users when the page was shown."""

    template = TemplateField()
    subject = forms.CharField(
        required=False,
        max_length=SUBJECT_MAX_CHARS,
        help_text=_("Replaces the template's subject."),
        widget=AdminTextInputWidget,
    )
    sender = SenderField()
    count = forms.IntegerField(widget=forms.HiddenInput)
    key = forms.UUIDField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["sender"]
        assert isinstance(field, SenderField)  # noqa: S101  (declared so above)
        field.offer(user, template=EmailTemplate.objects.find_default(), any_template=True)


class FewPermissions:
    """Offers the permissions that mean something: those of our own, and those of the tables that the admin shows.

    Those that a user or group has already stay in the choice, so that saving it takes none away.
    """

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_manytomany(db_field, request, **kwargs)  # type: ignore[misc]
        if field is not None and db_field.remote_field.model is StoredPermission:
            shown = [model for model in apps.get_models() if admin.site.is_registered(model)]
            types = ContentType.objects.get_for_models(*shown).values()
            match = request.resolver_match
            owner = Q(**{db_field.related_query_name(): match.kwargs.get("object_id") if match else None})
            wanted = Q(content_type__in=types) | owner
            field.queryset = field.queryset.filter(pk__in=StoredPermission.objects.filter(wanted).values("pk"))
        return field


class KeepingForm(UserChangeForm):  # type: ignore[type-arg]  # Django's class takes no argument at run time
    """The form of a user. It keeps the last administrator, who alone could make another one."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        stays = all(cleaned.get(flag, getattr(self.instance, flag)) for flag in ("is_active", "is_superuser"))
        if self.instance.pk and not stays:
            try:
                keep_an_administrator([self.instance])
            except UserRefused as exc:
                raise forms.ValidationError(str(exc)) from exc
        return cleaned


@admin.register(User)
class SendingUserAdmin(FewPermissions, UserAdmin):  # type: ignore[type-arg]
    actions = ("send_email",)
    form = KeepingForm

    def has_send_email_permission(self, request: HttpRequest) -> bool:
        return may(request.user, Permission.SEND_TO_GROUP) and may(request.user, Permission.SEND_BATCH)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Let only superusers change superusers, also their passwords: else anybody could become one."""
        if isinstance(obj, User) and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        if isinstance(obj, User) and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_delete_permission(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[Any, Any, Any, list[Any]]:
        """Say beforehand that the last administrator can't be deleted. Both ways to delete users ask here."""
        deleted, counts, lacking, protected = super().get_deleted_objects(objs, request)
        try:
            with transaction.atomic():
                keep_an_administrator(list(objs))
        except UserRefused as exc:
            protected = [*protected, str(exc)]
        return deleted, counts, lacking, protected

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Set the password of a user, unless that user may do more than the one who sets it.

        Who knows the password can act as that user: a sender could approve the own batch with it.
        """
        user = self.get_object(request, unquote(id))
        if user is not None and not user.get_all_permissions() <= _user_of(request).get_all_permissions():
            raise PermissionDenied(
                _("You may not set the password of a user who may do more than you. Ask a superuser to set it.")
            )
        with transaction.atomic():  # the entry of the audit with the password: Django has none here
            response: HttpResponse = super().user_change_password(request, id, form_url)
        return response

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """Let only superusers give permissions. Others would give them to themselves."""
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if request.user.is_superuser else (*fields, *RIGHTS)

    @admin.action(description=_("Send email with template…"), permissions=["send_email"])
    def send_email(self, request: HttpRequest, users: QuerySet[User]) -> HttpResponseBase:
        """Show the form. When it comes back, make a batch of exactly these users, and send it or lead to its review."""
        users = users.order_by("pk")
        count = users.count()
        user = _user_of(request)
        form = SendForm(request.POST, user=user) if "count" in request.POST else _new_form(count, user)
        if not form.is_bound or not form.is_valid():
            return self._ask(request, users, form)
        if form.cleaned_data["count"] != count:
            self.message_user(request, f"The selection now has {count:,} users. Check it, then send.", messages.WARNING)
            return self._ask(request, users, _new_form(count, user, chosen=form.cleaned_data))
        act = self._review if "review" in request.POST else self._send
        return act(request, users, form.cleaned_data) or self._ask(request, users, _new_form(count, user))

    def _ask(self, request: HttpRequest, users: QuerySet[User], form: SendForm) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": _("Send email with template"),
            "opts": self.opts,
            "form": form,
            "users": users[:20],
            "count": users.count(),
            "reachable_count": _reachable(users).count(),
            "checkbox_name": ACTION_CHECKBOX_NAME,
            "selected": request.POST.getlist(ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across", "0"),
            "index": request.POST.get("index", "0"),
        }
        return TemplateResponse(request, "admin/batches/send_email.html", context)

    def _review(self, request: HttpRequest, users: QuerySet[User], chosen: dict[str, Any]) -> HttpResponseBase | None:
        """Make a draft, and redirect to its review: it shows the message of each user. None: it was refused."""
        try:
            batch = intake.import_users(users, user=_user_of(request), key=_make_key(users, chosen)).batch
        except (intake.ListRefused, NotPermitted) as exc:
            self.message_user(request, str(exc), messages.ERROR)
            return None
        named = {"template": chosen["template"].key, "subject": chosen["subject"], "sender": chosen["sender"]}
        query = urlencode({name: value for name, value in named.items() if value})
        return HttpResponseRedirect(f"{reverse('review', args=[batch.pk])}?{query}")

    def _send(self, request: HttpRequest, users: QuerySet[User], chosen: dict[str, Any]) -> HttpResponseBase | None:
        """Send, and redirect to the page of the batch. None: it was refused, and the page shows why."""
        user = _user_of(request)
        require_fresh_proof(request, recipient_count=_reachable(users).count())
        try:
            choose_sender(chosen["sender"], template=chosen["template"], user=user)  # refused before a batch is made
            key = _make_key(users, chosen)
            refuse_used_up(user, key=key.value)
            with transaction.atomic():  # of what is refused, no batch stays
                # A second click brings the same key, and so finds the same batch and the same job.
                batch = intake.import_users(users, user=user, key=key).batch
                asked = _send_once(batch, user, chosen)
        except (intake.ListRefused, lifecycle.JobRefused, NotPermitted) as exc:
            self.message_user(request, str(exc), messages.ERROR)
            return None
        if asked:
            self.message_user(request, asked, messages.INFO)
        else:
            self.message_user(request, f"{batch.total_count:,} emails are queued.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("batch", args=[batch.pk]))


@admin.register(Group)
class SuperusersGroupAdmin(FewPermissions, GroupAdmin):  # type: ignore[misc]
    """The groups. Only superusers change them, because a group gives permissions."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        return request.user.is_superuser


def _reachable(users: QuerySet[User]) -> QuerySet[User]:
    return users.filter(is_active=True).exclude(email="")


def _user_of(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101  (the admin refuses everybody else)
    return request.user


def _new_form(count: int, user: User, *, chosen: dict[str, Any] | None = None) -> SendForm:
    template = chosen["template"] if chosen else EmailTemplate.objects.find_default()
    initial = {"count": count, "key": uuid.uuid4(), "template": template.key if template else None}
    return SendForm(initial=initial | ({"sender": chosen["sender"]} if chosen else {}), user=user)


def _send_once(batch: Batch, user: User, chosen: dict[str, Any]) -> str:
    """Send the batch. A question for approval is returned and not raised: that would roll it back."""
    try:
        creation.send_once(
            batch, template=chosen["template"], user=user, subject=chosen["subject"], sender=chosen["sender"]
        )
    except creation.ApprovalAsked as exc:
        return str(exc)
    return ""


def _make_key(users: QuerySet[User], chosen: dict[str, Any]) -> intake.IdempotencyKey:
    digest = hashlib.sha256(f"{chosen['template'].key}\n{chosen['subject']}\n{chosen['sender']}\n".encode())
    for pk in users.values_list("pk", flat=True).iterator():
        digest.update(b"%d\n" % pk)
    return intake.IdempotencyKey(value=f"admin-{chosen['key']}", request_digest=digest.hexdigest())
