"""Reads variables of the environment for settings.py, and names a variable whose value cannot be used."""

from __future__ import annotations

import builtins
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import environ
from django.core.exceptions import ImproperlyConfigured

POSTGRES_ENGINE = environ.Env.DB_SCHEMES["postgres"]
"""Django's PostgreSQL backend. Several schemes name it."""

SECRET_MAX_BYTES = 65_536
"""A file of a secret that is larger is a wrong path."""

RELAY_PREFIX = "EMAIL_URL_"
OAUTH_PREFIX = "EMAIL_OAUTH_"
RETURNS_OAUTH_PREFIX = "RETURNS_OAUTH_"
ANYMAIL_PREFIX = "ANYMAIL_"

BOOLEANS = dict.fromkeys(("true", "on", "ok", "y", "yes", "1"), True)
BOOLEANS |= dict.fromkeys(("false", "off", "n", "no", "0"), False)


class Environment(environ.Env):  # type: ignore[misc]  # django-environ has no types
    """django-environ's reader, except that a wrong value is a sentence and not a traceback.

    Raises:
        ImproperlyConfigured: a variable has a value that cannot be used. ``manage.py`` prints the message and exits.
    """

    def secret(self, var: str) -> str:
        """Read a variable that may hold a secret: its value, or the content of a file.

        The file is named by the variable with _FILE at its end.

        Empty is unset. Line breaks at the end of the file are cut, and so is a byte order mark before it. No message
        shows what the file contains.
        """
        # Not by self.str: that takes a value which begins with $ for the name of another variable.
        value, path = self.ENVIRON.get(var, ""), self.ENVIRON.get(f"{var}_FILE", "")
        if value and path:
            raise ImproperlyConfigured(f"{var} and {var}_FILE are both set. Unset one of them.")
        return _read_secret_file(path, variable=f"{var}_FILE") if path else value

    def bool(self, var: str, default: builtins.bool) -> builtins.bool:
        """Read true, on, yes or 1, or the opposite. To django-environ itself a misspelt value is false."""
        text = str(self.str(var, default="")).strip()
        if not text:
            return default
        if text.lower() not in BOOLEANS:
            raise ImproperlyConfigured(f"{var} is {text!r}. Set it to true or false.")
        return BOOLEANS[text.lower()]

    def int(self, var: str, default: builtins.int) -> builtins.int:
        text = self.str(var, default="").strip()
        try:
            return builtins.int(text) if text else default
        except ValueError:
            raise ImproperlyConfigured(f"{var} is {text!r}. Set it to a whole number.") from None

    def float(self, var: str, default: builtins.float) -> builtins.float:
        """Read a number strictly: django-environ itself reads 1e3 as 13, and 15s as 15."""
        text = self.str(var, default="").strip()
        try:
            number = builtins.float(text) if text else default
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ImproperlyConfigured(f"{var} is {text!r}. Set it to a number.")
        return number

    def choice(self, var: str, *, choices: Sequence[str], default: str) -> str:
        text = str(self.str(var, default="")).strip() or default
        if text not in choices:
            raise ImproperlyConfigured(f"{var} is {text!r}. Set it to {', '.join(choices[:-1])} or {choices[-1]}.")
        return text

    def time_zone(self, var: str, *, default: builtins.str) -> builtins.str:
        """Read the name of a time zone, as in the IANA database."""
        text = str(self.str(var, default="")).strip() or default
        try:
            ZoneInfo(text)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of the database
            raise ImproperlyConfigured(f"{var} is {text!r}. Set it to a zone such as Europe/Berlin.") from None
        return text


def _read_secret_file(path: str, *, variable: str) -> str:
    # A relative path is not repeated: it may be the secret itself, in the wrong variable.
    named = f"names the file {path}" if os.path.isabs(path) else "names a file by a relative path"
    try:
        with open(path, "rb") as file:
            data = file.read(SECRET_MAX_BYTES + 1)
        text = data.decode("utf-8-sig").rstrip("\r\n")  # -sig: some editors begin a file with a byte order mark
    except OSError as exc:
        reason = (exc.strerror or "it cannot be opened").lower()
        raise ImproperlyConfigured(
            f"{variable} {named}, which cannot be read: {reason}. Correct the path or the file's rights."
        ) from None
    except ValueError:  # from None: Python's own error shows the bytes
        raise ImproperlyConfigured(f"{variable} {named}, which is not text in UTF-8.") from None
    if len(data) > SECRET_MAX_BYTES:
        raise ImproperlyConfigured(f"{variable} {named}, which is too large for a secret. Check the path.")
    if not text.strip():
        raise ImproperlyConfigured(f"{variable} {named}, which is empty. Write the value into it.")
    return text


