"""Event streams and websockets through a real daphne."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPResponse
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from websockets.sync.client import connect

from batches import intake
from batches.jobs import creation
from batches.models import Batch, EmailTemplate, Lane
from tests.acceptance.daphne import WebServer, run_daphne

pytestmark = pytest.mark.django_db(transaction=True)

POOL_SIZE = 3


@pytest.fixture
def web(sender: User, tmp_path: Path) -> Iterator[WebServer]:
    with run_daphne(sender, tmp_path, DATABASE_POOL_SIZE=str(POOL_SIZE)) as server:
        yield server


@pytest.fixture
def batch(sender: User, welcome: EmailTemplate) -> Batch:
    batch = intake.import_list([{"email": f"p{n}@example.org", "name": "P"} for n in range(3)], user=sender).batch
    creation.create_job(batch, template=welcome, user=sender)
    return batch


def read_event(response: HTTPResponse) -> dict[str, object]:
    while not (line := response.readline()).startswith(b"data: "):
        assert line, "the stream ended"
    event: dict[str, object] = json.loads(line.removeprefix(b"data: "))
    return event


def test_requests_are_answered_when_more_streams_are_open_than_the_pool_has_connections(
    web: WebServer, batch: Batch
) -> None:
    with ExitStack() as opened:
        responses = []
        for _ in range(POOL_SIZE * 5):
            client = opened.enter_context(closing(web.open()))
            client.request("GET", f"/api/batches/{batch.pk}/stream", headers={"Authorization": web.bearer})
            responses.append(client.getresponse())
            assert read_event(responses[-1])["sent"] == 0
        # A request that gets no connection from the pool waits for one, and is then not answered with 200.
        began = time.monotonic()
        assert web.get("/api/batches")[0] == 200
        assert time.monotonic() - began < 5
        Lane.objects.filter(job__batch=batch, number=0).update(sent_count=2)
        assert [read_event(response)["sent"] for response in responses] == [2] * len(responses)
    assert web.get("/api/health")[0] == 200


def test_snapshots_come_when_a_program_opens_a_socket_with_its_token(web: WebServer, batch: Batch) -> None:
    url = f"ws://127.0.0.1:{web.port}/ws/batches/{batch.pk}/"
    with connect(url, additional_headers={"Authorization": web.bearer}, open_timeout=10) as client:
        assert json.loads(client.recv(timeout=10))["sent"] == 0
        Lane.objects.filter(job__batch=batch, number=0).update(sent_count=3)
        assert json.loads(client.recv(timeout=10))["sent"] == 3
