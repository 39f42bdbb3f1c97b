"""Write down what Django itself does: signing in and out, passwords, users, groups, permissions, changes in the admin.

These acts are done in Django's code, so no code of ours could call ``audit.record``. Its signals are the only place
that each door passes: a page, the admin, a command or a shell. ``apps.py`` connects them. One other module uses
signals, those of django-allauth: ``accounts/records.py``.
"""

from __future__ import annotations

import json
from typing import Any

from django.contrib.admin.models import ADDITION, DELETION, LogEntry
from django.contrib.auth import user_logged_in, user_logged_out, user_login_failed
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save

from batches import audit
from batches.models import ApiToken, AuditAction, EmailTemplate, Relay, Sender

FLAGS = ("is_active", "is_staff", "is_superuser")

WATCHED = (*FLAGS, "username", "email", "password")
"""The columns of a user whose changes are written down. The values of the last three are not."""

USERNAME_MAX_CHARS = 150
"""The longest name that Django stores. No longer text is a user's name, or is normalised."""

_STORED = "_audit_stored"
"""The attribute of a user that keeps the watched columns as they are stored, during a save."""

ACTION_OF_MODEL = {
    "user": AuditAction.USER_CHANGE,
    "group": AuditAction.PERMISSION_CHANGE,
    "sender": AuditAction.SENDER_CHANGE,
    "relay": AuditAction.RELAY_CHANGE,
}
"""What a change in the admin is, by its model. Every other model: ADMIN_CHANGE."""

HAVE_OWN = ("apitoken", "emailtemplate")
"""The models whose every act in the admin is recorded where it is done."""

ACTS = {ADDITION: "add", DELETION: "delete"}


def connect() -> None:
    """Connect every receiver. Safe to call twice."""
    for signal, receiver, sender in (
        (user_logged_in, record_sign_in, None),
        (user_logged_out, record_sign_out, None),
        (user_login_failed, record_failed_sign_in, None),
        (pre_save, remember_user, User),
        (post_save, record_user, User),
        (post_delete, record_deleted, User),
        (post_delete, record_deleted, Group),
        (post_delete, record_deleted, Sender),
        (post_delete, record_deleted, Relay),
        (post_delete, record_deleted, EmailTemplate),
        (m2m_changed, record_membership, User.groups.through),
        (m2m_changed, record_membership, User.user_permissions.through),
        (m2m_changed, record_membership, Group.permissions.through),
        (post_save, record_admin_change, LogEntry),
    ):
        signal.connect(receiver, sender=sender, dispatch_uid=f"audit: {receiver.__name__} of {sender}")


def record_sign_in(sender: Any, user: Any, **kwargs: Any) -> None:
    if isinstance(user, User):
        audit.record(AuditAction.SIGN_IN, user)


def record_sign_out(sender: Any, user: Any, **kwargs: Any) -> None:
    if isinstance(user, User):  # None: nobody was signed in
        audit.record(AuditAction.SIGN_OUT, user)


def record_failed_sign_in(sender: Any, credentials: dict[str, Any], **kwargs: Any) -> None:
    """Write down a wrong password. A name that is no user's is left out: people type their password into that field."""
    user = find_named(str(credentials.get("username") or credentials.get("email") or ""))
    audit.record(AuditAction.SIGN_IN, user, is_refused=True, by="password", is_known_name=user is not None)


def find_named(name: str) -> User | None:
    """Find the user of a name that was typed, as the sign-in finds it. None: there is no such user."""
    if len(name) > USERNAME_MAX_CHARS or "\0" in name:  # PostgreSQL can't compare a NUL
        return None
    return User.objects.filter(username=User.normalize_username(name)).first()


def remember_user(sender: Any, instance: User, raw: bool, update_fields: Any, **kwargs: Any) -> None:
    """Remember what is stored before a save. A new hash of the same password takes the user's tokens with it."""
    if raw or not instance.pk or (update_fields is not None and not set(update_fields) & set(WATCHED)):
        return
    stored = User.objects.filter(pk=instance.pk).only("pk", *WATCHED).first()
    if stored is None:
        return
    if update_fields is not None and set(update_fields) == {"password"} and _is_rehashed(instance):
        # Otherwise the first sign-in after an update of Django, whose hashes take more rounds, would end every token.
        tokens = ApiToken.objects.filter(user=instance.pk, password_digest=stored.get_session_auth_hash())
        tokens.update(password_digest=instance.get_session_auth_hash())
        return
    instance.__dict__[_STORED] = stored


def _is_rehashed(user: User) -> bool:
    """Tell whether Django only hashes the same password again: it then sets ``_password`` to None before it saves."""
    return getattr(user, "_password", None) is None and user.has_usable_password()


def record_user(sender: Any, instance: User, created: bool, raw: bool, **kwargs: Any) -> None:
    """Write down a new user, a change of a name, an address or a flag, and a new password."""
    stored: User | None = instance.__dict__.pop(_STORED, None)
    flags = {flag: getattr(instance, flag) for flag in FLAGS}
    if created and not raw:
        audit.record(AuditAction.USER_CHANGE, instance, act="add", **flags)
    if created or stored is None:
        return
    changed = [name for name in WATCHED if getattr(stored, name) != getattr(instance, name)]
    if "password" in changed:
        changed.remove("password")
        audit.record(AuditAction.PASSWORD_CHANGE, instance)
    if changed:
        audit.record(AuditAction.USER_CHANGE, instance, act="change", changed=changed, **flags)


def record_deleted(sender: type[Model], instance: Model, **kwargs: Any) -> None:
    """Write down a deletion by whatever door. The admin logs many deletions at once without a signal."""
    if isinstance(instance, EmailTemplate):
        audit.record(AuditAction.TEMPLATE_DELETE, instance)
    else:
        name = instance.key if isinstance(instance, Sender) else ""  # its text has an address
        audit.record(ACTION_OF_MODEL[instance._meta.model_name or ""], instance, target_name=name, act="delete")


def record_membership(
    sender: Any, instance: Model, action: str, reverse: bool, pk_set: set[int] | None, **kwargs: Any
) -> None:
    """Write down who joined or left a group, and which permissions a user or a group was given or lost."""
    act = {"post_add": "add", "post_remove": "remove", "pre_clear": "clear"}.get(action)
    if act is None or (act != "clear" and not pk_set):
        return
    audit.record(
        AuditAction.PERMISSION_CHANGE, instance, act=act, relation=sender._meta.model_name, ids=sorted(pk_set or ())
    )


def record_admin_change(sender: Any, instance: LogEntry, created: bool, **kwargs: Any) -> None:
    """Write down what the admin logs, unless the act has an entry of its own, as each deletion above has."""
    content_type: ContentType | None = instance.content_type
    model = content_type.model if content_type else ""
    act = ACTS.get(instance.action_flag, "change")
    has_own = model in HAVE_OWN or (act == "delete" and model in ACTION_OF_MODEL)
    if not created or has_own:
        return
    audit.record(
        ACTION_OF_MODEL.get(model, AuditAction.ADMIN_CHANGE),
        act=act,
        model=model,
        id=str(instance.object_id),
        changed=_list_changed(instance.change_message),
    )


def _list_changed(message: str) -> list[str]:
    """List the names of the changed fields in the JSON of a change message. Names of objects in it are left out."""
    try:
        parts = json.loads(message or "[]")
        return [name for part in parts for name in part.get("changed", {}).get("fields", [])]
    except (ValueError, AttributeError, TypeError):  # a sentence of an application
        return []
