"""The access token of one relay: requested once, shared by the connections of a lane run, and renewed in time.

A store keeps the token and the newest refresh token, so that all processes share one token, and so that a refresh token
that the endpoint replaced is not lost. One process at a time renews.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from batches.smtp.oauth import OAuthClient
from batches.smtp.token_endpoint import Grant, TokenError, request_token

logger = logging.getLogger(__name__)

RENEW_AT_SHARE = 0.8
RENEW_BEFORE_SECONDS = 60.0
"""A token is renewed after 80 % of its life, or 60 seconds before its end: whichever is later."""

RENEWAL_MAX_SECONDS = 30.0
"""How long one process may take to renew. After that another one may."""

ASK_AGAIN_SECONDS = 0.1
"""How often a process asks whether another one has renewed."""

USABLE_SECONDS = 10.0
"""While another process renews a token, it is still used if it is valid for longer than this. A login takes less."""

FAILURE_SECONDS = 1.0
"""For how long after a failure the endpoint is not asked again: the connections of a lane are opened together."""


def renewal_due_after(life_seconds: float) -> float:
    """Return after how many seconds a token of this life is renewed."""
    return max(life_seconds * RENEW_AT_SHARE, life_seconds - RENEW_BEFORE_SECONDS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """What the store has. ``is_ours`` says that the caller is the one that renews now."""

    access_token: str = field(default="", repr=False)
    remaining_seconds: float = 0.0
    renew_in_seconds: float = 0.0
    refresh_token: str = field(default="", repr=False)
    is_ours: bool = False


class TokenStore(Protocol):
    """Keeps one client's tokens for all processes. Its methods may block: they are called in a thread.

    Each raises TokenError if the store cannot be used.
    """

    def read(self, *, refused: str) -> Stored:
        """Return the token. If it is due, or the relay refused it, let one caller renew it (``is_ours``)."""

    def save(self, grant: Grant, *, renew_in_seconds: float) -> None:
        """Keep a new token, and the new refresh token if there is one, and end the renewal."""

    def give_up(self) -> None:
        """End a renewal that failed."""

    def close(self) -> None:
        """Release what this thread has opened."""


class MemoryStore:
    """A store for this process alone."""

    def __init__(self) -> None:
        self._access_token = self._refresh_token = ""
        self._renew_at = self._ends_at = 0.0

    def read(self, *, refused: str) -> Stored:
        now = time.monotonic()
        return Stored(
            access_token=self._access_token,
            remaining_seconds=self._ends_at - now,
            renew_in_seconds=self._renew_at - now,
            refresh_token=self._refresh_token,
            is_ours=now >= self._renew_at or self._access_token == refused,
        )

    def save(self, grant: Grant, *, renew_in_seconds: float) -> None:
        now = time.monotonic()
        self._access_token, self._refresh_token = grant.access_token, grant.refresh_token or self._refresh_token
        self._renew_at, self._ends_at = now + renew_in_seconds, now + grant.life_seconds

    def give_up(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class AccessToken:
    text: str = field(repr=False)
    is_new: bool
    """Whether it was requested for this very login."""


class AccessTokens:
    """Gives one client's access token to the connections of one lane run, in its event loop."""

    def __init__(
        self,
        client: OAuthClient,
        store: TokenStore | None = None,
        *,
        request: Callable[..., Grant] = request_token,
    ) -> None:
        self.client = client
        self._store, self._request = store or MemoryStore(), request
        self._lock = asyncio.Lock()
        self._text, self._renew_at = "", 0.0
        self._failure: TokenError | None = None
        self._failed_at = 0.0

    async def get(self, *, refused: str = "") -> AccessToken:
        """Return a token that is valid now. ``refused`` is the one that the relay refused, if it did.

        Raises:
            TokenError: the endpoint gives none.
        """
        if self._is_usable(refused):
            return AccessToken(self._text, is_new=False)
        async with self._lock:  # The other connections wait for this one's renewal.
            if self._is_usable(refused):
                return AccessToken(self._text, is_new=False)
            if self._failure is not None and time.monotonic() < self._failed_at + FAILURE_SECONDS:
                raise self._failure
            return await self._obtain(refused)

    def _is_usable(self, refused: str) -> bool:
        return self._text not in ("", refused) and time.monotonic() < self._renew_at

    async def _obtain(self, refused: str) -> AccessToken:
        """Take the token of another process, or renew it."""
        try:
            async with asyncio.timeout(RENEWAL_MAX_SECONDS):
                # In one thread, which ends even if the connection is cancelled meanwhile. A refresh token that the
                # endpoint has just replaced is then stored nevertheless.
                while (token := await asyncio.to_thread(self._read_or_renew, refused)) is None:
                    await asyncio.sleep(ASK_AGAIN_SECONDS)
            return token
        except TokenError as exc:
            failure = exc
        except TimeoutError:
            failure = TokenError(f"No new token came from {self.client.endpoint_host} in time. It is asked again.")
        self._failure, self._failed_at = failure, time.monotonic()
        raise failure

    def _read_or_renew(self, refused: str) -> AccessToken | None:
        """Return the token, renewed if this process is the one that renews. None: another one is renewing it."""
        asked_at = time.monotonic()
        try:
            stored = self._store.read(refused=refused)
            if stored.is_ours:
                return self._renew(stored, refused)
        finally:
            self._store.close()
        if stored.access_token in ("", refused):
            return None
        if stored.remaining_seconds > USABLE_SECONDS and stored.renew_in_seconds <= 0:
            return AccessToken(stored.access_token, is_new=False)  # Another process renews it meanwhile.
        if stored.renew_in_seconds <= 0:
            return None
        self._text, self._renew_at = stored.access_token, asked_at + stored.renew_in_seconds
        return AccessToken(self._text, is_new=False)

    def _renew(self, stored: Stored, refused: str) -> AccessToken:
        asked_at = time.monotonic()
        try:
            grant = self._request(self.client, refresh_token=stored.refresh_token)
        except TokenError as exc:
            self._store.give_up()
            remaining_seconds = stored.remaining_seconds - (time.monotonic() - asked_at)
            if stored.access_token in ("", refused) or remaining_seconds <= 0:
                raise
            # The old token is still valid. The next login asks the endpoint again.
            logger.warning("The access token of %s was not renewed: %s", self.client.user, exc)
            return AccessToken(stored.access_token, is_new=False)
        renew_in_seconds = renewal_due_after(grant.life_seconds)
        try:
            self._store.save(grant, renew_in_seconds=renew_in_seconds)
        except TokenError as exc:  # The token itself is good.
            logger.warning("The new access token of %s is not stored for other processes: %s", self.client.user, exc)
        self._text, self._renew_at = grant.access_token, time.monotonic() + renew_in_seconds
        return AccessToken(grant.access_token, is_new=True)
