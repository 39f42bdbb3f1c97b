"""Invite users, and change what they may do. A user who manages enters, with another user. A changed user leaves.

Nobody gives, takes or reaches more rights than they have. Who sets another's password, or has the link that does, can
act as that user: so all of this needs the rights of the other user. The audit is written by ``audit_signals``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib.auth.models import Group, Permission, User
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.urls import reverse
from django.utils import translation
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches import audit
from batches.factors import remove_factors
from batches.languages import find_language_of_user
from batches.models import AuditAction
from batches.relays.notes import send_text

MANAGE = "auth.change_user"
"""The permission of Django that opens the page of users."""

MEANINGS = {
    "Senders": gettext_lazy("may send email to lists"),
    "Approvers": gettext_lazy("see the batches of everybody, and approve large ones of others"),
    "Template editors": gettext_lazy("may change every letter, and choose the default one"),
    "Auditors": gettext_lazy("read who did what, search for a person, and keep the do-not-send list"),
}
"""What the members of the groups of the migration may do."""


class UserRefused(Exception):
    """A change of a user was refused. The message says why and what to do."""


class InvitationTokens(PasswordResetTokenGenerator):
    """Tokens for the link of an invitation. One ends with its first use, because it holds the password's hash."""

    key_salt = "batches.user_accounts.InvitationTokens"

    def _make_hash_value(self, user: Any, timestamp: int) -> str:
        """Let a link end when its user becomes an administrator: who has it may be the manager who made it."""
        return f"{super()._make_hash_value(user, timestamp)}{user.is_superuser}"


invitation_tokens = InvitationTokens()


def require_manager(user: User) -> None:
    """Go on only for a user who may manage users.

    Raises:
        PermissionDenied: the user may not.
    """
    if not user.has_perm(MANAGE):
        raise PermissionDenied(_("You may not manage users. Ask an administrator."))


def find_refusal(manager: User, user: User) -> str:
    """Say why a manager may not change a user. Empty: it is allowed."""
    if manager.is_superuser:
        return ""
    if user.is_superuser or not list_rights(user) <= manager.get_all_permissions():
        return _("%(name)s may do more than you. Ask an administrator who may do everything.") % {
            "name": user.get_username()
        }
    return ""


def list_rights(user: User) -> set[str]:
    """Return the permissions that a user has, or would have again as an active user."""
    return _name_all(Permission.objects.filter(Q(user=user) | Q(group__user=user)))


def list_groups(manager: User) -> list[Group]:
    """Return the groups that a manager may give and take: those that allow nothing beyond the manager's own rights."""
    groups = Group.objects.order_by("name").prefetch_related("permissions__content_type")
    mine = manager.get_all_permissions()
    return [group for group in groups if manager.is_superuser or _name_all(group.permissions.all()) <= mine]


def _name_all(permissions: Any) -> set[str]:
    return {
        f"{each.content_type.app_label}.{each.codename}"
        for each in (
            permissions.select_related("content_type") if hasattr(permissions, "select_related") else permissions
        )
    }


def invite(manager: User, *, username: str, email: str, names: tuple[str, str], groups: Collection[Group]) -> User:
    """Make a user without a password. ``make_link`` makes the link with which the user sets one.

    Raises:
        UserRefused: there is such a user, or a group allows more than the manager may do.
    """
    require_manager(manager)
    if User.objects.filter(Q(username__iexact=username) | Q(email__iexact=email)).exists():
        raise UserRefused(_("There is a user with this name or address already."))
    _require_groups(manager, groups)
    user = User(username=username, email=email, first_name=names[0], last_name=names[1])
    user.set_unusable_password()
    with transaction.atomic():
        try:
            with transaction.atomic():
                user.save()
        except IntegrityError as exc:  # the button was pressed twice, and the other press came first
            raise UserRefused(_("There is a user with this name or address already.")) from exc
        user.groups.set(groups)
        audit.record(AuditAction.USER_CHANGE, user, act="invite")
    return user


def make_link(user: User, *, site: str) -> str:
    """Make the link with which a user who was invited sets a password. It works once, for a week."""
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    return site + reverse("join", args=[uid, invitation_tokens.make_token(user)])


