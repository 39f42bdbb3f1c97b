"""An account of this site with a person's address: what an export tells of it, and what an erasure does to it.

The account stays, because batches, versions and the audit name who made them. The address and the person's name go.
"""

from __future__ import annotations

from typing import Any

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session

from batches.models import ApiToken, Preference
from batches.people.searching import find_users
from batches.people.spelling import Spelling


def describe_account(user: User) -> dict[str, Any]:
    """Tell all that an account has, without its secrets. What the account made is told by the audit."""
    factors = Authenticator.objects.filter(user=user).order_by("pk")
    return {
        "id": user.pk,
        "username": user.get_username(),
        "email": user.email,
        "firstName": user.first_name,
        "lastName": user.last_name,
        "joinedAt": user.date_joined,
        "lastSignInAt": user.last_login,
        "language": Preference.objects.filter(user=user).values_list("language", flat=True).first() or "",
        "groups": list(user.groups.order_by("name").values_list("name", flat=True)),
        "tokens": list(
            ApiToken.objects.filter(user=user)
            .order_by("pk")
            .values("name", "scopes", "created_at", "expires_at", "last_used_at")
        ),
        "sessions": list(
            UserSession.objects.filter(user=user)
            .order_by("pk")
            .values("ip", "user_agent", "created_at", "last_seen_at")
        ),
        "factors": list(factors.values("type", "created_at", "last_used_at")),
        "identities": list(
            SocialAccount.objects.filter(user=user)
            .order_by("pk")
            .values("provider", "uid", "extra_data", "date_joined", "last_login")
        ),
    }


def refuse_accounts(spelling: Spelling, refusal: type[Exception]) -> None:
    """Refuse to erase the only administrator, whose account would have to be closed.

    Raises:
        refusal: the address is the name of the last active superuser.
    """
    for user in find_users(spelling):
        others = User.objects.filter(is_superuser=True, is_active=True).exclude(pk=user.pk)
        if user.is_superuser and user.is_active and spelling.is_in(user.username) and not others.exists():
            raise refusal(
                f"This is the name of the only administrator, account {user.pk}. Make another administrator first."
            )


def strip_account(user: User, spelling: Spelling) -> str:
    """Remove the address from an account, and return a sentence that says what became of it.

    An account whose name is the address is closed: nobody could sign in with a name that is gone.
    """
    user.email = "" if spelling.is_in(user.email) else user.email
    user.first_name = user.last_name = ""
    # Names and more, as the provider of a sign-in told them. The next sign-in brings what is still true.
    SocialAccount.objects.filter(user=user).update(extra_data={})
    if not spelling.is_in(user.username):
        user.save(update_fields=["email", "first_name", "last_name"])
        return f"The account {user.username} has no address and no names any more. Delete it if the person leaves."
    user.username = f"erased-{user.pk}"
    user.is_active = False
    user.set_unusable_password()
    user.save()
    _delete_means(user)
    return f"The account of that name is closed. It is called {user.username} now."


def _delete_means(user: User) -> None:
    """Delete what a closed account signed in with, and its sessions with the addresses and devices of their clients."""
    sessions = UserSession.objects.filter(user=user)
    Session.objects.filter(session_key__in=sessions.values("session_key")).delete()
    sessions.delete()
    Authenticator.objects.filter(user=user).delete()
    SocialAccount.objects.filter(user=user).delete()
    ApiToken.objects.filter(user=user).delete()
