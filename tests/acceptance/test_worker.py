"""A real ``manage.py rqworker``: asked to stop, killed, without Redis, and with strange things in its queue."""

from __future__ import annotations

import contextlib
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
from tests.smtpserver import Behaviour, Rule

DRAIN_SECONDS = 10
SLOW_SECONDS = 8
SILENT_READINGS = 8
SEEN_SECONDS = 8
"""After Redis came back or was emptied: by then the fleet is seen again."""


def start_batch(stack: Stack, count: int, **behaviour: Any) -> int:
    """Load a batch for a relay of this behaviour and start its job."""
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
    start_batch(stack, 2000, rate=500)
    wait_for_accepted(stack, 300)
    asked_at = time.monotonic()
    worker.terminate()
    assert worker.wait(seconds=DRAIN_SECONDS) == 0
    assert time.monotonic() - asked_at < DRAIN_SECONDS
    counts = statuses(stack)
    assert set(counts) == {EmailStatus.SENT, EmailStatus.PENDING}
    assert sum(accepted(stack).values()) == counts[EmailStatus.SENT] < 2000
    with stack.services.connect() as connection:
        tried = connection.execute("SELECT count(*) FROM batches_email WHERE status = 'pending' AND attempts > 0")
        assert tried.fetchone() == (0,)
    stack.smtp.configure(rate=0)
    stack.start_worker()
    wait_for_end(stack, 2000)
    assert set(accepted(stack).values()) == {1}


def test_nothing_is_sent_twice_when_relay_is_slow_to_answer_a_stopping_worker(stack: Stack) -> None:
    worker = stack.start_worker()
    start_batch(stack, 2000, rate=500)
    wait_for_accepted(stack, 300)
    stack.smtp.configure(blackhole=True)
    readings = [0]

    def is_silent() -> bool:
        readings.append(stack.smtp.stats()["accepted"])
        return len(readings) > SILENT_READINGS and len(set(readings[-SILENT_READINGS:])) == 1

    wait_until(is_silent, seconds=20, what="the relay to fall silent with mail in flight", every=0.1)
    worker.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        worker.process.wait(timeout=SLOW_SECONDS)  # it waits for the relay rather than leave mail in doubt
    stack.smtp.configure(rate=0, blackhole=False)
    assert worker.wait(seconds=DRAIN_SECONDS) == 0
    assert (statuses(stack)[EmailStatus.SENDING], count_claimed(stack)) == (0, 0)
    stack.start_worker()
    wait_for_end(stack, 2000)
    assert set(accepted(stack).values()) == {1}


def test_second_worker_takes_over_at_once_when_first_is_told_to_stop_twice(stack: Stack) -> None:
    worker = stack.start_worker(environment={"SEND_LEASE_SECONDS": "60"})
    start_batch(stack, 500, rules=(Rule(stage="reply", action="hang"),))
    wait_until(lambda: stack.smtp.stats()["strikes"] > 0, seconds=20, what="a connection to hang")
    worker.terminate()
    time.sleep(1.1)  # RQ takes two signals within a second for one
    asked_at = time.monotonic()
    worker.terminate()
    worker.wait(seconds=5)
    assert time.monotonic() - asked_at < 3
    stack.smtp.become(Behaviour())
    stack.start_worker(environment={"SEND_LEASE_SECONDS": "60", "SEND_RETRY_SECONDS": "0.2"})
    wait_for_end(stack, 500, seconds=20)  # long before the lease would have run out
    assert len(accepted(stack)) == 500


def test_workers_go_on_and_are_seen_again_when_redis_was_away(stack: Stack) -> None:
    workers = [stack.start_worker(wait=False), stack.start_worker(wait=False)]
    wait_for_fleet(2, seconds=30)
    start_batch(stack, 100, rate=6)  # one lane: one worker is busy for longer than Redis is away, one idle
    wait_for_accepted(stack, 5)
    stack.services.stop("redis")
    assert not queues.fleet_status().redis
    gone_at = time.monotonic()
    wait_until(lambda: time.monotonic() > gone_at + 10, seconds=11, what="ten seconds to pass")
    stack.services.start_redis()
    wait_for_fleet(2)
    assert count_claimed(stack) > 0, "one worker was to be busy all the while"
    stack.smtp.configure(rate=0)
    wait_for_end(stack, 100)
    assert set(accepted(stack).values()) == {1}
    assert not any(worker.has_ended() for worker in workers)
    start_batch(stack, 1000)
    wait_for_end(stack, 1100)
    with stack.services.connect() as connection:
        row = connection.execute("SELECT count(DISTINCT worker) FROM batches_lane WHERE sent_count > 0").fetchone()
    assert row == (2,)


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
    stack.start_worker(wait=False)
    stack.start_worker(wait=False)
    wait_for_fleet(2, seconds=30)
    start_batch(stack, 100, rate=6)  # one lane: one worker is busy for a while, one idle
    wait_for_accepted(stack, 5)
    with contextlib.closing(stack.services.redis()) as client:
        client.flushall()
    wait_for_fleet(2)
    assert count_claimed(stack) > 0, "one worker was to be busy all the while"


def test_horse_dies_at_once_when_its_worker_is_killed(stack: Stack) -> None:
    worker = stack.start_worker()
    start_batch(stack, 3000, rate=200)
    wait_for_accepted(stack, 50)
    horses = worker.work_horses()
    assert len(horses) == 1
    worker.kill_parent()
    wait_until(lambda: is_gone(horses[0]), seconds=2, what="the end of the work-horse")


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
        stranger = {"data": data if kind == "pickle" else foreign, "created_at": "2026-01-01T00:00:00Z"}
        client.hset("rq:job:strange", mapping=stranger | {"origin": "default", "status": "queued"})
        client.rpush("rq:queue:default", "strange")
        worker = stack.start_worker()
        start_batch(stack, 10)
        wait_for_end(stack, 10)  # what stood behind it in the queue is run
        assert client.llen("rq:queue:default") == 0
        assert not client.exists("rq:job:strange")
    assert not made.exists()
    assert not worker.has_ended()
    assert "no lane of ours" in worker.read_log()


def test_worker_says_one_sentence_when_redis_is_away_at_its_start(stack: Stack) -> None:
    environment = stack.environment | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    with pytest.raises(RuntimeError, match="Redis does not answer") as caught:
        run_command(["rqworker", "high", "default"], environment=environment)
    said = str(caught.value)
    assert "set REDIS_URL" in said
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == 2, said  # what run_command says, and the sentence


def test_local_stack_is_named_when_its_redis_is_away_at_the_start(stack: Stack) -> None:
    stack.services.stop("redis")
    with pytest.raises(RuntimeError, match="make up") as caught:
        run_command(["rqworker", "high", "default"], environment=stack.environment)
    assert len(str(caught.value).strip().splitlines()) == 2, str(caught.value)
