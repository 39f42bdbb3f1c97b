"""System checks with ids: settings that a deployment must not start without, each as a sentence that says what to do.

They ask nothing of the local stack, and never touch a service.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured

from batches.models import CrashPolicy

NO_SECRET_KEY = "batches.E001"  # noqa: S105  (an id)
ANY_HOST = "batches.E002"
DEBUG_ON = "batches.E003"
NO_HOST = "batches.E004"
BAD_SENDING = "batches.E005"
EMBEDDED_SERVICE = "batches.W001"


@register(Tags.security)
def check_deployment(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse to start outside the local stack with settings that are safe only inside it."""
    return [] if settings.IS_LOCAL_STACK else list(_deployment_errors())


def _deployment_errors() -> Iterator[CheckMessage]:
    if not _has_secret_key():
        yield Error(
            "SECRET_KEY is not set.",
            hint="Set it to a long random text, the same for the web process and every worker: "
            'python -c "import secrets; print(secrets.token_urlsafe(50))"',
            id=NO_SECRET_KEY,
        )
    if "*" in settings.ALLOWED_HOSTS:
        yield Error(
            "ALLOWED_HOSTS lets in every host name.",
            hint="Set it to the names under which people reach this site, with commas between them.",
            id=ANY_HOST,
        )
    if not settings.ALLOWED_HOSTS:
        yield Error(
            "ALLOWED_HOSTS is not set, so every request would be refused.",
            hint="Set it to the names under which people reach this site, with commas between them.",
            id=NO_HOST,
        )
    if settings.DEBUG:
        yield Error(
            "DEBUG is on, which shows settings and source to every visitor who finds an error.",
            hint="Unset DEBUG.",
            id=DEBUG_ON,
        )


def _has_secret_key() -> bool:
    try:
        return bool(settings.SECRET_KEY)
    except ImproperlyConfigured:  # Django refuses to hand out an empty one
        return False


@register()
def check_sending(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a policy that is none, and limits under which nothing could be sent."""
    errors = []
    if settings.SEND_ON_CRASH not in CrashPolicy.values:
        errors.append(f"SEND_ON_CRASH is {settings.SEND_ON_CRASH!r}. Set it to {' or '.join(CrashPolicy.values)}.")
    for name in ("CONNECTIONS", "WINDOW", "LANES", "MAX_ATTEMPTS", "LEASE_SECONDS"):
        if (value := getattr(settings, f"SEND_{name}")) <= 0:
            errors.append(f"SEND_{name} is {value}. Set it to a number above 0.")
    return [Error(error, id=BAD_SENDING) for error in errors]


@register(Tags.security, deploy=True)
def check_services(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Under ``check --deploy``, warn of each service that would be the embedded one."""
    embedded = {
        "DATABASE_URL": settings.IS_LOCAL_DATABASE,
        "REDIS_URL": settings.IS_LOCAL_REDIS,
        "EMAIL_URL": settings.IS_LOCAL_INBOX,
    }
    return [
        Warning(
            f"{variable} is not set, so the local stack's service is used, which is made for trying out.",
            hint=f"Set {variable} to the address of your own.",
            id=EMBEDDED_SERVICE,
        )
        for variable, is_embedded in embedded.items()
        if is_embedded
    ]
