"""When each button is offered."""

from __future__ import annotations

import pytest

from batches.models import BatchStatus
from batches.web.steering import make_buttons
from tests.unit.web.test_progressbar import snapshot


def offered(status: BatchStatus, **counts: int) -> set[str]:
    now = snapshot(total=10, **counts)
    now["status"] = status
    return {offer.button.action for offer in make_buttons(now) if offer.is_shown}


@pytest.mark.parametrize(
    ("status", "actions"),
    [
        (BatchStatus.DRAFT, set()),
        (BatchStatus.SCHEDULED, {"pause", "cancel"}),
        (BatchStatus.PENDING, {"pause", "cancel"}),
        (BatchStatus.PROCESSING, {"pause", "cancel"}),
        (BatchStatus.PAUSED, {"resume", "cancel"}),
        (BatchStatus.COMPLETED, {"replay-failed", "replay-unknown"}),
        (BatchStatus.FAILED, {"replay-failed", "replay-unknown"}),
        (BatchStatus.CANCELLED, {"replay-failed", "replay-unknown"}),
    ],
)
def test_buttons_fit_the_status(status: BatchStatus, actions: set[str]) -> None:
    assert offered(status, failed=2, unknown=1) == actions


def test_replay_is_not_offered_when_there_is_nothing_to_replay() -> None:
    assert offered(BatchStatus.COMPLETED, sent=10) == set()
