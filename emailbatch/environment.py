"""Reads variables of the environment for settings.py, and names a variable whose value cannot be used."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

POSTGRES_ENGINE = environ.Env.DB_SCHEMES["postgres"]
"""Django's PostgreSQL backend. Several schemes name it."""

BOOLEANS = dict.fromkeys(("true", "on", "ok", "y", "yes", "1"), True)
BOOLEANS |= dict.fromkeys(("false", "off", "n", "no", "0"), False)


class Environment(environ.Env):  # type: ignore[misc]  # django-environ has no types
    """django-environ's reader, except that a wrong value is a sentence and not a traceback.

    Raises:
        ImproperlyConfigured: a variable has a value that cannot be used. ``manage.py`` prints the message and exits.
    """

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
