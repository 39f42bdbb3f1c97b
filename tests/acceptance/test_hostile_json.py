"""JSON that is made to fill the memory or to hold the processor, through a real daphne."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from batches.models import Batch, EmailTemplate
from tests.acceptance.daphne import WebServer, run_daphne

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 1024 * 1024
LIST_BYTES = 16 * MIB - 100
SMALL_BYTES = MIB - 100


@pytest.fixture
def web(sender: User, welcome: EmailTemplate, tmp_path: Path) -> Iterator[WebServer]:
    with run_daphne(sender, tmp_path) as server:
        yield server


def fill(head: bytes, item: bytes, tail: bytes, size: int) -> bytes:
    count = (size - len(head) - len(tail)) // (len(item) + 1)
    return head + b",".join([item] * count) + tail


def number(head: bytes, item: bytes, tail: bytes, size: int) -> bytes:
    """As ``fill``, with another name in each item."""
    count = (size - len(head) - len(tail)) // (len(item) + 7)
    return head + b",".join(item % index for index in range(count)) + tail


LISTS: dict[str, Callable[[], bytes]] = {
    "numbers": lambda: fill(b'{"recipients":[', b"1", b"]}", LIST_BYTES),
    "floats": lambda: fill(b'{"recipients":[', b"1.5", b"]}", LIST_BYTES),
    "nulls": lambda: fill(b'{"recipients":[', b"null", b"]}", LIST_BYTES),
    "empty objects": lambda: fill(b'{"recipients":[', b"{}", b"]}", LIST_BYTES),
    "empty lists": lambda: fill(b'{"recipients":[', b"[]", b"]}", LIST_BYTES),
    "small objects": lambda: fill(b'{"recipients":[', b'{"a":[]}', b"]}", LIST_BYTES),
    "short texts": lambda: fill(b'{"recipients":[', b'"ab"', b"]}", LIST_BYTES),
    "many merge fields": lambda: number(b'{"recipients":[{', b'"%07d":1', b"}]}", LIST_BYTES),
    "a list in the place of a text": lambda: fill(b'{"subject":[', b"1", b"]}", LIST_BYTES),
    "a list at the root": lambda: fill(b"[", b"1", b"]", LIST_BYTES),
    "unknown fields": lambda: number(b"{", b'"%07d":1', b"}", LIST_BYTES),
    "one wrong in many": lambda: fill(b'{"recipients":[', b'"ann@example.org"', b",7]}", LIST_BYTES),
    "a long text": lambda: b'{"subject":"' + b"a" * LIST_BYTES + b'"}',
    "a long name": lambda: b'{"' + b"a" * LIST_BYTES + b'":1}',
    "levels": lambda: b"[" * LIST_BYTES,
}
SMALL: dict[str, tuple[str, Callable[[], bytes]]] = {
    "names": ("/api/batches/1/fields", lambda: number(b'{"names":{', b'"%07d":1', b"}}", SMALL_BYTES)),
    "fields": ("/api/templates/welcome_email/preview", lambda: number(b'{"fields":{', b'"%07d":1', b"}}", SMALL_BYTES)),
    "columns": ("/api/batches/1/reread", lambda: fill(b'{"addressColumns":[', b"-1", b"]}", SMALL_BYTES)),
    "columns as text": ("/api/batches/1/reread", lambda: b'{"addressColumns":["' + b"1," * (SMALL_BYTES // 2) + b'"]}'),
    "unknown fields": ("/api/batches/1/send", lambda: number(b"{", b'"%07d":1', b"}", SMALL_BYTES)),
}


class Watch(threading.Thread):
    """Measures the most memory of the server and the longest time of another request, while the block runs."""

    def __init__(self, web: WebServer) -> None:
        super().__init__(daemon=True)
        self.web, self.stopped = web, threading.Event()
        self.most_bytes, self.longest_seconds, self.count = 0, 0.0, 0

    def run(self) -> None:
        while not self.stopped.is_set():
            began = time.monotonic()
            assert self.web.get("/api/batches?limit=1")[0] == 200
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
            self.most_bytes = max(self.most_bytes, self.web.process.memory_info().rss)
            self.count += 1
            self.stopped.wait(0.01)

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stopped.set()
        self.join(60)


def post(web: WebServer, path: str, body: bytes) -> tuple[int, bytes]:
    with closing(web.open()) as client:
        headers = {"Authorization": web.bearer, "Content-Type": "application/json"}
        client.request("POST", path, body=body, headers=headers)
        response = client.getresponse()
        return response.status, response.read()


def test_memory_and_others_are_spared_when_a_list_is_hostile(web: WebServer) -> None:
    for name, make in LISTS.items():
        body = make()
        with Watch(web) as watch:
            status, answer = post(web, "/api/emails/send-bulk", body)
        peak = watch.most_bytes / MIB
        sys.stderr.write(f"\n{name}: {status}, {len(answer)} B, others {watch.longest_seconds:.2f} s, {peak:.0f} MiB")
        assert status == 422 and len(answer) < 4000, name
        assert len(json.loads(answer).get("errors", [])) <= 10, name
        assert watch.longest_seconds < 2, name
        assert watch.most_bytes < 400 * MIB, name
    assert not Batch.objects.exists()


def test_memory_and_others_are_spared_when_a_mapping_is_hostile(web: WebServer) -> None:
    for name, (path, make) in SMALL.items():
        with Watch(web) as watch:
            began = time.monotonic()
            status, answer = post(web, path, make())
            seconds = time.monotonic() - began
        assert status == 422 and len(answer) < 4000, (name, answer[:300])
        assert len(json.loads(answer).get("errors", [])) <= 10, name
        assert seconds < 2 and watch.longest_seconds < 2, name
        assert watch.most_bytes < 400 * MIB, name


def test_memory_is_spared_when_a_real_list_is_as_long_as_may_be(web: WebServer) -> None:
    item = b'{"email":"p%07d@example.org","name":"Ann Person","age":41}'
    body = number(b'{"recipients":[', item, b"]}", LIST_BYTES)
    with Watch(web) as watch:
        status, answer = post(web, "/api/emails/send-bulk", body)
    sys.stderr.write(f"\n{answer!r}: others {watch.longest_seconds:.2f} s, {watch.most_bytes / MIB:.0f} MiB\n")
    assert status == 202 and json.loads(answer)["totalCount"] > 200_000
    assert watch.most_bytes < 400 * MIB
    assert watch.longest_seconds < 2
