"""A relay that records, and batches ready to be sent."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator

import pytest
from django.conf import LazySettings

from batches.delivery.ledger import connect
from batches.delivery.spec import RouteSpec
from batches.jobs import creation
from batches.jobs.run_lane import acquire_lane, database_parameters, make_spec
from batches.models import Batch, BatchSource, Email, EmailTemplate, Lane
from batches.relays import afind_routes
from batches.suppressions import make_digests, read_key
from tests.integration.jobs.ledgers import LedgerOnLine, Line, OpenLedger, Run
from tests.integration.jobs.whole_jobs import run_to_end
from tests.smtpserver import Behaviour, RunningServer

MakeBatch = Callable[..., Batch]
SendAll = Callable[..., Batch]


@pytest.fixture(scope="session")
def recording_server() -> Iterator[RunningServer]:
    with RunningServer() as running:
        yield running


@pytest.fixture
def relay(recording_server: RunningServer, settings: LazySettings) -> Iterator[RunningServer]:
    """A polite relay that the lanes of this test send to."""
    recording_server.become(Behaviour())
    settings.EMAIL_URL = recording_server.url
    settings.SEND_RETRY_SECONDS = 0.05
    settings.SEND_FINAL_REPLY_TIMEOUT_SECONDS = 1
    settings.SEND_REPLY_TIMEOUT_SECONDS = 1
    yield recording_server


@pytest.fixture
def template(transactional_db: None) -> EmailTemplate:
    return EmailTemplate.objects.create(
        key="greeting", name="Greeting", subject="Hello {{ name }}", html="<p>{{ name }}</p>", text="Hi {{ name }}"
    )


_BATCH_NUMBERS = itertools.count(1)


@pytest.fixture
def make_batch(transactional_db: None) -> MakeBatch:
    """``make_batch(count)``, or ``make_batch(addresses=[...])``: a draft. No two tests share an address: one relay
    serves them all."""

    def make(count: int = 0, *, addresses: list[str] | None = None) -> Batch:
        tag = f"b{next(_BATCH_NUMBERS)}"
        wanted = addresses or [f"{tag}-{number}@example.org" for number in range(count)]
        batch = Batch.objects.create(
            filename="list.csv", source=BatchSource.UPLOAD, merge_fields=["name"], total_count=len(wanted)
        )
        digests = make_digests(read_key(), wanted)
        Email.objects.bulk_create(
            Email(batch=batch, row=row, address=address, address_digest=digest, fields=[f"Zoë {row}"])
            for row, (address, digest) in enumerate(zip(wanted, digests, strict=True), start=2)
        )
        return batch

    return make


@pytest.fixture
def send_all(relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate) -> SendAll:
    """``send_all(count)`` or ``send_all(addresses=[...])``: a batch whose first send has ended."""

    def send(count: int = 0, *, addresses: list[str] | None = None) -> Batch:
        batch = make_batch(count, addresses=addresses)
        run_to_end(creation.create_job(batch, template=template, user=None))
        batch.refresh_from_db()
        return batch

    return send


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def open_ledger(run: Run, template: EmailTemplate) -> Iterator[OpenLedger]:
    """The ledgers of lanes just acquired, connected until the test's end."""
    opened: list[LedgerOnLine] = []

    async def take(lane: Lane, routes: tuple[RouteSpec, ...]) -> LedgerOnLine:
        database = database_parameters()
        ledger_connection = await connect(database)
        acquired = await acquire_lane(ledger_connection, lane.pk, worker="")
        assert acquired is not None
        found = await afind_routes(ledger_connection, sender_id=acquired.sender_id)
        return LedgerOnLine(make_spec(acquired, database, routes=routes or found.routes), Line(ledger_connection))

    def open_one(batch: Batch, *, lane_number: int = 0, routes: tuple[RouteSpec, ...] = ()) -> LedgerOnLine:
        job = batch.jobs.order_by("pk").last() or creation.create_job(batch, template=template, user=None)
        lane, _ = Lane.objects.get_or_create(job=job, number=lane_number)
        opened.append(run(take(lane, routes)))
        return opened[-1]

    yield open_one
    for ledger in opened:
        run(ledger.close())
