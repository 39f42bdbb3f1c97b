"""What is a work item in RQ's queues, and what is not."""

from __future__ import annotations

import json
import pickle

import pytest
from rq.job import Job
from rq.serializers import JSONSerializer

from batches.jobs import queues
from batches.jobs.queues import WorkItem
from batches.jobs.send_webhooks import send_in_turns
from batches.models import JobPriority

ITEM = WorkItem(job_id=7, lane_id=12, token=3, priority=JobPriority.HIGH)


def fetch(item_id: str) -> Job:
    return Job.fetch(item_id, connection=queues.client(), serializer=JSONSerializer)


def test_lane_waits_once_when_it_is_enqueued() -> None:
    assert queues.enqueue([ITEM]) == 1
    assert queues.waiting_item_ids() == {"lane-7-12-3"}
    assert queues.parse_item_id(ITEM.id) == (12, 3)
    job = fetch(ITEM.id)
    assert queues.is_runnable(job)
    assert not queues.is_old_work_item(job)


@pytest.mark.parametrize("item_id", ["lane-7-12", "lane-7-12-3-4", "lane-a-12-3", "xlane-7-12-3", "lane-7-12-3\n", ""])
def test_no_lane_is_named_when_an_id_is_not_a_work_items(item_id: str) -> None:
    assert queues.parse_item_id(item_id) is None


@pytest.mark.parametrize(
    ("data", "is_old"),
    [
        (json.dumps(["os.system", None, [], {"lane_id": 12}]).encode(), False),
        (json.dumps([queues.RUN_LANE, None, ["rm"], {"lane_id": 12}]).encode(), False),
        (json.dumps([queues.RUN_LANE, None, [], {}]).encode(), False),
        (json.dumps([queues.RUN_LANE, None, [], {"lane_id": 12, "more": 1}]).encode(), False),
        (json.dumps([queues.OLD_RUN_LANE, None, [], {"lane_id": 12}]).encode(), True),
        (pickle.dumps((queues.RUN_LANE, None, (), {"lane_id": 12})), False),
        (json.dumps([queues.RUN_LANE, None, [], {"run": "x"}]).encode(), False),
        (json.dumps([queues.CHECK_LETTERS, None, [], {"lane_id": 12}]).encode(), False),
        (b"nonsense", False),
    ],
    ids=[
        "function",
        "argument",
        "no lane",
        "more keywords",
        "old path",
        "pickle",
        "check's argument",
        "lane's argument",
        "nonsense",
    ],
)
def test_entry_is_not_run_when_its_data_differ(data: bytes, is_old: bool) -> None:
    queues.enqueue([ITEM])
    queues.client().hset(f"rq:job:{ITEM.id}", "data", data)
    assert not queues.is_runnable(fetch(ITEM.id))
    assert queues.is_old_work_item(fetch(ITEM.id)) == is_old


@pytest.mark.parametrize("field", ["success_callback_name", "failure_callback_name", "stopped_callback_name"])
def test_entry_is_not_run_when_it_carries_a_callback(field: str) -> None:
    queues.enqueue([ITEM])
    queues.client().hset(f"rq:job:{ITEM.id}", field, "os.abort")
    assert not queues.is_runnable(fetch(ITEM.id))


@pytest.mark.parametrize(
    ("asking", "priority", "expected"),
    [(7, "high", False), (8, "high", True), (8, "default", True), (7, "default", False)],
)
def test_only_a_lane_of_another_job_counts_when_a_lane_asks_who_waits(
    asking: int, priority: str, expected: bool
) -> None:
    queues.enqueue([ITEM])
    assert queues.has_other_job_waiting(asking, priority=priority) == expected


def test_lane_does_not_make_way_when_only_a_lower_priority_waits() -> None:
    low = WorkItem(job_id=7, lane_id=12, token=3, priority=queues.QUEUE_NAMES[-1])
    queues.enqueue([low])
    assert not queues.has_other_job_waiting(8, priority=queues.QUEUE_NAMES[0])


def test_letter_check_is_run_when_it_is_enqueued() -> None:
    assert queues.enqueue_check("abc", turn=2)
    assert queues.is_runnable(fetch("letters-abc-2"))
    assert queues.is_check_queued("abc", turn=2)
    assert not queues.is_check_queued("abc", turn=1)
    assert queues.parse_item_id("letters-abc-2") is None


@pytest.mark.parametrize(("priority", "expected"), [("default", True), ("high", False)])
def test_lane_gives_way_to_a_letter_check_when_its_job_is_not_urgent(priority: str, expected: bool) -> None:
    queues.enqueue_check("abc", turn=0)
    assert queues.has_other_job_waiting(7, priority=priority) == expected


def test_webhooks_are_sent_by_one_entry_when_they_are_enqueued_twice() -> None:
    assert queues.enqueue_webhooks(turn=1)
    assert not queues.enqueue_webhooks(turn=2)

    [item_id] = queues.waiting_item_ids()
    job = fetch(item_id)
    assert queues.is_runnable(job)
    assert job.func_name == f"{send_in_turns.__module__}.{send_in_turns.__name__}"
    assert queues.has_other_job_waiting(7, priority=JobPriority.DEFAULT)
    assert not queues.has_other_job_waiting(7, priority=JobPriority.HIGH)
