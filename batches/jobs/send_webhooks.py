"""The function that RQ runs while messages of webhooks are due: send them, in turns, so that mail goes first.

The sweep enqueues it. When its turn is over, it enqueues itself again after everything that waits.
"""

from __future__ import annotations

import logging
import time

from batches.delivery import stop
from batches.jobs import queues
from batches.webhooks import deliveries
from batches.webhooks.sending import is_sending, send_due

logger = logging.getLogger(__name__)

TURN_SECONDS = 0.5
"""How long it works before it lets a waiting lane use the worker. A lane's turn is longer: mail goes first."""


def send_in_turns(*, turn: int) -> str:
    """Send what is due, until nothing is or the turn is over. Safe to run twice.

    Returns:
        Why it ended, in words, for RQ's log.
    """
    until = time.monotonic() + TURN_SECONDS
    report = send_due(is_over=lambda: _is_over(until))
    if report.delivered or report.failed:
        logger.info("Webhooks: %s.", report, extra={"action": "send_webhooks"})
    if not report.was_busy and not stop.is_requested() and deliveries.has_due():
        queues.enqueue_webhooks(turn=turn + 1)
    return str(report)


def _is_over(until: float) -> bool:
    return stop.is_requested() or (time.monotonic() >= until and queues.has_other_work())


def sweep_webhooks() -> bool:
    """Forget old deliveries, and have the due ones sent, if nobody does. Says whether this call enqueued the sender.

    It costs a few index lookups if there is nothing to do.
    """
    deliveries.give_up_old()
    deliveries.forget_old()
    if not deliveries.has_due() or is_sending():
        return False
    return queues.enqueue_webhooks(turn=int(time.time()))
