"""``python -m tests.bench.steps``: the single steps of a measurement, each run as a program in a stack's environment.

Loading and starting are separate steps, so that a measurement of sending contains no import. The other steps are the
parts of a lane, each measured alone.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailbatch.settings")
django.setup()

import redis
import uvloop
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from batches import intake
from batches.delivery.ledger import Ledger, connect
from batches.delivery.terms import ClaimedEmail, Decision
from batches.directory import list_some
from batches.jobs import creation, lifecycle, queues, run_lane
from batches.jobs.failure_groups import find_key, say_alike
from batches.models import (
    AuditAction,
    AuditEntry,
    Batch,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    Lane,
    SuppressionReason,
    TemplateVersion,
)
from batches.outcomes import Outcome
from batches.relays import afind_routes
from batches.rendering.message import Message, MessageLayout
from batches.rendering.plain import MessageWriter
from batches.rendering.plain_template import PlainTemplate, read_plain
from batches.rendering.template import MessageParts
from batches.smtp.connection import Capabilities, Connection, Loss, Outgoing, Timeouts
from batches.smtp.relay import open_session, parse_relay
from batches.smtp.verdicts import Verdict
from batches.suppressions import make_digests, pad_key, read_key, suppress_digests
from tests.bench import messages, pages_data

POLL_SECONDS = 0.0005
WAIT_SECONDS = 30


def sign_in() -> dict[str, Any]:
    """Make a superuser, if there is none, and sign the user in. Return also the keys of the digests of addresses."""
    user, _ = User.objects.get_or_create(username="bench", defaults={"is_superuser": True, "is_staff": True})
    client = Client()
    client.force_login(user)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    keys = {name: key.hex() for name, key in pad_key(read_key()).items()}
    return {"user": user.pk, "cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}", "keys": keys}


def list_people(batch_id: str) -> dict[str, Any]:
    """Tell the search for people of a batch, as a worker does after it was sent."""
    count, started = 0, time.perf_counter()
    while listed := list_some(int(batch_id)):
        count += listed
    return {"count": count, "per_second": count / (time.perf_counter() - started)}


def fill_lists(owner: str, templates: str, users: str, suppressions: str, entries: str) -> dict[str, Any]:
    """Make many templates, users, suppressions and entries of the audit, for the pages that list them."""
    EmailTemplate.objects.bulk_create(
        EmailTemplate(
            key=f"template-{number}",
            name=f"Template {number}",
            subject="Hello {{ name }}",
            text=f"Dear {{{{ name }}}}, this is letter {number}.",
            owner_id=int(owner),
        )
        for number in range(int(templates))
    )
    TemplateVersion.objects.bulk_create(
        TemplateVersion(
            template=each, number=1, name=each.name, subject=each.subject, text=each.text, saved_by_id=int(owner)
        )
        for each in EmailTemplate.objects.filter(key__startswith="template-")
    )
    User.objects.bulk_create(
        User(username=f"user{number}", email=f"user{number}@example.org", first_name="Ann", last_name=f"Berg {number}")
        for number in range(int(users))
    )
    addresses = [f"person{number}@mail{number % 997}.example.com" for number in range(1, int(suppressions) // 100)]
    suppress_digests(make_digests(read_key(), addresses), reason=SuppressionReason.UNSUBSCRIBED)
    count = suppress(suppressions)["count"]
    AuditEntry.objects.bulk_create(
        (
            AuditEntry(
                action=AuditAction.SEND if number % 2 else AuditAction.DOWNLOAD,
                actor_name=f"user{number % int(users)}",
                via="page",
                target="batch",
                batch_id=number % 1000 + 1,
            )
            for number in range(int(entries))
        ),
        batch_size=5_000,
    )
    group = find_key(say_alike(550, f"5.1.1 <a@example.com>: {pages_data.FAILED_REPLY}"))
    return {"suppressions": count, "group": group}


def load(path: str) -> dict[str, Any]:
    """Import a file as a draft."""
    with Path(path).open("rb") as file:
        batch = intake.import_csv(file, filename="bench.csv", user=None).batch
    return {"batch": batch.pk, "count": batch.total_count}


def suppress(count: str) -> dict[str, Any]:
    """Put that many addresses on the suppression list."""
    digests = make_digests(read_key(), [f"suppressed{number}@example.org" for number in range(int(count))])
    return {"count": suppress_digests(digests, reason=SuppressionReason.MANUAL)}


def start(batch_id: str, key: str = messages.TEMPLATE_KEY) -> dict[str, Any]:
    """Start the job of a draft."""
    return {"job": _start(Batch.objects.get(pk=int(batch_id)), key=key).pk}


def _start(batch: Batch, *, key: str = messages.TEMPLATE_KEY) -> EmailJob:
    template = EmailTemplate.objects.get(key=key)
    return creation.create_job(batch, template=template, user=None)


def pick_up(count: str) -> dict[str, Any]:
    """Measure a PING, and the time from a job's start to its first lane. One idle worker must be running."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    pings = [_timed(client.ping) for _ in range(1000)]
    waits = [_time_pick_up(number) for number in range(int(count))]
    return {"ping_ms": _median_ms(pings), "pick_up_ms": _median_ms(waits), "pick_up_max_ms": max(waits) * 1e3}


