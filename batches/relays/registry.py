"""Which relays there are, and which of them may carry a job's mail now.

The addresses come from the environment, and what a person set in the admin comes from the tables. Routes leave, for one
lane run. Nothing here connects to a relay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from batches.delivery.spec import RouteSpec
from batches.models import EmailJob, Lane, RelayPreset
from batches.models.relay import DEFAULT_RELAY, Relay
from batches.models.sql import RelayLimits
from batches.relays import sql
from batches.relays.sql import RelayRow
from batches.relays.token_store import DatabaseStore
from batches.relays.windows import Opening, Window, find_opening
from batches.smtp.access_tokens import AccessTokens
from batches.smtp.backend import Backend
from batches.smtp.oauth import OAuthClient, OAuthSettingsError, make_client
from batches.smtp.relay import RelayAddress, RelayUrlError, parse_relay

if TYPE_CHECKING:
    import psycopg

WAIT_IN_PLACE_SECONDS = 5.0
"""A relay that is usable within this time counts as usable: a lane run waits that long for it."""

MISCONFIGURED_RETRY_SECONDS = 60.0
"""How long a job waits if no relay may carry it at all. A change in the admin ends the wait at once."""


LOGIN_HOSTS = frozenset({"smtp.office365.com", "smtp-mail.outlook.com", "smtp.gmail.com", "smtp.googlemail.com"})
"""The submission servers of Microsoft and Gmail."""

RESERVED_NAMES = (DEFAULT_RELAY, "file")
"""Names that no EMAIL_URL_<NAME> may have: the relay of EMAIL_URL, and the end of EMAIL_URL_FILE."""


class Found(NamedTuple):
    """The relays that may carry a job's mail, those that accept none now included.

    If none of them is usable within five seconds, ``why`` says so in a sentence, and ``retry_seconds`` says after how
    long one is. Otherwise ``why`` is empty and ``retry_seconds`` is None. ``version`` is ``relays_version`` as it was
    then.
    """

    routes: tuple[RouteSpec, ...]
    why: str
    retry_seconds: float | None
    version: str = ""


def relay_urls() -> dict[str, str]:
    """Return the address of each relay of the environment, by name. That of a Django email backend is empty."""
    urls = dict(settings.RELAY_URLS)
    if settings.SEND_BACKEND:
        urls[DEFAULT_RELAY] = ""
    elif settings.EMAIL_URL or not urls:
        urls[DEFAULT_RELAY] = settings.EMAIL_URL
    return urls


def read_address(name: str) -> RelayAddress | Backend:
    """Return where a relay of the environment is.

    Raises:
        RelayUrlError: its address cannot be read.
    """
    if name == DEFAULT_RELAY and settings.SEND_BACKEND:
        return Backend(path=settings.SEND_BACKEND)
    address = parse_relay(relay_urls()[name], variable=url_variable(name))
    if not address.oauth:
        return address
    client = read_client(name, address)
    return replace(address, tokens=AccessTokens(client, DatabaseStore(name, client)))


def read_client(name: str, address: RelayAddress) -> OAuthClient:
    """Return the OAuth client of a relay whose address has ``?oauth=``.

    Raises:
        RelayUrlError: one of its variables is missing or cannot be used.
    """
    values = settings.RELAY_OAUTH.get(name, {})
    try:
        return make_client(address.oauth, values, user=address.username or "", variables=oauth_variables(name))
    except OAuthSettingsError as exc:
        raise RelayUrlError(str(exc)) from None


def find_name_fault(name: str) -> str | None:
    """Return why a relay of the environment cannot have this name, or None."""
    variable = f"EMAIL_URL_{name.upper()}"
    if name in RESERVED_NAMES:
        return f"{variable} has no name of its own. Write EMAIL_URL, or choose another name."
    if not re.fullmatch(r"[a-z0-9_]{1,50}", name):
        return f"{variable} has a name that cannot be used. Write at most 50 letters, digits and underscores."
    return None


def url_variable(name: str) -> str:
    """Return the variable of the environment that holds a relay's address."""
    return "EMAIL_URL" if name == DEFAULT_RELAY else f"EMAIL_URL_{name.upper()}"


def oauth_variables(name: str) -> str:
    """Return the beginning of the variables of a relay's OAuth client."""
    return "EMAIL_OAUTH_" if name == DEFAULT_RELAY else f"EMAIL_OAUTH_{name.upper()}_"


