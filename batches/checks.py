"""System checks with ids. Each refuses or warns of a setting, in sentences that say what to write instead.

A check reads settings only. It never connects to a service.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured

from batches import service_urls
from batches.mailboxes import SenderFault
from batches.models import CrashPolicy
from batches.models.relay import DEFAULT_RELAY
from batches.relays import registry
from batches.return_paths import find_address_fault
from batches.returns.doors.address import MailboxAddress, ReturnsUrlError, make_mailbox_client, parse_returns_url
from batches.sender_addresses import read_sender
from batches.smtp import meanings
from batches.smtp.oauth import PROVIDERS
from batches.smtp.relay import RelayUrlError
from batches.smtp.reply_rules import RuleError
from batches.smtp.token_endpoint import TokenError, read_key
from batches.webhooks.addresses import find_exemption_fault

CANARY_MAX_SECONDS = 7 * 86_400

NO_SECRET_KEY = "batches.E001"  # noqa: S105  (an id)
ANY_HOST = "batches.E002"
DEBUG_ON = "batches.E003"
NO_HOST = "batches.E004"
BAD_SENDING = "batches.E005"
BAD_ADDRESS = "batches.E006"
BAD_REPLY_RULES = "batches.E007"
BAD_SENDER = "batches.E008"
BAD_RELAY_NAME = "batches.E009"
BAD_RETURNS = "batches.E012"
BAD_WEBHOOK_HOST = "batches.E040"
EMBEDDED_SERVICE = "batches.W001"


@register(Tags.security)
def check_deployment(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse settings that are safe only in the local stack."""
    return [] if settings.IS_LOCAL_STACK else list(_deployment_errors())


def _deployment_errors() -> Iterator[CheckMessage]:
    if not _has_secret_key():
        yield Error(
            "SECRET_KEY is not set.",
            hint="Set it to a long random text. Use the same one for the web process and every worker: "
            'python -c "import secrets; print(secrets.token_urlsafe(50))"',
            id=NO_SECRET_KEY,
        )
    if "*" in settings.ALLOWED_HOSTS:
        yield Error(
            "ALLOWED_HOSTS allows every host name.",
            hint="Set it to the host names of this site, separated by commas.",
            id=ANY_HOST,
        )
    if not settings.ALLOWED_HOSTS:
        yield Error(
            "ALLOWED_HOSTS is not set, so every request would be refused.",
            hint="Set it to the host names of this site, separated by commas.",
            id=NO_HOST,
        )
    if settings.DEBUG:
        yield Error(
            "DEBUG is on. It shows settings and source code to every visitor who meets an error.",
            hint="Unset DEBUG.",
            id=DEBUG_ON,
        )


def _has_secret_key() -> bool:
    try:
        return bool(settings.SECRET_KEY)
    except ImproperlyConfigured:  # Django raises this for an empty key
        return False


