"""A real Valkey that is full, or a replica: nothing is lost, health and page say why, and sending goes on later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from batches.api.health import close_health
from batches.delivery.rate import REDIS_RETRY_SECONDS, RateGate
from batches.jobs import lifecycle, queues
from batches.jobs.redis_health import RedisFault, name_fault, probe
from batches.jobs.sweep import sweep
from batches.models import Batch, BatchStatus, EmailTemplate, JobStatus
from batches.progress import publish

LIST = b"name,email\nAda,ada@example.org\n"
FREE_PORT_OF_NOTHING = "1"

Refuse = Callable[[], None]


@pytest.fixture
def api(transactional_db: None) -> Client:
    EmailTemplate.objects.create(key="greeting", name="Greeting", subject="Hi", text="Hi {{ name }}", is_default=True)
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture(params=["full", "replica"])
def refuse(request: pytest.FixtureRequest) -> Iterator[Refuse]:
    """Let the real Valkey refuse writes until ``accept``."""
    client = queues.client()
    client.flushall()

    def start() -> None:
        if request.param == "full":
            client.config_set("maxmemory", 1)
            client.config_set("maxmemory-policy", "noeviction")
        else:
            client.replicaof("127.0.0.1", FREE_PORT_OF_NOTHING)

    yield start
    accept()
    client.flushall()


def accept() -> None:
    queues.client().replicaof("NO", "ONE")
    queues.client().config_set("maxmemory", 0)


def upload(api: Client) -> Batch:
    answer = api.post(
        "/api/upload", {"file": SimpleUploadedFile("list.csv", LIST)}, headers={"Idempotency-Key": "once"}
    )
    assert answer.status_code == 202, answer.content
    return Batch.objects.get(pk=answer.json()["batchId"])


def test_batch_is_stored_and_sent_later_when_redis_refuses_writes(api: Client, refuse: Refuse) -> None:
    refuse()
    batch = upload(api)
    assert batch.status == BatchStatus.PENDING and batch.total_count == 1
    assert queues.open_queue("default").count == 0
    assert sweep().enqueued == 0
    lifecycle.pause_batch(batch)
    lifecycle.resume_batch(batch)
    publish(batch.pk)
    assert batch.jobs.get().status == JobStatus.QUEUED
    accept()
    assert sweep().enqueued == 1
    lanes = [job for job in queues.open_queue("default").get_jobs() if (job.func_name or "").endswith("run_lane")]
    assert len(lanes) == 1  # beside it is the work item that lists the people of the batch


def test_health_and_page_say_why_when_redis_refuses_writes(
    api: Client, refuse: Refuse, request: pytest.FixtureRequest
) -> None:
    assert api.get("/api/health").status_code == 200
    refuse()
    close_health()  # otherwise the next answer is up to a second old
    answer = api.get("/api/health")
    word = "out of memory" if "full" in request.node.name else "a replica that accepts no writes"
    assert (answer.status_code, answer.json()["redis"], answer.json()["status"]) == (503, False, "unavailable")
    assert word in answer.json()["detail"]
    batch = upload(api)
    page = api.get(f"/batches/{batch.pk}/").content.decode()
    plain = "has no memory left" if "full" in request.node.name else "store anything"
    assert plain in page and "The batch is safe" in page
    assert "emailbatch_redis_up 0" in api.get("/metrics").content.decode()
    accept()
    close_health()
    assert api.get("/api/health").status_code == 200
    assert plain not in api.get(f"/batches/{batch.pk}/").content.decode()


def test_every_door_answers_when_redis_refuses_writes(api: Client, refuse: Refuse) -> None:
    refuse()
    draft = api.post("/api/upload", {"file": SimpleUploadedFile("list.csv", LIST), "draft": "true"}).json()["batchId"]
    assert api.post(f"/api/batches/{draft}/letters").status_code == 503
    assert "A part of the program can&#x27;t be used" in api.get(f"/batches/{draft}/review/letters/").content.decode()
    for path in ("/", "/batches/", f"/batches/{draft}/", f"/batches/{draft}/review/", "/admin/"):
        assert api.get(path).status_code == 200, path
    sent = api.post(f"/api/batches/{draft}/send", {}, "application/json")
    assert sent.status_code == 202
    assert api.post(f"/api/batches/{draft}/cancel").status_code == 200
    assert Client().get("/api/batches", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert Client().post("/accounts/login/", {"username": "root", "password": "x"}).status_code == 200


def test_health_warns_before_redis_is_full(api: Client) -> None:
    client = queues.client()
    client.config_set("maxmemory", int(client.info("memory")["used_memory"] * 1.05))
    try:
        answer = api.get("/api/health")
        share = probe(client).memory_share
    finally:
        client.config_set("maxmemory", 0)
    assert share is not None and 0.9 < share < 1
    assert answer.status_code == 200 and "of its memory. Raise its maxmemory" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), RedisFault.FULL),
        (ReadOnlyError("You can't write against a read only replica."), RedisFault.READ_ONLY),
        (BusyLoadingError("Redis is loading the dataset in memory"), RedisFault.LOADING),
        (ResponseError("MISCONF Redis is configured to save RDB snapshots"), RedisFault.REFUSING),
        (ConnectionError("Connection refused"), RedisFault.AWAY),
    ],
)
def test_error_of_a_write_is_named(error: RedisError, fault: RedisFault) -> None:
    assert name_fault(error) == fault


def test_lane_says_once_that_it_keeps_to_its_share(refuse: Refuse, caplog: pytest.LogCaptureFixture) -> None:
    """A full Valkey answers a PING, so the lane took it for one that is back, and said so twice a second."""
    rate = 100.0

    async def send(count: int) -> None:
        tokens = asyncio.Event()
        gate = RateGate(
            rate=rate,
            relay="test",
            redis_url=settings.REDIS_URL,
            on_tokens=tokens.set,
            count_lanes=lambda: asyncio.sleep(0, result=1),
        )
        fetching = asyncio.ensure_future(gate.run())
        while count:
            tokens.clear()
            if gate.spend():
                count -= 1
            else:
                await tokens.wait()
        fetching.cancel()
        await asyncio.gather(fetching, return_exceptions=True)

    refuse()
    asyncio.run(asyncio.wait_for(send(int(rate * REDIS_RETRY_SECONDS * 4)), 30))
    assert caplog.text.count("keeps to its share of the rate") == 1
    assert "Redis can't be used" in caplog.text