def sync() -> None:
    """Add a row for each relay of the environment that has none, and keep the quotas of a minute right.

    Safe to run at any time, and twice at once.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql.ADD_RELAYS, _added(relay_urls()))
    keep_minute_quotas()


def keep_minute_quotas() -> None:
    """Let each relay have the quota that its messages per minute say. To be called after they changed."""
    with connection.cursor() as cursor:
        cursor.execute(sql.KEEP_MINUTE_QUOTAS)


def find_routes(*, sender_id: int | None) -> Found:
    """Return the relays that may carry a sender's mail, over Django's connection. See ``afind_routes``."""
    with connection.cursor() as cursor:
        rows = sql.FIND_RELAYS.rows(cursor.execute(sql.FIND_RELAYS, {"sender": sender_id}).fetchall())
        if _find_missing(rows):
            sync()
            rows = sql.FIND_RELAYS.rows(cursor.execute(sql.FIND_RELAYS, {"sender": sender_id}).fetchall())
    return choose_routes(rows)


async def afind_routes(ledger_connection: psycopg.AsyncConnection[Any], *, sender_id: int | None) -> Found:
    """Return the relays that may carry a sender's mail, by one round trip over a lane's own connection.

    A relay that is new in the environment gets its row first.
    """
    arguments = {"sender": sender_id}
    rows = sql.FIND_RELAYS.rows(await (await ledger_connection.execute(sql.FIND_RELAYS, arguments)).fetchall())
    if missing := _find_missing(rows):
        await ledger_connection.execute(sql.ADD_RELAYS, _added(missing))
        rows = sql.FIND_RELAYS.rows(await (await ledger_connection.execute(sql.FIND_RELAYS, arguments)).fetchall())
    return choose_routes(rows)


def relays_version() -> str:
    """Return a text that changes when a person changes a relay, or which relays a sender may use.

    What the lanes note, such as a relay pause, does not change it.
    """
    with connection.cursor() as cursor:
        return str(cursor.execute(sql.RELAYS_VERSION).fetchone()[0])


def wake_jobs() -> int:
    """End the wait of every job that waits for a relay. The sweep enqueues their lanes within seconds.

    Returns:
        How many jobs waited.
    """
    Lane.objects.filter(job__completed_at=None, waits_until__gt=Now()).update(waits_until=None)
    waiting = Q(completed_at=None, relay_retry_at__gt=Now())
    return EmailJob.objects.filter(waiting).update(relay_retry_at=Now(), relay_failure_count=0)


def _find_missing(rows: Iterable[RelayRow]) -> set[str]:
    return set(relay_urls()) - {row.name for row in rows}


def _added(names: Iterable[str]) -> dict[str, Any]:
    return {"names": sorted(names), "preset": RelayPreset.NONE.value}


def choose_routes(rows: Sequence[RelayRow]) -> Found:
    """Make a route of each relay that is configured, enabled and allowed, and say why if none is usable."""
    urls, version = relay_urls(), rows[0].version if rows else ""
    configured = [row for row in rows if row.name in urls]
    allowed = [row for row in configured if row.is_enabled and row.is_allowed]
    routes: list[RouteSpec] = []
    reasons: list[tuple[float, str]] = []
    for row in allowed:
        try:
            route, reason = _make_route(row)
        except RelayUrlError as exc:
            reasons.append((MISCONFIGURED_RETRY_SECONDS, str(exc)))
            continue
        routes.append(route)
        reasons.append((route.paused_seconds, reason))
    if not reasons:
        return Found((), _explain_none(configured), MISCONFIGURED_RETRY_SECONDS, version)
    retry_seconds, why = min(reasons)
    if routes and retry_seconds <= WAIT_IN_PLACE_SECONDS:
        return Found(tuple(routes), "", None, version)
    return Found(tuple(routes), why, retry_seconds, version)


def _make_route(row: RelayRow) -> tuple[RouteSpec, str]:
    """Return the route, and why it is not usable at once."""
    address = read_address(row.name)
    window = Window(opens_at=row.opens_at, closes_at=row.closes_at, weekdays=row.weekdays)
    opening, reason = _find_opening(row, window)
    route = RouteSpec(
        relay_id=row.id,
        name=row.name,
        address=address,
        connections=row.connections or settings.SEND_CONNECTIONS,
        rate=find_rate(row),
        weight=row.weight,
        order=row.order,
        has_quotas=row.has_quotas,
        paused_seconds=opening.opens_in_seconds,
        closes_in_seconds=opening.closes_in_seconds,
        closes_after_refusals=row.closes_after_refusals,
        keeps_return_path=row.keeps_return_path and not _wants_login(address),
    )
    return route, reason


def is_a_return_path_refused() -> bool:
    """Whether a relay in use carries messages without a return path of their own."""
    rows = Relay.objects.filter(is_enabled=True, name__in=relay_urls()).values_list("name", "keeps_return_path")
    return any(not keeps or _has_login_path(name) for name, keeps in rows)


def _has_login_path(name: str) -> bool:
    try:
        address = read_address(name)
    except RelayUrlError:
        return False  # it carries nothing
    return isinstance(address, Backend) or _wants_login(address)


def _wants_login(address: RelayAddress | Backend) -> bool:
    """Whether a relay is one that is known to refuse any MAIL FROM but the login's, whatever its preset is."""
    return isinstance(address, RelayAddress) and address.host.lower() in LOGIN_HOSTS


def _find_opening(row: RelayRow, window: Window) -> tuple[Opening, str]:
    """Return when the relay carries mail next, and what keeps it from that longest."""
    paused = max(0.0, row.paused_seconds)
    if window.is_always_open:
        return Opening(paused, None), row.pause_sentence
    zone = timezone.get_default_timezone()
    # The window as it is at the end of the pause: it may have closed by then.
    opening = find_opening(window, now=row.now + timedelta(seconds=paused), zone=zone)
    reason = f"The relay {row.name} carries mail only {window}." if opening.opens_in_seconds else row.pause_sentence
    closes_in = None if opening.closes_in_seconds is None else paused + opening.closes_in_seconds
    return Opening(paused + opening.opens_in_seconds, closes_in), reason


def find_rate(row: RelayRow | RelayLimits) -> float:
    """Return the messages a second. A rate per minute is spread evenly, and its quota bounds each minute."""
    per_second = row.rate_per_second or (settings.SEND_RATE if row.name == DEFAULT_RELAY else 0)
    rates = [rate for rate in (per_second, row.rate_per_minute / 60) if rate > 0]
    return min(rates, default=0)


def _explain_none(configured: list[RelayRow]) -> str:
    if not any(row.is_enabled for row in configured):
        return "Every relay is disabled. Enable one in the admin, under Relays."
    if not any(row.is_allowed for row in configured):
        return "No relay may carry mail of this sender. Allow it for a relay in the admin, under Relays or Senders."
    return "Every relay that may carry mail of this sender is disabled. Enable one in the admin, under Relays."
