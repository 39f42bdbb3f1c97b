"""A real ``manage.py rqworker``: asked to stop, killed, without Redis, and with strange entries in its queue."""

from __future__ import annotations

import contextlib
import datetime
import json
import pickle
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from batches.jobs import queues
from batches.models import EmailStatus
from tests.chaos.stack import Stack, run_command, wait_until
from tests.chaos.trial import write_recipients
from tests.chaos.workers import Worker
from tests.smtpserver import Behaviour, Rule

DRAIN_SECONDS = 10
"""How long a worker may take to drain when its relay answers."""

SLOW_SECONDS = 8
"""How long a relay keeps silent while a worker drains."""

WINDOW = 128
"""The default of SEND_WINDOW."""

FEW_IN_FLIGHT = {"SEND_WINDOW": "16"}
"""So that little waits for its reply when a test lets a slow relay be fast again."""

SEEN_SECONDS = 8
"""How long it may take until the whole fleet is seen again, after Redis came back or was emptied."""

SAME_SIGNAL_SECONDS = 1
"""RQ takes two SIGTERMs within a second for one, because a supervisor may send it to the whole process group."""


def start_batch(stack: Stack, count: int, **behaviour: Any) -> int:
    """Make the relay behave in this way, load a batch, and start its job."""
    stack.smtp.become(Behaviour(**behaviour))
    addresses = [f"w{count}-{number:05d}@example.org" for number in range(count)]
    return stack.send_batch(write_recipients(stack.folder / "recipients.csv", addresses))


def statuses(stack: Stack) -> Counter[str]:
    with stack.services.connect() as connection:
        rows = connection.execute("SELECT status, count(*) FROM batches_email GROUP BY 1").fetchall()
    return Counter(dict(rows))


def count_claimed(stack: Stack) -> int:
    with stack.services.connect() as connection:
        row = connection.execute("SELECT coalesce(sum(cardinality(claimed_rows)), 0) FROM batches_lane").fetchone()
    assert row is not None
    return int(row[0])


def accepted(stack: Stack) -> Counter[str]:
    return Counter(entry.recipient for entry in stack.smtp.accepted())


def wait_for_accepted(stack: Stack, count: int) -> None:
    wait_until(lambda: stack.smtp.stats()["accepted"] >= count, seconds=30, what=f"{count} messages")


def wait_for_end(stack: Stack, count: int, *, seconds: float = 40) -> None:
    wait_until(lambda: statuses(stack)[EmailStatus.SENT] == count, seconds=seconds, what="everything to be sent")


def wait_for_fleet(workers: int, *, seconds: float = SEEN_SECONDS) -> None:
    wait_until(lambda: queues.fleet_status().workers == workers, seconds=seconds, what=f"{workers} workers to be seen")


def test_rest_is_given_back_within_seconds_when_worker_is_asked_to_stop(stack: Stack) -> None:
    worker = stack.start_worker()
    start_batch(stack, 2000, rate=100)
    wait_for_accepted(stack, 200)
    worker.terminate()
    assert worker.wait(seconds=DRAIN_SECONDS) == 0
    counts = statuses(stack)
    assert set(counts) == {EmailStatus.SENT, EmailStatus.PENDING}
    assert sum(accepted(stack).values()) == counts[EmailStatus.SENT] < 2000
    with stack.services.connect() as connection:
        attempted = connection.execute("SELECT count(*) FROM batches_email WHERE status = 'pending' AND attempts > 0")
        assert attempted.fetchone() == (0,)
    stack.smtp.configure(rate=0)
    stack.start_worker()
    wait_for_end(stack, 2000)
    assert set(accepted(stack).values()) == {1}


def test_command_without_the_setting_sends_from_the_address_of_the_running_worker(stack: Stack) -> None:
    stack.start_worker(environment={"DEFAULT_FROM_EMAIL": "News <news@example.org>"})
    assert "DEFAULT_FROM_EMAIL" not in stack.environment
    start_batch(stack, 1)
    with stack.services.connect() as connection:
        assert connection.execute("SELECT from_email FROM batches_emailjob").fetchone() == ("News <news@example.org>",)