def read_relay_urls(env: Environment) -> dict[str, str]:
    """Return the addresses of EMAIL_URL_<NAME> and EMAIL_URL_<NAME>_FILE, by name in lower case.

    A name that cannot be used is kept as it is written, so that the system check batches.E009 can say what is wrong.
    """
    urls: dict[str, str] = {}
    for variable in sorted(_list_relay_variables(env.ENVIRON)):
        url = env.secret(variable)
        if not url:
            continue
        name = variable.removeprefix(RELAY_PREFIX).lower()
        if name in urls:
            raise ImproperlyConfigured(f"{variable} is set twice, in upper and lower case. Unset one of them.")
        urls[name] = url
    return urls


def read_relay_oauth(env: Environment, names: Iterable[str], *, ends: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the values of EMAIL_OAUTH_* for the relay ``default``, and of EMAIL_OAUTH_<NAME>_* for each other relay.

    The keys are the relays' names, and then the ends of the variables, such as CLIENT_ID. Unset ones are left out.
    """
    values = {
        name: {end: env.secret(f"{prefix}{end}") for end in ends} for name, prefix in _oauth_prefixes(names).items()
    }
    return {name: {end: value for end, value in each.items() if value} for name, each in values.items()}


def find_stray_oauth_variables(env: Environment, names: Iterable[str], *, ends: Sequence[str]) -> list[str]:
    """Return the variables EMAIL_OAUTH_* that belong to no relay, because a name in them is misspelt."""
    prefixes = _oauth_prefixes(names).values()
    known = {f"{prefix}{end}{file}" for prefix in prefixes for end in ends for file in ("", "_FILE")}
    return sorted(name for name in env.ENVIRON if name.startswith(OAUTH_PREFIX) and name not in known)


def _oauth_prefixes(names: Iterable[str]) -> dict[str, str]:
    """Return the beginning of the variables of each relay's OAuth client, by the relay's name."""
    return {name: f"{OAUTH_PREFIX}{name.upper()}_" for name in names} | {"default": OAUTH_PREFIX}


def read_returns_oauth(env: Environment, *, ends: Sequence[str]) -> dict[str, str]:
    """Return the values of RETURNS_OAUTH_*, by the ends of their names, such as CLIENT_ID. Unset ones are left out."""
    return {end: value for end in ends if (value := env.secret(f"{RETURNS_OAUTH_PREFIX}{end}"))}


def read_anymail(env: Environment) -> dict[str, str]:
    """Return the values of ANYMAIL_*, by the rest of the name: the keys with which providers sign what they post."""
    names = {name.removesuffix("_FILE") for name in env.ENVIRON if name.startswith(ANYMAIL_PREFIX)}
    return {name.removeprefix(ANYMAIL_PREFIX): value for name in names if (value := env.secret(name))}


def _list_relay_variables(environment: Mapping[str, str]) -> set[str]:
    """Return the variables of further relays, without _FILE. FILE is no name: it is the file of EMAIL_URL."""
    variables = {name for name in environment if name.startswith(RELAY_PREFIX)}
    return {name.removesuffix("_FILE") for name in variables} - {RELAY_PREFIX.rstrip("_")}


def find_public_url(hosts: Sequence[str], *, is_local: bool) -> str:
    """Return the address of the site that follows from its first host. "": no host is a single one.

    Args:
        hosts: ALLOWED_HOSTS. A host may be a pattern: ``*``, or ``.example.org`` for a domain and all below it.
    """
    host = next((host for host in hosts if not host.startswith((".", "*"))), "")
    if not host:
        return ""
    return f"http://{host}:8000" if is_local else f"https://{host}"


def read_groups(pairs: Iterable[str]) -> dict[str, str]:
    """Read OIDC_GROUPS: ``claim value=group`` pairs. Both sides may have spaces."""
    groups: dict[str, str] = {}
    for pair in pairs:
        value, sign, group = (part.strip() for part in pair.rpartition("="))
        if not pair.strip():
            continue
        if not (value and sign and group):
            raise ImproperlyConfigured(f"OIDC_GROUPS has {pair!r}. Write each part as: value of the claim=group.")
        groups[value] = group
    return groups


def read_database(url: str) -> dict[str, Any]:
    """Return the entry of ``DATABASES`` for an address, or an empty one if the address cannot be read.

    An empty entry lets the settings load, so that the system check batches.E006 can say what is wrong.
    """
    try:
        # Not left to django-environ: for an unknown scheme it prints a warning that contains the password.
        if environ.Env.DB_SCHEMES.get(urlsplit(url).scheme) != POSTGRES_ENGINE:
            return {}
        config: dict[str, Any] = environ.Env.db_url_config(url)
    except ValueError:
        return {}
    options = config.setdefault("OPTIONS", {})
    if "host" in options:  # ?host=/folder/of/the/socket, as libpq spells it
        config["HOST"] = options.pop("host")
    options.setdefault("connect_timeout", 5)
    return config
