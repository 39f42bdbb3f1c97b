"""System checks of ``check --deploy``: what strangers could read, guess or pretend with these settings.

A check reads settings only. No message contains a password or a key. ``PRIVATE_HOSTS`` names the hosts that are reached
without leaving this machine, or a network that nobody else is on: compose names its own containers there.
"""

from __future__ import annotations

import ipaddress
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.http.request import validate_host

from batches.relays import registry

WEAK_SECRET_KEY = "batches.E010"  # noqa: S105  (an id)
BAD_PROXY_COUNT = "batches.E011"
IN_THE_CLEAR = "batches.W003"
REDIS_WITHOUT_PASSWORD = "batches.W004"  # noqa: S105  (an id)
UNCOUNTED_PROXY = "batches.W005"
WEAK_WEBHOOK_SECRET = "batches.E013"  # noqa: S105  (an id)
WEAK_UNSUBSCRIBE_KEY = "batches.E014"
UNREACHABLE_LINK = "batches.W006"
NO_UNSUBSCRIBE_KEY = "batches.W007"

WEBHOOK_PASSWORD_MIN_CHARS = 20

KEY_MIN_CHARS = 40
KEY_MIN_BITS = 112
"""The least randomness of a key (NIST SP 800-131A, section 10). A key of token_urlsafe(50) has three times as much."""

WORDS_MIN_SHARE = 0.56
"""Words have at least this share of small letters that follow a small letter. Random text has a quarter or less."""

ENCRYPTED_POSTGRES = frozenset({"require", "verify-ca", "verify-full"})
"""The values of libpq's sslmode with which a connection is encrypted or fails. ``prefer`` is its default."""


