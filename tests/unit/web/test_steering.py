"""When each button is offered, and what a question asks."""

from __future__ import annotations

import pytest

from batches.models import BatchStatus
from batches.web.steering import ACTIONS, make_buttons
from tests.unit.web.test_progressbar import snapshot


def offered(status: BatchStatus, **counts: int) -> set[str]:
    now = snapshot(total=10, **counts)
    now["status"] = status
    return {button.action.name for button in make_buttons(now) if button.is_shown}


@pytest.mark.parametrize(
    ("status", "actions"),
    [
        (BatchStatus.DRAFT, set()),
        (BatchStatus.SCHEDULED, {"time", "send-now", "draft", "pause", "cancel", "copy"}),
        (BatchStatus.PENDING, {"pause", "cancel", "copy"}),
        (BatchStatus.PROCESSING, {"pause", "cancel", "copy"}),
        (BatchStatus.PAUSED, {"resume", "cancel", "copy"}),
        (BatchStatus.COMPLETED, {"replay-failed", "replay-unsent", "replay-unknown", "copy"}),
        (BatchStatus.FAILED, {"replay-failed", "replay-unsent", "replay-unknown", "copy"}),
        (BatchStatus.CANCELLED, {"replay-failed", "replay-unsent", "replay-unknown", "copy"}),
    ],
)
def test_buttons_fit_the_status(status: BatchStatus, actions: set[str]) -> None:
    assert offered(status, failed=2, unknown=1) == actions


def test_replay_is_not_offered_when_no_email_would_be_sent() -> None:
    assert offered(BatchStatus.COMPLETED, sent=10) == {"copy"}


def test_answers_to_a_question_differ_from_each_other_and_from_the_button() -> None:
    questions = [(action.label, action.question) for action in ACTIONS if action.question]
    assert len(questions) == 5
    assert all(len({label, question.yes, question.no}) == 3 for label, question in questions)


def test_replay_of_the_unsent_is_about_the_failed_and_the_cancelled() -> None:
    now = snapshot(total=10, sent=3, failed=2, cancelled=4, unknown=1)
    now["status"] = BatchStatus.CANCELLED
    button = next(button for button in make_buttons(now) if button.action.name == "replay-unsent")
    assert (button.is_shown, button.count, button.ticked_count) == (True, 6, 1)
    assert offered(BatchStatus.CANCELLED, cancelled=4) == {"replay-unsent", "copy"}
