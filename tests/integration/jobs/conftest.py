"""A relay that records, and batches ready to be sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.conf import LazySettings

from batches.jobs import queues
from batches.models import Batch, BatchSource, Email, EmailTemplate
from tests.smtpserver import Behaviour, RunningServer

MakeBatch = Callable[..., Batch]


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


@pytest.fixture(autouse=True)
def empty_redis() -> None:
    queues._redis().flushall()


@pytest.fixture
def template(transactional_db: None) -> EmailTemplate:
    return EmailTemplate.objects.create(
        key="greeting", name="Greeting", subject="Hello {{ name }}", html="<p>{{ name }}</p>", text="Hi {{ name }}"
    )


@pytest.fixture
def make_batch(transactional_db: None) -> MakeBatch:
    """``make_batch(count)``, or ``make_batch(addresses=[...])``: a draft."""
    made: list[int] = []

    def make(count: int = 0, *, addresses: list[str] | None = None) -> Batch:
        made.append(1)
        tag = f"b{len(made)}-{queues._redis().incr('tests:batch')}-{id(made)}"
        wanted = addresses or [f"{tag}-{number}@example.org" for number in range(count)]
        batch = Batch.objects.create(
            filename="list.csv", source=BatchSource.UPLOAD, merge_fields=["name"], total_count=len(wanted)
        )
        Email.objects.bulk_create(
            Email(batch=batch, row=row, address=address, fields=[f"Zoë {row}"])
            for row, address in enumerate(wanted, start=2)
        )
        return batch

    return make
