"""Save a template with a version of it, and say who may do that. Go back to a version.

A template and the user who saves it enter. A TemplateVersion leaves, with an entry of the audit in the same
transaction. Everybody who is signed in may read and copy every template; its owner and template editors may change it.
"""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction

from batches import audit
from batches.models import AuditAction, EmailJob, EmailTemplate, TemplateVersion
from batches.permissions import Permission, may, require
from batches.template_analysis import work_out_if_needed

AnyUser = User | AnonymousUser | None
"""Who saves. None: a command of the operator, or the program."""

SAVED_FIELDS = (
    *("key", "name", "subject", "kind", "source", "html", "text", "sender", "topic", "version"),
    *("merge_fields", "fault", "analysed_digest", "updated_at"),
)
"""What a save of an existing template writes. The owner and the default are chosen elsewhere."""


class TemplateChanged(Exception):
    """Somebody else saved the template meanwhile. The message says who, and what to do."""

    http_status = 409


class TemplateInUse(Exception):
    """The template can't be deleted. The message says why, and what to do."""

    http_status = 409


def may_edit(user: AnyUser, template: EmailTemplate) -> bool:
    """Whether a user may change a template: its owner, and template editors."""
    is_owner = user is not None and template.owner_id is not None and template.owner_id == user.pk
    return (is_owner and bool(user and user.is_active)) or may(user, Permission.EDIT_ALL_TEMPLATES)


def require_edit(user: AnyUser, template: EmailTemplate) -> None:
    """Go on only if a user may change a template.

    Raises:
        NotPermitted: The user may not.
    """
    if not may_edit(user, template):
        require(user, Permission.EDIT_ALL_TEMPLATES)


def save_template(template: EmailTemplate, *, by: AnyUser, based_on: int | None = None) -> TemplateVersion:
    """Save a new or changed template, and write down its version. A new template belongs to the user.

    Args:
        based_on: The version that the user began to change. None: whatever is stored is replaced.

    Raises:
        NotPermitted: The user may not change the template.
        TemplateChanged: The stored version is another one than ``based_on``.
    """
    work_out_if_needed(template, user_id=by.pk if by is not None else None)  # before the transaction: it may take long
    with transaction.atomic():
        if template.pk is None:
            template.version = 1
            template.owner = by if isinstance(by, User) else None
            template.save()
        else:
            # Locked, so that of two people who save at the same time the second one is told of the first.
            stored = EmailTemplate.objects.select_for_update().get(pk=template.pk)
            require_edit(by, stored)
            _refuse_changed(stored, based_on)
            _keep_unversioned(stored)
            template.version = stored.version + 1
            template.save(update_fields=SAVED_FIELDS)
        version = _write_version(template, by=by)
        audit.record(AuditAction.TEMPLATE_CHANGE, template, version=version.number)
    return version


def restore_version(template: EmailTemplate, number: int, *, by: AnyUser) -> TemplateVersion:
    """Save the parts and the topic of a former version as a new one. Key, sender and owner stay.

    Raises:
        NotPermitted: The user may not change the template.
        TemplateVersion.DoesNotExist: There is no such version.
    """
    former = template.versions.get(number=number)
    for name in ("name", "subject", "kind", "source", "html", "text", "topic"):
        setattr(template, name, getattr(former, name))
    return save_template(template, by=by)


def make_default(template: EmailTemplate, *, by: AnyUser) -> None:
    """Make a template the default one.

    Raises:
        NotPermitted: The user is no template editor.
    """
    require(by, Permission.EDIT_ALL_TEMPLATES)
    with transaction.atomic():
        EmailTemplate.objects.make_default(template.pk)
        audit.record(AuditAction.TEMPLATE_DEFAULT, template)


def delete_template(template: EmailTemplate, *, by: AnyUser) -> None:
    """Delete a template that no job was made with and that is not the default.

    Raises:
        NotPermitted: The user may not change the template.
        TemplateInUse: It is the default, or emails were sent with it.
    """
    require_edit(by, template)
    with transaction.atomic():
        locked = EmailTemplate.objects.select_for_update().filter(pk=template.pk).first()
        if locked is None:
            return
        if locked.is_default or EmailJob.objects.filter(template=locked).exists():
            raise TemplateInUse(
                f"“{locked.name}” was not deleted, because it is the default or emails were sent with it. "
                "If it is the default, make another template the default first."
            )
        locked.delete()  # audit_signals writes it down


def _refuse_changed(stored: EmailTemplate, based_on: int | None) -> None:
    if based_on is None or based_on == stored.version:
        return
    last = stored.versions.filter(number=stored.version).select_related("saved_by").first()
    who = last.saved_by.get_username() if last and last.saved_by else "Somebody else"
    raise TemplateChanged(
        f"{who} saved version {stored.version} of this template while you were writing. What you typed is still here. "
        "Look at the versions, and save again to replace it."
    )


def _keep_unversioned(stored: EmailTemplate) -> None:
    """Write down the present parts before they are replaced, if they were not saved here."""
    if not stored.versions.filter(number=stored.version).exists():
        _write_version(stored, by=None)


def _write_version(template: EmailTemplate, *, by: AnyUser) -> TemplateVersion:
    return TemplateVersion.objects.create(
        template=template,
        number=template.version,
        name=template.name,
        subject=template.subject,
        kind=template.kind,
        source=template.source,
        html=template.html,
        text=template.text,
        topic=template.topic,
        saved_by=by if isinstance(by, User) else None,
    )