def test_nothing_is_sent_twice_when_relay_is_slow_to_answer_a_stopping_worker(stack: Stack) -> None:
    worker = stack.start_worker()
    start_batch(stack, 2000, rate=500)
    wait_for_accepted(stack, 300)
    accepted_count = stack.smtp.configure(blackhole=True)["accepted"]

    def is_window_unanswered() -> bool:
        return statuses(stack)[EmailStatus.SENT] == accepted_count and count_claimed(stack) == WINDOW

    wait_until(is_window_unanswered, seconds=30, what="a whole window to be in flight at a silent relay")
    worker.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        worker.process.wait(timeout=SLOW_SECONDS)  # The worker waits for the relay, so that no email is in doubt.
    stack.smtp.configure(rate=0, blackhole=False)
    assert worker.wait(seconds=DRAIN_SECONDS) == 0
    assert (statuses(stack)[EmailStatus.SENDING], count_claimed(stack)) == (0, 0)
    stack.start_worker()
    wait_for_end(stack, 2000)
    assert set(accepted(stack).values()) == {1}


def seconds_since_stop(stack: Stack) -> float:
    """How long ago a worker noted that it was asked to stop; 0 if none has."""
    with contextlib.closing(stack.services.redis()) as client:
        keys: set[bytes] = client.smembers("rq:workers")  # type: ignore[assignment]
        dates: list[bytes | None] = [client.hget(key, "shutdown_requested_date") for key in keys]  # type: ignore[misc]
    asked = [datetime.datetime.fromisoformat(date.decode()) for date in dates if date]
    return max(((datetime.datetime.now(datetime.UTC) - each).total_seconds() for each in asked), default=0)


def test_second_worker_takes_over_at_once_when_first_is_told_to_stop_twice(stack: Stack) -> None:
    worker = stack.start_worker(environment={"SEND_LEASE_SECONDS": "60"})
    start_batch(stack, 500, rules=(Rule(stage="reply", action="hang"),))
    wait_until(lambda: stack.smtp.stats()["strikes"] > 0, seconds=20, what="a connection to hang")
    worker.terminate()
    wait_until(lambda: seconds_since_stop(stack) > SAME_SIGNAL_SECONDS, seconds=20, what="a second signal to count")
    worker.terminate()
    worker.wait(seconds=20)  # The relay hangs for ever, so a worker that waited for it would still be there.
    stack.smtp.become(Behaviour())
    stack.start_worker(environment={"SEND_LEASE_SECONDS": "60", "SEND_RETRY_SECONDS": "0.2"})
    wait_for_end(stack, 500, seconds=40)  # The lease would have run out later.
    assert len(accepted(stack)) == 500


def start_busy_and_idle_worker(stack: Stack) -> list[Worker]:
    """Start two workers and a batch with one lane: one worker is busy for longer than Redis has its fault."""
    workers = [stack.start_worker(environment=FEW_IN_FLIGHT, wait=False) for _ in range(2)]
    wait_for_fleet(2, seconds=30)
    start_batch(stack, 300, rate=6)
    wait_for_accepted(stack, 5)
    return workers


def wait_ten_seconds() -> None:
    began = time.monotonic()
    wait_until(lambda: time.monotonic() > began + 10, seconds=11, what="ten seconds to pass")


def assert_both_go_on(stack: Stack, workers: list[Worker]) -> None:
    """Let the batch end, and send another one."""
    stack.smtp.configure(rate=0)
    wait_for_end(stack, 300)
    assert set(accepted(stack).values()) == {1}
    assert not any(worker.has_ended() for worker in workers)
    start_batch(stack, 1000)
    wait_for_end(stack, 1300)


def test_workers_go_on_and_are_seen_again_when_redis_was_away(stack: Stack) -> None:
    workers = start_busy_and_idle_worker(stack)
    stack.services.stop("redis")
    assert not queues.fleet_status().redis
    wait_ten_seconds()
    stack.services.start_redis()
    wait_for_fleet(2)
    assert count_claimed(stack) > 0, "one worker was to be busy all the while"
    assert_both_go_on(stack, workers)
    with stack.services.connect() as connection:
        row = connection.execute("SELECT count(DISTINCT worker) FROM batches_lane WHERE sent_count > 0").fetchone()
    assert row == (2,)


@pytest.mark.parametrize("fault", ["full", "replica"])
def test_workers_go_on_when_redis_refused_writes(fault: str, stack: Stack) -> None:
    workers = start_busy_and_idle_worker(stack)
    with contextlib.closing(stack.services.redis()) as client:
        if fault == "full":
            client.config_set("maxmemory", 1)
        else:
            client.replicaof("127.0.0.1", "1")
        assert not queues.fleet_status().redis
        before = sum(accepted(stack).values())
        wait_ten_seconds()
        assert sum(accepted(stack).values()) > before, "the lane was to go on"
        client.config_set("maxmemory", 0)
        client.replicaof("NO", "ONE")
    wait_for_fleet(2)
    assert_both_go_on(stack, workers)
    assert set(accepted(stack).values()) == {1}


