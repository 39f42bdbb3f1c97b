"""Whatever somebody wrote into Redis: no worker and no page runs it, calls it, or ends because of it."""

from __future__ import annotations

import http.server
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from rq.exceptions import NoSuchJobError
from rq.executions import WORKER_EXECUTIONS_KEY_TEMPLATE
from rq.job import Job, JobStatus
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer

from batches.jobs import queues, rq_jobs
from batches.jobs.queues import WorkItem
from batches.worker import Worker

ITEM = WorkItem(job_id=7, lane_id=12, token=3, priority="default")
CALLBACK = "tests.integration.jobs.test_rq_jobs.leave_a_mark"
REGISTRIES = ("wip", "failed", "finished", "deferred", "scheduled", "canceled", "ready")
PROJECT_DIR = Path(__file__).resolve().parents[3]


def leave_a_mark(*arguments: object) -> None:
    """What a hostile entry would have a worker call."""
    Path(os.environ["MARKS"]).touch()


@pytest.fixture(autouse=True)
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that exists if a callback was called."""
    monkeypatch.setenv("MARKS", str(tmp_path / "mark"))
    queues.client().flushdb()
    yield tmp_path / "mark"
    queues.client().flushdb()


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[str]]]:
    """An address, and the paths that were asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        do_GET = do_POST

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/mark", asked
        server.shutdown()


def write_hostile(job_id: str, url: str, *, status: JobStatus = JobStatus.STARTED) -> None:
    """Write a job as RQ would, with everything that RQ would run beside its function."""
    hooks = [{"url": url, "job_status": state, "method": "POST"} for state in ("failed", "finished")]
    queues.client().hset(
        f"rq:job:{job_id}",
        mapping={
            "data": json.dumps([queues.RUN_LANE, None, [], {"lane_id": 1}]),
            "status": status.value,
            "origin": "default",
            "created_at": "2026-01-01T00:00:00.000000Z",
            **{f"{name}_callback_name": CALLBACK for name in ("success", "failure", "stopped")},
            "webhooks": json.dumps(hooks),
            "retries_left": 5,
            "repeats_left": 5,
            "dependency_ids": json.dumps(["other"]),
            "rate_limit_key": "mine",
            "rate_limit_concurrency": 1,
            "meta": "no json",
        },
    )


def make_worker() -> Worker:
    return Worker([queues.open_queue("default"), queues.open_queue("high")], connection=queues.client())


def run_worker() -> subprocess.CompletedProcess[str]:
    """Run a real worker until its queues are empty."""
    return subprocess.run(
        [sys.executable, "manage.py", "rqworker", "high", "default", "--burst"],
        env={**os.environ, "PYTHONPATH": str(PROJECT_DIR)},
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        timeout=60,
    )


def clean_as_a_worker() -> None:
    make_worker().run_maintenance_tasks()


def clean_as_a_page() -> None:
    """django-rq's pages make the registry of RQ's own class."""
    StartedJobRegistry("default", queues.client(), serializer=JSONSerializer).get_job_ids()


@pytest.mark.parametrize("clean", [clean_as_a_worker, clean_as_a_page])
def test_nothing_is_called_when_a_registry_is_cleaned(
    mark: Path, webhook: tuple[str, list[str]], clean: Callable[[], None]
) -> None:
    url, asked = webhook
    for registry in REGISTRIES:
        write_hostile(f"evil-{registry}", url)
        member = f"evil-{registry}:execution" if registry == "wip" else f"evil-{registry}"
        queues.client().zadd(f"rq:{registry}:default", {member: 1})
    clean()
    assert not mark.exists()
    assert asked == []
    assert queues.client().zcard("rq:wip:default") == 0


def test_hostile_entry_of_a_queue_is_dropped(mark: Path, webhook: tuple[str, list[str]]) -> None:
    url, asked = webhook
    write_hostile("evil", url, status=JobStatus.QUEUED)
    queues.client().rpush("rq:queue:default", "evil")
    worked = run_worker()
    assert worked.returncode == 0, worked.stderr
    assert "Find out who put it there" in worked.stderr
    assert not mark.exists()
    assert asked == []
    assert not queues.client().exists("rq:job:evil")


ODD_FIELDS: list[tuple[str, str | bytes]] = [
    ("created_at", "yesterday"),
    ("timeout", "soon"),
    ("status", "odd"),
    ("result_ttl", "x"),
    ("data", ""),
    ("origin", b"\xff"),
    ("last_heartbeat", b"\x00"),
]


