"""The short run of ``make chaos``: each fault once, and every promise kept.

A few trials at a time run in the background, each with a stack of its own. Each test waits for its own trial.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.chaos.__main__ import SHORT_LEASE_SECONDS, run_trial
from tests.chaos.faults import FAULTS
from tests.chaos.judgement import Bounds
from tests.chaos.report import format_heading, format_result
from tests.chaos.stack import shared_golden
from tests.chaos.trial import Options, Result, Trial

JOBS = 3
TRIAL_SECONDS = 240

Pending = dict[str, "Future[Result]"]


@pytest.fixture(scope="module")
def pending(request: pytest.FixtureRequest) -> Iterator[Pending]:
    """Start the trials of the selected tests, in their order. A failure prints the seed of the run."""
    here = [item for item in request.session.items if item.path == request.path]
    names = [item.callspec.params["name"] for item in here if hasattr(item, "callspec")]
    seed = int.from_bytes(os.urandom(3), "big")
    options = Options(seed=seed, lease_seconds=SHORT_LEASE_SECONDS, keep=True)
    golden = shared_golden()
    with ThreadPoolExecutor(max_workers=JOBS) as pool:
        yield {name: pool.submit(run_trial, name, 0, golden=golden, options=options) for name in names}
        pool.shutdown(wait=True, cancel_futures=True)


@pytest.mark.parametrize("name", FAULTS)
def test_promises_are_kept_when(name: str, pending: Pending) -> None:
    result = pending[name].result(timeout=TRIAL_SECONDS * len(pending))
    if result.skipped:
        pytest.skip(result.skipped)
    assert not result.broken, f"\nseed {result.seed}\n{format_heading()}\n{format_result(result)}\n{result.notes}"
    assert result.found.recipients == Options().recipients


def test_broken_promise_is_seen_when_no_duplicate_is_allowed() -> None:
    """The relay loses twenty replies, so twenty messages are sent twice. A judge that allows none must say so."""
    strict = dataclasses.replace(FAULTS["reply-lost"], bounds=lambda trial: Bounds())
    result = Trial(strict, Options(lease_seconds=SHORT_LEASE_SECONDS)).run(shared_golden())
    assert result.broken == [f"duplicated: {result.found.duplicated}, allowed 0"]
    assert result.found.duplicated > 0