def test_worker_stops_cleanly_when_redis_is_away(stack: Stack) -> None:
    worker = stack.start_worker()
    start_batch(stack, 3000, rate=300)
    wait_for_accepted(stack, 100)
    stack.services.stop("redis")
    worker.terminate()
    assert worker.wait(seconds=DRAIN_SECONDS) == 0
    assert "Traceback" not in worker.read_log()
    assert sum(accepted(stack).values()) == statuses(stack)[EmailStatus.SENT]


def test_workers_are_seen_again_within_seconds_when_redis_was_flushed(stack: Stack) -> None:
    start_busy_and_idle_worker(stack)
    with contextlib.closing(stack.services.redis()) as client:
        client.flushall()
    wait_for_fleet(2)
    assert count_claimed(stack) > 0, "one worker was to be busy all the while"


def test_work_horse_dies_when_its_worker_is_killed(stack: Stack) -> None:
    worker = stack.start_worker()
    start_batch(stack, 3000, rate=50)  # A work-horse that lived on would have a minute's work.
    wait_for_accepted(stack, 50)
    work_horses = worker.work_horses()
    assert len(work_horses) == 1
    worker.kill_parent()
    wait_until(lambda: is_gone(work_horses[0]), seconds=20, what="the end of the work-horse")


def is_gone(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["pickle", "json"])
def test_nothing_is_run_when_a_stranger_puts_code_into_the_queue(stack: Stack, tmp_path: Path, kind: str) -> None:
    made = tmp_path / "made"
    foreign = f'["os.system", null, ["touch {made}"], {{}}]'.encode()
    data = pickle.dumps(("batches.jobs.run_lane.run_lane", None, (), {"lane_id": Bomb(made)}))
    with contextlib.closing(stack.services.redis()) as client:
        stranger: dict[Any, Any] = {"data": data if kind == "pickle" else foreign, "created_at": "2026-01-01T00:00:00Z"}
        client.hset("rq:job:strange", mapping=stranger | {"origin": "default", "status": "queued"})
        client.rpush("rq:queue:default", "strange")
        worker = stack.start_worker()
        start_batch(stack, 10)
        wait_for_end(stack, 10)  # The work items that come after it are run.
        assert client.llen("rq:queue:default") == 0
        assert not client.exists("rq:job:strange")
    assert not made.exists()
    assert not worker.has_ended()
    assert "no lane or letter check of ours and was not run" in worker.read_log()


def test_lane_is_enqueued_again_when_its_work_item_is_of_an_older_release(stack: Stack) -> None:
    """Release 0.1.0 called the function by another path, and may leave such items in Redis."""
    start_batch(stack, 10)
    with contextlib.closing(stack.services.redis()) as client:
        item_ids: list[bytes] = client.lrange("rq:queue:default", 0, -1)  # type: ignore[assignment]
        assert item_ids
        for item_id in item_ids:
            lane_id = int(item_id.split(b"-")[2])
            data = json.dumps(["batches.jobs.lanes.run_lane", None, [], {"lane_id": lane_id}])
            client.hset(b"rq:job:" + item_id, "data", data)
    worker = stack.start_worker()
    wait_for_end(stack, 10)
    assert set(accepted(stack).values()) == {1}
    log = worker.read_log()
    assert all(f"Dropped work item {item_id.decode()} of release 0.1.0." in log for item_id in item_ids)
    assert "no lane of ours" not in log
    assert "Traceback" not in log


def test_worker_says_one_sentence_when_redis_is_away_at_its_start(stack: Stack) -> None:
    environment = stack.environment | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    with pytest.raises(RuntimeError, match="Redis does not answer") as caught:
        run_command(["rqworker", "high", "default"], environment=environment)
    said = str(caught.value)
    assert "set REDIS_URL" in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 2, said  # the words of run_command, and the sentence


def test_local_stack_is_named_when_its_redis_is_away_at_the_start(stack: Stack) -> None:
    stack.services.stop("redis")
    with pytest.raises(RuntimeError, match="make up") as caught:
        run_command(["rqworker", "high", "default"], environment=stack.environment)
    assert len(str(caught.value).strip().splitlines()) == 2, str(caught.value)