def _time_pick_up(number: int) -> float:
    batch = intake.import_list([f"one{number}@example.org"], user=None).batch
    Batch.objects.filter(pk=batch.pk).update(merge_fields=list(messages.MERGE_FIELDS))
    batch.emails.update(fields=["Ann", "Rome", "C1"])
    batch.refresh_from_db()
    job = _start(batch)
    deadline = time.monotonic() + WAIT_SECONDS
    while job.completed_at is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        job.refresh_from_db()
    assert job.started_at is not None
    return (job.started_at - job.created_at).total_seconds()


def enqueue(count: str) -> dict[str, Any]:
    """Measure how long it takes to enqueue one work item, and a PING beside it. No worker must be running."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    work_items = [
        queues.WorkItem(job_id=0, lane_id=0, token=number, priority=queues.QUEUE_NAMES[-1])
        for number in range(int(count))
    ]
    queues.enqueue(work_items[:1])
    times = [(_timed(client.ping), _timed(lambda each=each: queues.enqueue([each]))) for each in work_items[1:]]
    client.flushall()
    pings, enqueues = zip(*times, strict=True)
    return {"ping_ms": _median_ms(pings), "enqueue_ms": _median_ms(enqueues)}


def _timed(action: Any) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def _median_ms(seconds: Any) -> float:
    median: float = statistics.median(seconds)
    return median * 1e3


# --- The parts of a lane, each alone -------------------------------------------------------------------


def _read_template() -> PlainTemplate:
    source = messages.TEMPLATE
    template = read_plain(MessageParts(subject=source["subject"], html=source["html"], text=source["text"]))
    assert template is not None
    return template


def _messages(count: int) -> list[tuple[str, Message]]:
    writer = MessageWriter(
        _read_template(),
        MessageLayout(from_email=messages.FROM, job_id=1, key=b"k" * 32),
    )
    made = []
    for number, (address, *fields) in enumerate(messages.make_recipients(count)):
        context = dict(zip(messages.MERGE_FIELDS, fields, strict=True)) | {"email": address}
        made.append((address, writer.write(email_id=number, address=address, context=context, allow_8bit=True)))
    return made


def render(count: str) -> dict[str, Any]:
    """Measure the processor time to render and lay out a message, and return its size."""
    _messages(500)
    started = time.process_time()
    made = _messages(int(count))
    spent = time.process_time() - started
    return {"us": spent / len(made) * 1e6, "bytes": sum(len(message.content) for _, message in made) / len(made)}


class _ReadyMessages:
    """The lane of the SMTP sessions that are measured. Its messages are ready, and it records nothing."""

    def __init__(self, count: int) -> None:
        self.ready = [
            Outgoing(tag=None, sender=b"post@example.org", recipient=address, **made._asdict())
            for address, made in _messages(count)
        ]
        self.left = count
        self.done = asyncio.Event()

    def take(self, capabilities: Capabilities) -> Outgoing[None] | None:
        return self.ready.pop() if self.ready else None

    def may_send(self) -> bool:
        return True

    def can_record(self) -> bool:
        return True

    def on_verdict(self, outgoing: Outgoing[None], verdict: Verdict) -> None:
        assert verdict.outcome is Outcome.SENT, verdict
        self.left -= 1
        if not self.left:
            self.done.set()

    def on_connection_lost(self, connection: Connection, loss: Loss) -> None:
        if self.left:
            raise ConnectionError(loss.reason)


def smtp(count: str) -> dict[str, Any]:
    """Measure the processor time to send ready messages over ten connections."""

    async def send() -> tuple[float, float]:
        ready = _ReadyMessages(int(count))
        relay = parse_relay(settings.EMAIL_URL)
        sessions = [
            await open_session(relay, lane=ready, timeouts=Timeouts(), depth=13)
            for _ in range(settings.SEND_CONNECTIONS)
        ]
        started, wall = time.process_time(), time.perf_counter()
        for session in sessions:
            session.pump()
        await asyncio.wait_for(ready.done.wait(), WAIT_SECONDS * 4)
        spent = time.process_time() - started, time.perf_counter() - wall
        for session in sessions:
            session.quit()
        return spent

    cpu, wall = uvloop.run(send())
    return {"us": cpu / int(count) * 1e6, "per_second": int(count) / wall}


def ledger(batch_id: str, group: str) -> dict[str, Any]:
    """Measure the processor time to claim and record the emails of a draft, ``group`` in a cycle. Nothing is sent."""
    job = _start(Batch.objects.get(pk=int(batch_id)))
    lane_id, database = Lane.objects.filter(job=job).earliest("number").pk, run_lane.database_parameters()

    async def run() -> tuple[int, float, float]:
        ledger_connection, count = await connect(database), 0
        taken = await run_lane.acquire_lane(ledger_connection, lane_id, worker="")
        assert taken is not None
        found = await afind_routes(ledger_connection, sender_id=taken.sender_id)
        ledger = Ledger(run_lane.make_spec(taken, database, routes=found.routes), ledger_connection)
        started, wall = time.process_time(), time.perf_counter()
        claimed: list[ClaimedEmail] = await ledger.cycle(int(group))
        while claimed:
            count += len(claimed)
            for each in claimed:
                ledger.add(Decision(each.id, EmailStatus.SENT, Outcome.SENT, 250, "2.0.0 Ok"))
            claimed = await ledger.cycle(int(group))
        spent = time.process_time() - started, time.perf_counter() - wall
        await ledger.cycle(0)
        await ledger.release()
        await ledger.close()
        return count, *spent

    count, cpu, wall = uvloop.run(run())
    lifecycle.finish_job(job.pk)
    return {"us": cpu / count * 1e6, "per_second": count / wall, "count": count}


STEPS = {
    step.__name__: step
    for step in (sign_in, list_people, fill_lists, load, suppress, start, pick_up, enqueue, render, smtp, ledger)
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.steps", description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("arguments", nargs="*")
    chosen = parser.parse_args()
    gc.freeze()  # as a worker does before it forks; otherwise a collection may visit all of Django during a measurement
    print(json.dumps(STEPS[chosen.step](*chosen.arguments)), flush=True)  # noqa: T201
    # Exit without an orderly shutdown, which costs 0.1 s of processor time. The batch that ``start`` started is being
    # measured now, and the web server that this process replaces would go on running.
    os._exit(0)


if __name__ == "__main__":
    main()