@register(Tags.security, deploy=True)
def check_secret_key(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a key that could be guessed: anyone who has it can sign in as anybody."""
    if settings.IS_LOCAL_STACK:
        return []  # its key is made at random
    fault = find_key_fault(_read_key())
    if fault is None:
        return []
    hint = 'Make one at random: python -c "import secrets; print(secrets.token_urlsafe(50))". It signs everybody out.'
    return [Error(f"SECRET_KEY {fault}.", hint=hint, id=WEAK_SECRET_KEY)]


def _read_key() -> str:
    try:
        return str(settings.SECRET_KEY)
    except ImproperlyConfigured:  # Django raises this for an empty key, and batches.E001 names it
        return ""


def find_key_fault(key: str) -> str | None:
    """Return why a key could be guessed, as the rest of a sentence, or None. Empty is no fault of this kind."""
    if not key:
        return None
    if key.startswith("django-insecure-"):
        return "is one that startproject made for development"
    if len(key) < KEY_MIN_CHARS:
        return f"has {len(key)} characters. It needs {KEY_MIN_CHARS}"
    if _estimate_bits(key) < KEY_MIN_BITS:
        return "repeats itself"
    if _share_of_words(key) >= WORDS_MIN_SHARE:
        return "is made of words"
    return None


def _estimate_bits(key: str) -> float:
    """Estimate the randomness: of the shortest period, by the distribution of its signs and of the steps between them.

    The steps show a sequence such as ``abcdef``, in which every sign differs.
    """
    period = (key + key).find(key, 1)
    part = key[:period]
    steps = [ord(after) - ord(before) for before, after in pairwise(part)]
    return min(_entropy(part) * len(part), _entropy(steps) * len(steps))


def _entropy(signs: Sequence[object]) -> float:
    """Return Shannon's entropy in bits a sign."""
    total = len(signs)
    return sum(-count / total * math.log2(count / total) for count in Counter(signs).values()) if total else 0.0


def _share_of_words(key: str) -> float:
    """Return which share of the neighbours in a key are two small letters."""
    return sum(both.islower() and both.isalpha() for both in map("".join, pairwise(key))) / len(key)


@register(Tags.security, deploy=True)
def check_encryption(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of each service whose traffic others on the way could read, passwords and addresses with it."""
    return [
        Warning(
            f"{variable} leads to another machine without encryption.",
            hint=f"{advice} If nobody else is on the way, name the host in PRIVATE_HOSTS.",
            id=IN_THE_CLEAR,
        )
        for variable, advice in _open_services()
    ]


def _open_services() -> Iterator[tuple[str, str]]:
    if not settings.IS_LOCAL_DATABASE and _is_database_open(settings.DATABASE_URL):
        yield "DATABASE_URL", "Add ?sslmode=verify-full, or require if the server's certificate can't be checked."
    if not settings.IS_LOCAL_REDIS and _is_redis_open(settings.REDIS_URL):
        yield "REDIS_URL", "Write rediss://, for TLS."
    if not settings.IS_LOCAL_INBOX:
        for name, url in sorted(registry.relay_urls().items()):
            if _is_relay_open(url):
                yield registry.url_variable(name), "Write smtp+tls:// or smtp+ssl://."
    if _is_returns_open(settings.RETURNS_URL):
        yield "RETURNS_URL", "Write imap+ssl://, or listen on 127.0.0.1 for a mail server on this machine."


def _is_returns_open(url: str) -> bool:
    return url.lower().startswith(("imap://", "lmtp://", "smtp://")) and _is_far(_host(url))


def _is_database_open(url: str) -> bool:
    options = {name: values[-1] for name, values in _options(url).items()}
    host = options.get("hostaddr") or options.get("host") or _host(url)  # libpq's order
    return options.get("sslmode") not in ENCRYPTED_POSTGRES and _is_far(host)


def _is_redis_open(url: str) -> bool:
    return url.lower().startswith("redis://") and _is_far(_host(url))


def _is_relay_open(url: str) -> bool:
    return url.lower().startswith("smtp://") and _is_far(_host(url))


def _is_far(host: str) -> bool:
    """Whether a host is neither this machine nor one of PRIVATE_HOSTS. Empty, or a folder: a unix socket."""
    host = host.lower().rstrip(".")
    if not host or host.startswith("/") or host == "localhost" or host.endswith(".localhost"):
        return False
    if host in {name.lower() for name in settings.PRIVATE_HOSTS}:
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # batches.E006 names it
        return ""


def _options(url: str) -> dict[str, list[str]]:
    try:
        return parse_qs(urlsplit(url).query)
    except ValueError:
        return {}


@register(Tags.security, deploy=True)
def check_redis_password(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of a Redis on the network that asks nobody who it is: anyone who reaches it can stop the sending."""
    url = settings.REDIS_URL
    if settings.IS_LOCAL_REDIS or url.lower().startswith("unix:") or not _is_networked(_host(url)) or _password(url):
        return []
    hint = "Set requirepass there, and write redis://:PASSWORD@host:6379/0 or rediss://:PASSWORD@host."
    return [Warning("REDIS_URL has no password.", hint=hint, id=REDIS_WITHOUT_PASSWORD)]


def _is_networked(host: str) -> bool:
    """Whether a host is another machine, or a container: PRIVATE_HOSTS are no exception here."""
    return _is_far(host) or host.lower() in {name.lower() for name in settings.PRIVATE_HOSTS}


def _password(url: str) -> str:
    try:
        return urlsplit(url).password or ""
    except ValueError:
        return ""


@register(Tags.security, deploy=True)
def check_proxy_count(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Warn of a proxy that is trusted for https and not counted: then all visitors have the proxy's address."""
    if settings.TRUSTED_PROXY_COUNT < 0:
        hint = "Set it to how many reverse proxies of yours a request passes, or to 0."
        return [Error(f"TRUSTED_PROXY_COUNT is {settings.TRUSTED_PROXY_COUNT}.", hint=hint, id=BAD_PROXY_COUNT)]
    has_proxy = getattr(settings, "SECURE_PROXY_SSL_HEADER", None) is not None
    if settings.IS_LOCAL_STACK or not has_proxy or settings.TRUSTED_PROXY_COUNT:
        return []
    return [
        Warning(
            "TRUST_X_FORWARDED_PROTO is on and TRUSTED_PROXY_COUNT is 0, so all visitors have the proxy's address: one "
            "who guesses passwords slows everybody down, and the audit can't say from where somebody came.",
            hint="Set TRUSTED_PROXY_COUNT to how many reverse proxies of yours a request passes.",
            id=UNCOUNTED_PROXY,
        )
    ]


@register(Tags.security, deploy=True)
def check_webhook_secret(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse a WEBHOOK_SECRET that could be guessed: anyone who has it can keep mail from any address."""
    hint = 'Write user:password, with a password from: python -c "import secrets; print(secrets.token_urlsafe(30))".'
    passwords = [secret.partition(":")[2] for secret in settings.WEBHOOK_SECRETS]
    if all(len(password) >= WEBHOOK_PASSWORD_MIN_CHARS for password in passwords):
        return []
    sentence = f"A password in WEBHOOK_SECRET has less than {WEBHOOK_PASSWORD_MIN_CHARS} characters."
    return [Error(sentence, hint=hint, id=WEAK_WEBHOOK_SECRET)]


@register(Tags.security, deploy=True)
def check_unsubscribe_links(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Name what keeps the unsubscribe links of news from working, and a key with which others could make links.

    Only the newest key is checked: without an old one, links in mails that were sent would not work any more.
    """
    if settings.IS_LOCAL_STACK:
        return []
    if not settings.UNSUBSCRIBE_KEYS:
        hint = (
            'Make one at random, and keep it for years: python -c "import secrets; print(secrets.token_urlsafe(50))".'
        )
        return [Warning("UNSUBSCRIBE_KEYS is not set, so no news can be sent.", hint=hint, id=NO_UNSUBSCRIBE_KEY)]
    found: list[CheckMessage] = []
    if fault := find_key_fault(settings.UNSUBSCRIBE_KEYS[0]):
        hint = 'Add one made at random before it: python -c "import secrets; print(secrets.token_urlsafe(50))".'
        found.append(Error(f"The first key of UNSUBSCRIBE_KEYS {fault}.", hint=hint, id=WEAK_UNSUBSCRIBE_KEY))
    url = urlsplit(settings.PUBLIC_URL)
    if url.scheme != "https":
        # Django would redirect the request of a mail program to https, and RFC 8058 (section 3.1) wants https anyway.
        hint = "Set it to an address that begins with https://. Mail programs unsubscribe by no other."
        found.append(Warning("PUBLIC_URL is no https address.", hint=hint, id=UNREACHABLE_LINK))
    elif not validate_host(url.hostname or "", settings.ALLOWED_HOSTS):
        hint = "Add its host to ALLOWED_HOSTS. Until then, each unsubscribe link is answered with 400."
        found.append(Warning("The host of PUBLIC_URL is not in ALLOWED_HOSTS.", hint=hint, id=UNREACHABLE_LINK))
    return found
