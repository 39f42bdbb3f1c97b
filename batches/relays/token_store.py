"""The tokens of one relay in PostgreSQL, so that all processes share them. They are encrypted there.

Redis holds notifications only and may be emptied, and a refresh token that is lost costs a person a sign-in. A copy of
the database without SECRET_KEY shows no token.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.db import DatabaseError, connection
from django.utils.crypto import salted_hmac

from batches.relays import sql
from batches.relays.sql import TokenRow
from batches.smtp.access_tokens import RENEWAL_MAX_SECONDS, Stored
from batches.smtp.oauth import OAuthClient
from batches.smtp.token_endpoint import Grant, TokenError

_SALT = "batches.relays.token_store"


class DatabaseStore:
    """Keeps the tokens of one relay's client (``TokenStore``), over the Django connection of the calling thread."""

    def __init__(self, relay: str, client: OAuthClient) -> None:
        self._relay = relay
        self._digest = _digest(client)
        self._refresh_token = ""

    def read(self, *, refused: str) -> Stored:
        with _explain_outages():
            return self._read(refused)

    def _read(self, refused: str) -> Stored:
        row = self._read_row()
        access_token, self._refresh_token = self._open(row)
        if access_token in ("", refused) or row is None or row.renew_in_seconds <= 0:
            is_ours = self._claim(row)
        else:
            is_ours = False
        return Stored(
            access_token=access_token,
            remaining_seconds=row.remaining_seconds if row else 0,
            renew_in_seconds=row.renew_in_seconds if row else 0,
            refresh_token=self._refresh_token,
            is_ours=is_ours,
        )

    def save(self, grant: Grant, *, renew_in_seconds: float) -> None:
        self._refresh_token = grant.refresh_token or self._refresh_token
        arguments: dict[str, Any] = {
            "relay": self._relay,
            "digest": self._digest,
            "sealed": _seal(grant.access_token, self._refresh_token),
            "renew_in_seconds": renew_in_seconds,
            "life_seconds": grant.life_seconds,
        }
        with _explain_outages(), connection.cursor() as cursor:
            cursor.execute(sql.SAVE_TOKEN, arguments)

    def give_up(self) -> None:
        with _explain_outages(), connection.cursor() as cursor:
            cursor.execute(sql.GIVE_UP_TOKEN, {"relay": self._relay})

    def close(self) -> None:
        """Close the connection of this thread. The next renewal is minutes away, and a thread is not used again."""
        connection.close()

    def _read_row(self) -> TokenRow | None:
        with connection.cursor() as cursor:
            rows = sql.READ_TOKEN.rows(cursor.execute(sql.READ_TOKEN, {"relay": self._relay}).fetchall())
        return rows[0] if rows else None

    def _open(self, row: TokenRow | None) -> tuple[str, str]:
        """Return the access token and the refresh token. A row of another client, or of another SECRET_KEY, has none.

        A person who signs in again sets a new refresh token. That makes another client, so the stored one is forgotten.
        """
        if row is None or row.client_digest != self._digest:
            return "", ""
        return _open(row.sealed)

    def _claim(self, row: TokenRow | None) -> bool:
        arguments: dict[str, Any] = {
            "relay": self._relay,
            "seconds": RENEWAL_MAX_SECONDS,
            "sealed": row.sealed if row else "",
        }
        with connection.cursor() as cursor:
            cursor.execute(sql.CLAIM_TOKEN, arguments)
            return bool(cursor.rowcount)


@contextmanager
def _explain_outages() -> Iterator[None]:
    """Make an outage of PostgreSQL a failure of the login, which pauses the relay and does not end the lane."""
    try:
        yield
    except DatabaseError:
        raise TokenError("The access token in PostgreSQL can't be reached now. It is looked for again.") from None


def _digest(client: OAuthClient) -> str:
    """Return a digest of what the tokens belong to. A new client secret leaves them valid."""
    key = client.service_account.private_key if client.service_account else ""
    parts = (client.token_url, client.client_id, client.user, client.scope, client.refresh_token, key)
    return salted_hmac(_SALT, json.dumps(parts), algorithm="sha256").hexdigest()


def _cipher() -> Fernet:
    return Fernet(base64.urlsafe_b64encode(salted_hmac(_SALT, "key", algorithm="sha256").digest()))


def _seal(access_token: str, refresh_token: str) -> str:
    return _cipher().encrypt(json.dumps([access_token, refresh_token]).encode()).decode()


def _open(sealed: str) -> tuple[str, str]:
    try:
        access_token, refresh_token = json.loads(_cipher().decrypt(sealed.encode()))
    except InvalidToken:
        return "", ""
    return str(access_token), str(refresh_token)
