"""Batch and job are made together or not at all, also when the web process is killed in between."""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing, suppress
from http.client import HTTPException
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from batches.models import Batch, Email, EmailJob, EmailTemplate
from tests.acceptance.daphne import WebServer, run_daphne

pytestmark = pytest.mark.django_db(transaction=True)

BOUNDARY = "the-boundary"
FORM = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="people.csv"\r\n\r\n'
    f"email,name\r\nann@example.org,Ann\r\n\r\n--{BOUNDARY}--\r\n"
).encode()
LIST = json.dumps({"recipients": [{"email": "ann@example.org", "name": "Ann"}]}).encode()
DOORS = {
    "/api/upload": (FORM, f"multipart/form-data; boundary={BOUNDARY}"),
    "/api/emails/send-bulk": (LIST, "application/json"),
}


def post(web: WebServer, path: str) -> dict[str, object]:
    body, content_type = DOORS[path]
    with closing(web.open()) as client:
        headers = {"Authorization": web.bearer, "Content-Type": content_type, "Idempotency-Key": "k1"}
        client.request("POST", path, body=body, headers=headers)
        response = client.getresponse()
        answer: dict[str, object] = json.loads(response.read())
        assert response.status == 202, answer
        return answer


def wait_until_the_job_is_inserted() -> None:
    """Wait until another connection waits for the lock on the table of the jobs."""
    deadline = time.monotonic() + 20
    with connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.parametrize("path", DOORS)
def test_nothing_is_left_when_web_dies_between_batch_and_job_and_a_retry_makes_one(
    sender: User, welcome: EmailTemplate, tmp_path: Path, path: str
) -> None:
    def post_in_vain() -> None:
        with suppress(OSError, HTTPException):
            post(web, path)

    with run_daphne(sender, tmp_path) as web:
        poster = threading.Thread(target=post_in_vain)
        with transaction.atomic():
            connection.cursor().execute("LOCK TABLE batches_emailjob IN EXCLUSIVE MODE")
            poster.start()
            wait_until_the_job_is_inserted()
            web.process.kill()
            web.process.wait(10)
        poster.join(10)
    assert not Batch.objects.exists() and not Email.objects.exists()

    with run_daphne(sender, tmp_path) as web:
        answers = {post(web, path)["jobId"] for _ in range(3)}
    assert answers == {EmailJob.objects.get().pk}
    assert Email.objects.count() == 1
