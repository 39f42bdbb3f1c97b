"""The accounts of the catalogue: who looks at its pages, and users in every state that an account can be in.

A World without people enters. Users, their sessions and the ids that addresses name leave.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from allauth.account.authentication import AUTHENTICATION_METHODS_SESSION_KEY
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib.auth.models import Group, User
from django.contrib.auth.models import Permission as StoredPermission
from django.test import Client

from batches.permissions import GROUPS
from batches.user_accounts import make_link

if TYPE_CHECKING:
    from tests.catalogue.world import World

PASSWORD = "Correct-Horse-7"
PEOPLE = {
    "sender": ("Senders",),
    "approver": ("Senders", "Approvers"),
    "auditor": ("Auditors",),
    "newcomer": (),
    "phone": ("Senders",),
    "passkey": (),
}
"""The users besides the administrator, with their groups. "phone" has an app as second factor, "passkey" a passkey."""
PROOF_SECONDS = 3600
"""How far in the future the password was entered, so that no page asks for it again while the catalogue is walked."""


def make_people(world: World) -> None:
    """Make the users that are signed in, each with a session."""
    for name, codes in GROUPS.items():
        group, _ = Group.objects.get_or_create(name=name)
        codenames = [permission.codename for permission in codes]
        group.permissions.set(StoredPermission.objects.filter(codename__in=codenames))
    for role, groups in PEOPLE.items():
        username = world.texts.username if role == "sender" else role
        user = User.objects.create_user(username, f"{role}@example.org", PASSWORD)
        user.groups.set(Group.objects.filter(name__in=groups))
        world.users[role] = user
    world.users["admin"] = User.objects.create_superuser("admin", "admin@example.org", PASSWORD)
    _make_factors(world)
    for role, user in world.users.items():
        world.cookies[role] = _sign_in(user)
    world.ids["user"] = world.users["sender"].pk
    world.ids["admin"] = world.users["admin"].pk


def make_more_users(world: World) -> None:
    """Make users who are not signed in: one who was invited, and one who is locked."""
    invited = User.objects.create_user("invited", "invited@example.org")
    locked = User.objects.create_user("locked", "locked@example.org", PASSWORD, is_active=False)
    locked.groups.set(Group.objects.filter(name="Senders"))
    world.ids |= {"invited": invited.pk, "locked": locked.pk, "join": make_link(invited, site="")}


def _make_factors(world: World) -> None:
    phone, passkey = world.users["phone"], world.users["passkey"]
    TOTP.activate(phone, generate_totp_secret())
    RecoveryCodes.activate(phone)
    key = {"name": world.texts.batch_name[:100], "credential": {}}
    stored = Authenticator.objects.create(user=passkey, type=Authenticator.Type.WEBAUTHN, data=key)
    world.ids["passkey"] = stored.pk


def _sign_in(user: User) -> str:
    """Return the cookie of a session whose user has just entered the password."""
    client = Client()
    client.force_login(User.objects.get(pk=user.pk))
    session = client.session
    session["account_authentication_methods_user"] = str(user.pk)
    proof = {"method": "password", "at": time.time() + PROOF_SECONDS}
    session[AUTHENTICATION_METHODS_SESSION_KEY] = [proof]
    session.save()
    return client.cookies["sessionid"].value