def send_invitation(manager: User, user: User, *, site: str) -> tuple[str, str]:
    """Send a new link to a user who has not signed in yet, in the user's language. Call it in no transaction.

    Args:
        site: What the link begins with, such as https://mail.example.org.

    Returns:
        The link, and why the mail did not go out. Empty: it did.

    Raises:
        UserRefused: the user has joined, or may do more than the manager.
    """
    _require(manager, user)
    if is_joined(user):
        raise UserRefused(_("%(name)s has joined already.") % {"name": user.get_username()})
    link = make_link(user, site=site)
    with translation.override(find_language_of_user(user)):
        subject = _("Your invitation")
        text = _(
            "Hello,\n\n%(manager)s invites you to send email with this site. Your user name is %(name)s.\n\n"
            "Choose your password here:\n%(link)s\n\nThe link works once, for 7 days."
        )
    values = {"manager": manager.get_full_name() or manager.get_username(), "name": user.username, "link": link}
    return link, send_text(user.email, subject=subject, text=text % values)


def is_joined(user: User) -> bool:
    """Whether a user has a password, or has signed in by another way."""
    return user.has_usable_password() or user.last_login is not None


def set_groups(manager: User, user: User, groups: Collection[Group]) -> None:
    """Set those groups of a user that the manager may give. The others stay as they are.

    Raises:
        UserRefused: a group allows more than the manager may do, or the user may.
    """
    _require(manager, user)
    _require_groups(manager, groups)
    kept = user.groups.exclude(pk__in=[group.pk for group in list_groups(manager)])
    with transaction.atomic():
        user.groups.set([*kept, *groups])


def set_active(manager: User, user: User, *, is_active: bool) -> None:
    """Lock or unlock an account. The jobs of a locked one pause (decision 36), and its sessions end.

    Raises:
        UserRefused: it is the manager's own account, the last administrator's, or that of a user who may do more.
    """
    _require(manager, user)
    if user.pk == manager.pk:
        raise UserRefused(_("You can't lock your own account. Ask another administrator."))
    with transaction.atomic():
        _lock_administrators(manager)
        if not is_active:
            keep_an_administrator([user])
        user.is_active = is_active
        user.save(update_fields=["is_active"])


def set_administrator(manager: User, user: User, *, is_administrator: bool, keeps_admin_pages: bool = False) -> None:
    """Let a user do everything, also in the admin, or only what the groups of the user allow.

    Args:
        keeps_admin_pages: One who is no administrator any more may still open the admin, as far as the groups allow.

    Raises:
        UserRefused: the manager is no administrator, or the user is the last one.
    """
    require_manager(manager)
    if not manager.is_superuser:
        raise UserRefused(_("Only an administrator makes somebody an administrator. Ask one."))
    with transaction.atomic():
        _lock_administrators(manager)
        if not is_administrator:
            keep_an_administrator([user])
        user.is_superuser = is_administrator
        user.is_staff = is_administrator or (user.is_staff and keeps_admin_pages)
        user.save(update_fields=["is_superuser", "is_staff"])


def keep_an_administrator(leaving: Collection[User]) -> None:
    """Go on only if an administrator remains who can sign in, without some users. Call it in the change's transaction.

    The administrators are locked in one order, so that two who remove each other at once do not both succeed.

    Raises:
        UserRefused: the last administrator would be gone, and nobody could make another one on the pages.
    """
    active = User.objects.select_for_update().filter(is_superuser=True, is_active=True).order_by("pk")
    keys = set(active.values_list("pk", flat=True))
    leaving_keys = {user.pk for user in leaving}
    if keys & leaving_keys and not keys - leaving_keys:
        raise UserRefused(_("This is the last administrator. Make another user an administrator first."))


def _lock_administrators(manager: User) -> None:
    """Wait for other changes of administrators, and look whether the manager is still one."""
    active = User.objects.select_for_update().filter(is_superuser=True, is_active=True).order_by("pk")
    if manager.is_superuser and manager.pk not in set(active.values_list("pk", flat=True)):
        raise UserRefused(_("Your own account was locked meanwhile."))


def drop_factors(manager: User, user: User) -> int:
    """Remove the second factors of a user who has lost them. Returns how many there were.

    Raises:
        UserRefused: the user may do more than the manager.
    """
    _require(manager, user)
    return remove_factors(user)


def _require(manager: User, user: User) -> None:
    require_manager(manager)
    if refusal := find_refusal(manager, user):
        raise UserRefused(refusal)


def _require_groups(manager: User, groups: Collection[Group]) -> None:
    allowed = {group.pk for group in list_groups(manager)}
    for group in groups:
        if group.pk not in allowed:
            raise UserRefused(
                _("The group %(name)s allows more than you may do. Ask an administrator.") % {"name": group.name}
            )
