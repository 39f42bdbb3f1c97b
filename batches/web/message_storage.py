"""Keeps what the next page says in a cookie, as Django does, under a name that only this host can set.

Each message is kept in the language of the person.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage

from batches.translations import say


class HostCookie(CookieStorage):
    cookie_name = "__Host-messages" if settings.SESSION_COOKIE_SECURE else "messages"


class MessageStorage(FallbackStorage):
    """Messages that are too long for a cookie are kept in the session."""

    storage_classes = (HostCookie, SessionStorage)

    def add(self, level: int, message: object, extra_tags: str | None = "") -> None:
        """Keep a message in the language of the person."""
        super().add(level, say(message), extra_tags)