def test_worker_goes_on_when_entries_cannot_be_read(mark: Path) -> None:
    for number, (key, value) in enumerate(ODD_FIELDS):
        write_hostile(f"evil{number}", "http://127.0.0.1:9/", status=JobStatus.QUEUED)
        queues.client().hset(f"rq:job:evil{number}", key, value)
        queues.client().rpush("rq:queue:default", f"evil{number}")
    queues.client().set("rq:job:text", "no hash")
    queues.client().rpush("rq:queue:default", "two words", b"\xff\xfe", "missing", "text")
    worked = run_worker()
    assert worked.returncode == 0, worked.stderr
    assert "unhandled exception" not in worked.stderr
    assert queues.client().llen("rq:queue:default") == 0
    assert not mark.exists()


def test_job_that_is_no_hash_does_not_exist() -> None:
    queues.client().set("rq:job:evil", "text")
    with pytest.raises(NoSuchJobError):
        Job.fetch("evil", connection=queues.client(), serializer=JSONSerializer)


def test_registries_of_a_wrong_kind_end_no_worker(caplog: pytest.LogCaptureFixture) -> None:
    queues.client().set("rq:wip:default", "text")
    clean_as_a_worker()
    assert "could not be cleaned" in caplog.text or "Redis can't be used" in caplog.text


def test_command_in_redis_reaches_no_worker() -> None:
    worker = make_worker()
    worker.subscribe()
    assert queues.client().publish(worker.pubsub_channel_name, json.dumps({"command": "kill-horse"})) == 0


def test_our_own_abandoned_check_is_still_found_failed() -> None:
    queues.enqueue_check("abc", turn=0)
    queues.client().hset("rq:job:letters-abc-0", "status", "started")
    queues.client().zadd("rq:wip:default", {"letters-abc-0:execution": time.time() - 1})
    clean_as_a_worker()
    assert queues.has_check_failed("abc", turn=0)


def test_foreign_parts_are_seen_and_our_own_have_none() -> None:
    queues.enqueue([ITEM])
    job = Job.fetch(ITEM.id, connection=queues.client(), serializer=JSONSerializer)
    assert not rq_jobs.has_foreign_parts(job)
    write_hostile("evil", "http://127.0.0.1:9/")
    assert rq_jobs.has_foreign_parts(Job.fetch("evil", connection=queues.client(), serializer=JSONSerializer))


def test_page_of_the_registry_calls_nothing(admin_client: Client, mark: Path, webhook: tuple[str, list[str]]) -> None:
    url, asked = webhook
    write_hostile("evil", url)
    queues.client().zadd("rq:wip:default", {"evil:execution": 1})
    for path in ("", "stats.json", *(f"queues/{index}/{name}/" for index in (0, 1) for name in ("started", "failed"))):
        assert admin_client.get(f"/admin/django_rq/dashboard/{path}").status_code == 200, path
    assert not mark.exists()
    assert asked == []


class Mark:
    """Leaves a mark where pickle reads it."""

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return leave_a_mark, ()


BIRTH = "2026-01-01T00:00:00.000000Z"


def write_running(job_id: str, data: bytes) -> None:
    """Write a job that a worker seems to run now, as RQ would."""
    client = queues.client()
    client.hset(f"rq:job:{job_id}", mapping={"data": data, "status": "started", "origin": "default"})
    client.hset(f"rq:execution:{job_id}:e1", mapping={"id": "e1", "created_at": "1", "last_heartbeat": "1"})
    client.zadd("rq:wip:default", {f"{job_id}:e1": time.time() + 600})
    client.sadd("rq:workers", "rq:worker:forged")
    client.hset(
        "rq:worker:forged",
        mapping={"queues": "default", "current_job": job_id, "state": "busy", "birth": BIRTH, "last_heartbeat": BIRTH},
    )
    client.sadd(WORKER_EXECUTIONS_KEY_TEMPLATE.format("forged"), f"{job_id}:e1")


DEFAULT_QUEUE = sorted(settings.RQ_QUEUES).index("default")
RUNNING = ("queues/{}/started/", "workers/{}/rq:worker:forged/")
"""The pages of jobs that run now. RQ reads the job there in its default format."""


@pytest.mark.parametrize("page", RUNNING)
def test_page_of_what_runs_now_unpickles_nothing(admin_client: Client, mark: Path, page: str) -> None:
    write_running("evil", pickle.dumps(Mark()))
    admin_client.raise_request_exception = False
    admin_client.get("/admin/django_rq/dashboard/" + page.format(DEFAULT_QUEUE))
    assert not mark.exists()


@pytest.mark.parametrize("page", RUNNING)
def test_page_of_what_runs_now_names_the_function(admin_client: Client, page: str) -> None:
    write_running("ours", json.dumps([queues.RUN_LANE, None, [], {"lane_id": 1}]).encode())
    answer = admin_client.get("/admin/django_rq/dashboard/" + page.format(DEFAULT_QUEUE))
    assert queues.RUN_LANE in answer.content.decode()
