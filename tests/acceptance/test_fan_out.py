"""What a hundred watchers of one batch cost the web process."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
from channels.db import database_sync_to_async
from django.contrib.auth.models import User
from websockets.asyncio.client import connect

from batches import progress
from batches.models import BatchStatus, JobStatus, Lane
from tests.acceptance.daphne import WebServer, run_daphne
from tests.conftest import MakeBatch, MakeJob

pytestmark = pytest.mark.django_db(transaction=True)

WATCHERS = 100
MESSAGES = 200


@pytest.fixture
def lane(make_batch: MakeBatch, make_job: MakeJob) -> Lane:
    """The lane of a batch that is being sent."""
    job = make_job(make_batch(BatchStatus.PROCESSING, pending=MESSAGES + 1), JobStatus.PROCESSING)
    return Lane.objects.create(job=job, number=0)


async def read_until(address: str, bearer: str, sent: int, joined: asyncio.Semaphore) -> int:
    """Watch a batch until its count of sent emails is this one. Returns how many snapshots came."""
    async with connect(address, additional_headers={"Authorization": bearer}) as client:
        received = 0
        async for message in client:
            received += 1
            joined.release()
            if json.loads(message)["sent"] == sent:
                return received
    return 0


def publish_count(lane: Lane, count: int) -> None:
    Lane.objects.filter(pk=lane.pk).update(sent_count=count)
    progress.publish(lane.job.batch_id)


async def watch_all(web: WebServer, lane: Lane) -> list[int]:
    publish = database_sync_to_async(publish_count, thread_sensitive=False)
    joined = asyncio.Semaphore(0)
    address = f"ws://127.0.0.1:{web.port}/ws/batches/{lane.job.batch_id}/"
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        watchers = [group.create_task(read_until(address, web.bearer, MESSAGES, joined)) for _ in range(WATCHERS)]
        for _ in watchers:
            await joined.acquire()
        for count in range(1, MESSAGES + 1):
            await publish(lane, count)
    return [watcher.result() for watcher in watchers]


def test_hundred_watchers_of_one_batch_cost_little(sender: User, lane: Lane, tmp_path: Path) -> None:
    with run_daphne(sender, tmp_path) as web:
        before = sum(web.process.cpu_times()[:2])
        received = asyncio.run(watch_all(web, lane))
        seconds = sum(web.process.cpu_times()[:2]) - before
        memory = web.process.memory_info().rss / 2**20
    sys.stderr.write(
        f"\n{WATCHERS} watchers, {MESSAGES} messages: {seconds:.1f} s of processor time, {max(received)} snapshots "
        f"each at most, {memory:.0f} MiB\n"
    )
    assert seconds < 8
