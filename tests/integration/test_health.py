"""GET /api/health when the site has many visitors, and when PostgreSQL hangs or comes back."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import RequestFactory

from batches.api.health import get_health
from batches.api.shared_answer import SharedAnswer
from batches.jobs.database_health import APPLICATION_NAME, DatabaseProbe

pytestmark = pytest.mark.usefixtures("transactional_db")


@pytest.fixture
def probe() -> Iterator[DatabaseProbe]:
    probe = DatabaseProbe(answer_seconds=0.5)
    yield probe
    probe.close()


def find_backends() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", [APPLICATION_NAME])
        return [pid for (pid,) in cursor.fetchall()]


async def test_health_is_ok_when_no_thread_for_requests_is_free() -> None:
    release = threading.Event()
    busy = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(busy)
    busy.submit(release.wait)
    try:
        answer = await asyncio.wait_for(get_health(RequestFactory().get("/api/health")), 20)
    finally:
        release.set()
    assert answer.status_code == 200 and answer.value.database


def test_database_is_up_when_the_server_has_closed_the_kept_connection(probe: DatabaseProbe) -> None:
    assert probe.is_up()
    [backend] = find_backends()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [backend])
    assert probe.is_up()
    assert find_backends() != [backend]


def test_database_is_away_when_its_process_hangs(probe: DatabaseProbe) -> None:
    assert probe.is_up()
    [backend] = find_backends()
    os.kill(backend, signal.SIGSTOP)
    try:
        assert not probe.is_up()
    finally:
        os.kill(backend, signal.SIGCONT)
    assert probe.is_up()


async def test_question_is_asked_once_when_many_callers_come_at_once() -> None:
    numbers = itertools.count(1)
    question = SharedAnswer(lambda: next(numbers), name="test")
    assert await asyncio.gather(*(question.get() for _ in range(100))) == [1] * 100
    question.run(lambda: None)
    assert await question.get() == 2