@register()
def check_sending(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a crash policy that does not exist, and limits under which nothing could be sent."""
    errors = []
    if settings.SEND_ON_CRASH not in CrashPolicy.values:
        errors.append(f"SEND_ON_CRASH is {settings.SEND_ON_CRASH!r}. Set it to {' or '.join(CrashPolicy.values)}.")
    for name in ("CONNECTIONS", "WINDOW", "LANES", "MAX_ATTEMPTS", "LEASE_SECONDS"):
        if (value := getattr(settings, f"SEND_{name}")) <= 0:
            errors.append(f"SEND_{name} is {value}. Set it to a number above 0.")
    for name in ("SEND_LARGE_ABOVE", "USER_DAILY_RECIPIENTS", "USER_DAILY_BATCHES"):
        if (value := getattr(settings, name)) < 0:
            errors.append(f"{name} is {value}. Set it to a number above 0, or to 0 for no limit.")
    if not 0 <= settings.SEND_STOP_ABOVE <= 100:
        errors.append(
            f"SEND_STOP_ABOVE is {settings.SEND_STOP_ABOVE:g}. Set it to a number of percent, or to 0 for off."
        )
    if not 0 <= settings.SEND_CANARY_SECONDS <= CANARY_MAX_SECONDS:  # so that it is no "inf" or "nan" either
        errors.append(
            f"SEND_CANARY_SECONDS is {settings.SEND_CANARY_SECONDS:g}. Set it to seconds, {CANARY_MAX_SECONDS} at most "
            "(a week), or to 0 for off."
        )
    return [Error(error, id=BAD_SENDING) for error in errors]


@register()
def check_reply_rules(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a file of reply rules that cannot be used."""
    try:
        meanings.load_rules()
    except RuleError as exc:
        return [
            Error(
                str(exc),
                hint="SEND_REPLY_RULES names the file. docs/replies.md says how to write it.",
                id=BAD_REPLY_RULES,
            )
        ]
    return []


@register()
def check_default_sender(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a DEFAULT_FROM_EMAIL from which no mail can come, by the rules that hold for every sender."""
    try:
        read_sender(settings.DEFAULT_FROM_EMAIL)
    except SenderFault as exc:
        hint = "Set DEFAULT_FROM_EMAIL to an address such as Northtown School <news@example.org>."
        return [Error(f"DEFAULT_FROM_EMAIL can't be the sender. {exc}", hint=hint, id=BAD_SENDER)]
    return []


@register()
def check_addresses(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse an address of a service that cannot be used. The local stack's own addresses are right by construction."""
    faults = []
    if not settings.IS_LOCAL_DATABASE:
        faults.append(service_urls.find_database_fault(settings.DATABASE_URL))
    if not settings.IS_LOCAL_REDIS:
        faults.append(service_urls.find_redis_fault(settings.REDIS_URL))
    if not settings.IS_LOCAL_INBOX:
        faults += [_find_relay_fault(name, url) for name, url in registry.relay_urls().items()]
    return [Error(fault, id=BAD_ADDRESS) for fault in faults if fault]


def _find_relay_fault(name: str, url: str) -> str | None:
    """Return what is wrong with a relay's address or with its OAuth client, or None."""
    if name == DEFAULT_RELAY and settings.SEND_BACKEND:
        return None
    fault = service_urls.find_email_fault(url, variable=registry.url_variable(name))
    if fault:
        return fault
    try:
        address = registry.read_address(name)
        if (tokens := getattr(address, "tokens", None)) and tokens.client.service_account:
            read_key(tokens.client, tokens.client.service_account)
    except (RelayUrlError, TokenError) as exc:
        return str(exc)
    if settings.RELAY_OAUTH.get(name) and not getattr(address, "oauth", ""):
        return (
            f"{registry.oauth_variables(name)}* is set, but {registry.url_variable(name)} has no ?oauth=. "
            f"Add ?oauth= with {', '.join(PROVIDERS[:-1])} or {PROVIDERS[-1]}, or unset those variables."
        )
    return None


@register()
def check_returns(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a BOUNCE_ADDRESS or RETURNS_URL that cannot be used, and a login of the mailbox that is not complete."""
    if address_fault := find_address_fault(settings.BOUNCE_ADDRESS):
        return [Error(address_fault, id=BAD_RETURNS)]
    if not settings.RETURNS_URL:
        return []
    fault = service_urls.find_returns_fault(settings.RETURNS_URL)
    if fault is None and isinstance(address := parse_returns_url(settings.RETURNS_URL), MailboxAddress):
        fault = _find_mailbox_fault(address)
    return [Error(fault, id=BAD_RETURNS)] if fault else []


def _find_mailbox_fault(address: MailboxAddress) -> str | None:
    if not address.oauth:
        if settings.RETURNS_OAUTH:
            return "RETURNS_OAUTH_* is set, but RETURNS_URL has no ?oauth=. Add it, or unset those variables."
        return None
    try:
        client = make_mailbox_client(address, settings.RETURNS_OAUTH)
        if client.service_account:
            read_key(client, client.service_account)
    except (ReturnsUrlError, TokenError) as exc:
        return str(exc)
    return None


@register()
def check_relay_names(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a name of a relay that cannot be used, and a variable of a login that belongs to no relay."""
    faults = [fault for name in settings.RELAY_URLS if (fault := registry.find_name_fault(name))]
    faults += [
        f"{variable} belongs to no relay. Write EMAIL_OAUTH_<NAME>_CLIENT_ID and the like, with the name of an "
        "EMAIL_URL_<NAME>, or EMAIL_OAUTH_CLIENT_ID for EMAIL_URL."
        for variable in settings.STRAY_OAUTH_VARIABLES
    ]
    return [Error(fault, id=BAD_RELAY_NAME) for fault in faults]


@register()
def check_webhook_hosts(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse an entry of WEBHOOK_PRIVATE_HOSTS that is no host: it would exempt nothing, and nobody would know why."""
    faults = map(find_exemption_fault, settings.WEBHOOK_PRIVATE_HOSTS)
    return [Error(fault, id=BAD_WEBHOOK_HOST) for fault in faults if fault]


@register(Tags.security, deploy=True)
def check_services(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Under ``check --deploy``, warn of each service that is the local stack's."""
    embedded = {
        "DATABASE_URL": settings.IS_LOCAL_DATABASE,
        "REDIS_URL": settings.IS_LOCAL_REDIS,
        "EMAIL_URL": settings.IS_LOCAL_INBOX,
    }
    return [
        Warning(
            f"{variable} is not set, so the local stack's service is used. It is meant for trying the program out.",
            hint=f"Set {variable} to the address of your own service.",
            id=EMBEDDED_SERVICE,
        )
        for variable, is_embedded in embedded.items()
        if is_embedded
    ]
