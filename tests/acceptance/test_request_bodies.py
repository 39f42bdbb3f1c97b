"""Large and refused bodies through a real daphne: no request waits, memory stays flat, and 413 comes early."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from batches import intake
from batches.models import Batch
from tests.acceptance.daphne import WebServer, run_daphne

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 1024 * 1024
LIMIT_BYTES = 210 * MIB
BOUNDARY = "the-boundary"


@pytest.fixture
def web(sender: User, tmp_path: Path) -> Iterator[WebServer]:
    with run_daphne(sender, tmp_path, UPLOAD_MAX_BYTES=str(LIMIT_BYTES)) as server:
        yield server


class Watch(threading.Thread):
    """Measures the longest time of another request and the most memory of the server, while the block runs."""

    def __init__(self, server: WebServer) -> None:
        super().__init__(daemon=True)
        self.server, self.stopped = server, threading.Event()
        self.longest_seconds, self.most_bytes, self.count = 0.0, 0, 0

    def run(self) -> None:
        while not self.stopped.is_set():
            began = time.monotonic()
            assert self.server.get("/api/batches?limit=1")[0] == 200
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
            self.most_bytes = max(self.most_bytes, self.server.process.memory_info().rss)
            self.count += 1
            self.stopped.wait(0.02)

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stopped.set()
        self.join(30)


def form_ends() -> tuple[bytes, bytes]:
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="draft"\r\n\r\ntrue\r\n--{BOUNDARY}\r\n'
        'Content-Disposition: form-data; name="file"; filename="people.csv"\r\nContent-Type: text/csv\r\n\r\n'
    )
    return head.encode(), f"\r\n--{BOUNDARY}--\r\n".encode()


def make_file(size_bytes: int) -> Iterator[bytes]:
    """Yield a CSV of at least this size, with a long note in each row."""
    yield b"email,note\n"
    written, number = 11, 0
    while written < size_bytes:
        lines = b"".join(b"p%d@example.org,%s\n" % (number + step, b"x" * 4000) for step in range(256))
        number += 256
        written += len(lines)
        yield lines


def upload(server: WebServer, chunks: list[bytes], *, is_chunked: bool = False) -> tuple[int, dict[str, object]]:
    head, tail = form_ends()
    body = [head, *chunks, tail]
    headers = {"Authorization": server.bearer, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    if not is_chunked:
        headers["Content-Length"] = str(sum(map(len, body)))
    with closing(server.open()) as client:
        with suppress(OSError):  # the server may answer and stop reading before the body ends
            client.request("POST", "/api/upload", body=iter(body), headers=headers, encode_chunked=is_chunked)
        response = client.getresponse()
        return response.status, json.loads(response.read())


def test_other_requests_are_served_and_memory_stays_flat_when_200_mb_are_uploaded(web: WebServer) -> None:
    chunks = list(make_file(200 * MIB))
    with Watch(web) as watch:
        began = time.monotonic()
        status, answer = upload(web, chunks)
        seconds = time.monotonic() - began
    sys.stderr.write(
        f"\n200 MB in {seconds:.1f} s; the longest of {watch.count} other requests took "
        f"{watch.longest_seconds:.2f} s; {watch.most_bytes / MIB:.0f} MiB resident\n"
    )
    assert (status, answer["success"]) == (202, True)
    assert watch.count > 10
    assert watch.longest_seconds < 1
    assert watch.most_bytes < 400 * MIB


def test_answer_is_413_before_the_body_when_its_length_exceeds_the_limit(web: WebServer) -> None:
    with closing(web.open()) as client:
        client.putrequest("POST", "/api/upload")
        client.putheader("Content-Length", str(LIMIT_BYTES + MIB))
        client.putheader("Expect", "100-continue")
        client.endheaders()
        response = client.getresponse()  # no byte of the body was sent
        answer = json.loads(response.read())
    assert response.status == 413
    assert "Split it" in answer["detail"]
    assert web.get("/api/health")[0] == 200


def test_answer_is_a_page_before_the_body_when_a_form_without_script_is_too_long(web: WebServer) -> None:
    with closing(web.open()) as client:
        client.putrequest("POST", "/")
        client.putheader("Accept", "text/html,*/*;q=0.8")
        client.putheader("Content-Length", str(LIMIT_BYTES + MIB))
        client.endheaders()
        response = client.getresponse()  # no byte of the body was sent
        page = response.read().decode()
    assert response.status == 413
    assert 'role="alert">The list is larger' in page


def test_answer_is_413_when_a_body_without_length_exceeds_the_limit(web: WebServer) -> None:
    status, answer = upload(web, [b"x" * MIB] * 212, is_chunked=True)
    assert status == 413 and "Split it" in str(answer["detail"])
    assert not Batch.objects.exists()


def test_file_is_imported_when_it_comes_in_chunks(web: WebServer) -> None:
    status, answer = upload(web, [b"email\na@example.org\n"], is_chunked=True)
    assert (status, answer["totalEmails"]) == (202, 1)


def test_nothing_is_left_when_an_upload_breaks_off(web: WebServer) -> None:
    before = {file.path for file in web.process.open_files()}
    with closing(web.open()) as client:
        client.putrequest("POST", "/api/upload")
        client.putheader("Authorization", web.bearer)
        client.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
        client.putheader("Content-Length", str(10 * MIB))
        client.endheaders()
        client.send(form_ends()[0] + b"email\na@example.org\n" + b"x" * MIB)
    deadline = time.monotonic() + 10
    while {file.path for file in web.process.open_files()} - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not {file.path for file in web.process.open_files()} - before
    assert web.get("/api/health")[0] == 200
    assert not Batch.objects.exists()


def test_memory_stays_flat_when_a_download_is_not_read(web: WebServer, sender: User) -> None:
    recipients = [{"email": f"p{number}@example.org", "note": "x" * 4000} for number in range(25_000)]
    batch = intake.import_list(recipients, user=sender).batch
    web.get("/api/batches")
    before = web.process.memory_info().rss
    with closing(web.open()) as client:
        client.request("GET", f"/api/batches/{batch.pk}/results.csv", headers={"Authorization": web.bearer})
        response = client.getresponse()
        response.read(1)
        with Watch(web) as watch:
            watch.stopped.wait(3)
        assert watch.most_bytes - before < 80 * MIB
        assert len(response.read()) > 100_000_000
