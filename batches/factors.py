"""Whether a user must add a second factor before doing anything else (``REQUIRE_MFA``), and removing lost ones."""

from __future__ import annotations

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from batches.permissions import Permission, may

OFF, SENDERS = "off", "senders"

FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
"""Recovery codes alone are no factor: they replace one that is lost."""

FACTOR_WANTED = (
    "Add a second factor to your account first: an authenticator app or a passkey, at /accounts/two-factor/."
)


def has_factor(user: User) -> bool:
    return bool(Authenticator.objects.filter(user_id=user.pk, type__in=FACTORS).exists())


def with_factors(users: QuerySet[User]) -> QuerySet[User]:
    """Annotate users with ``has_second_factor``."""
    found = Authenticator.objects.filter(user=OuterRef("pk"), type__in=FACTORS)
    return users.annotate(has_second_factor=Exists(found))


def remove_factors(user: User) -> int:
    """Remove all factors and recovery codes of a user, which is written down. Returns how many there were."""
    with transaction.atomic():
        found = list(Authenticator.objects.select_for_update().filter(user_id=user.pk))
        for factor in found:
            factor.delete()
    return len(found)


def lacks_required_factor(user: User) -> bool:
    """Whether the user needs a second factor and has none. Such a user may sign in, and add one."""
    if settings.REQUIRE_MFA == OFF:
        return False
    if settings.REQUIRE_MFA == SENDERS and not may(user, Permission.SEND_BATCH):
        return False
    return not has_factor(user)
