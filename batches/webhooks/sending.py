"""Send what is due: claim, sign, post and record, for all Webhooks side by side. Deliveries enter and leave as rows.

Each Webhook has rounds of its own, so a slow receiver delays no other, and rests if it kept the worker from mail. One
process in the fleet sends at a time.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.db import connection
from django.utils import timezone

from batches.asyncio_tasks import end_tasks
from batches.models import Webhook
from batches.webhooks import deliveries
from batches.webhooks.addresses import Endpoint, EndpointRefused, IpAddress, read_url, resolve
from batches.webhooks.deliveries import Claim
from batches.webhooks.posting import Answer, Resolve, look_up, post
from batches.webhooks.signing import make_headers

ROUND_MAX = 10
"""How many messages one Webhook has under way at once."""

WEBHOOKS_MAX = 20
"""How many Webhooks have a round at once. More wait until a round ends."""

SLOW_SECONDS = 1.0
"""A round that takes longer is slow. If others waited for the worker meanwhile, its Webhook rests."""

REST_FACTOR = 4
"""How many times as long as a slow round a Webhook then rests: slow receivers take a fifth of a worker at most."""

LOOK_SECONDS = 0.5
"""How often new work is looked for while a round is under way."""

ADVISORY_LOCK = 0x776562686F6F  # "webhoo": one process in the fleet sends


@dataclass(kw_only=True, slots=True)
class SendReport:
    """What one call has sent, in counts."""

    delivered: int = 0
    failed: int = 0
    was_busy: bool = False
    """Another process was sending, so this one did nothing."""

    def __str__(self) -> str:
        if self.was_busy:
            return "another process sends"
        return f"{self.delivered} delivered, {self.failed} failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """What a call of ``send_due`` works with."""

    is_over: Callable[[], bool]
    find_addresses: Resolve


def send_due(*, is_over: Callable[[], bool] = lambda: False, find_addresses: Resolve = resolve) -> SendReport:
    """Send until nothing is due, or until ``is_over`` says so. Then no round begins; those under way are finished."""
    with _alone() as is_alone:
        if not is_alone:
            return SendReport(was_busy=True)
        return async_to_sync(_send_all)(Turn(is_over=is_over, find_addresses=find_addresses))


def is_sending() -> bool:
    """Whether a process in the fleet sends now."""
    with _alone() as is_alone:
        return not is_alone


@contextmanager
def _alone() -> Iterator[bool]:
    """Hold the lock of the sender, if nobody else holds it. It ends with the connection, whatever kills the process."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [ADVISORY_LOCK])
        [(is_ours,)] = cursor.fetchall()
        try:
            yield bool(is_ours)
        finally:
            if is_ours:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])


async def _send_all(turn: Turn) -> SendReport:
    report = SendReport()
    rounds: dict[int, asyncio.Task[None]] = {}
    try:
        while True:
            if not turn.is_over():
                due = [each for each in await sync_to_async(deliveries.find_due)() if each.pk not in rounds]
                for webhook in due[: WEBHOOKS_MAX - len(rounds)]:
                    rounds[webhook.pk] = asyncio.create_task(_run_round(webhook, report, turn=turn))
            if not rounds:
                return report
            await asyncio.wait(rounds.values(), timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for webhook_id, task in list(rounds.items()):
                if task.done():
                    del rounds[webhook_id]
                    task.result()
    finally:
        await end_tasks(rounds.values())


async def _run_round(webhook: Webhook, report: SendReport, *, turn: Turn) -> None:
    """Claim some deliveries of one Webhook, post them all at once, and record what became of each."""
    began_at = time.monotonic()
    claims = await sync_to_async(deliveries.claim)(webhook, limit=ROUND_MAX)
    answers = await _attempt_all(webhook, claims, find_addresses=turn.find_addresses)
    await sync_to_async(deliveries.record)(webhook, list(zip(claims, answers, strict=True)))
    _count(report, answers)
    worked_seconds = time.monotonic() - began_at
    if worked_seconds >= SLOW_SECONDS and turn.is_over():
        await sync_to_async(deliveries.rest)(webhook, seconds=REST_FACTOR * worked_seconds)


async def _attempt_all(webhook: Webhook, claims: Sequence[Claim], *, find_addresses: Resolve) -> list[Answer]:
    """Resolve the host once, check its addresses, and post to exactly these."""
    try:
        endpoint = read_url(webhook.url)
        addresses = await look_up(endpoint, find_addresses=find_addresses)
    except EndpointRefused as exc:
        return [Answer(text=str(exc)) for _ in claims]
    return await asyncio.gather(*(_attempt(webhook, claim, endpoint, addresses) for claim in claims))


def _count(report: SendReport, answers: Sequence[Answer]) -> None:
    delivered = sum(answer.is_success for answer in answers)
    report.delivered += delivered
    report.failed += len(answers) - delivered


async def _attempt(webhook: Webhook, claim: Claim, endpoint: Endpoint, addresses: Sequence[IpAddress]) -> Answer:
    """Sign and post one message. What is signed are the very octets that are posted."""
    body = json.dumps(claim.payload, ensure_ascii=False, separators=(",", ":"))
    try:
        headers = make_headers(message_id=claim.message_id, body=body, secret=webhook.secret, now=timezone.now())
    except ValueError:  # no base64, which the admin's form refuses
        return Answer(text="The secret can't be used. Make a new one.")
    headers["User-Agent"] = f"emailbatch/{settings.VERSION}"
    return await post(endpoint, addresses, headers=headers, body=body.encode())
