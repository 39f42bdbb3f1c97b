"""The check of every letter in a real worker: beside a long job, and with a template that takes all memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from batches.models import EmailStatus, LetterCheckState
from tests.acceptance.test_worker import accepted, start_batch, statuses, wait_for_accepted, wait_for_end
from tests.chaos.stack import Stack, insert_template, run_command, wait_until

ROWS = 5000
CHECK_SECONDS = 90
"""How long to wait for a check. A lane's turn is 3 s; without turns the check would wait for the whole long list."""

LONG = 20_000
RATE = 50
"""The long list takes LONG / RATE seconds, more than CHECK_SECONDS."""

HUGE = (
    "{% set a = 'a' * 9000000 %}{% set b = a ~ a ~ a ~ a %}{% set c = b ~ b ~ b ~ b %}{% set d = c ~ c ~ c ~ c %}"
    "{{ d ~ d ~ d ~ d }}"
)
"""Needs more memory than a child may take."""

IMPORT = """
import io
from batches.intake import import_csv
from batches.jobs.letter_checks import begin_check
from batches.models import EmailTemplate
from batches.rendering.template import MessageParts
lines = [f"n{row},check{row}@example.org,{'big' if row %% 1000 == 7 else ''}" for row in range(2, %(rows)d + 2)]
data = "\\n".join(["name,email,kind", *lines]).encode()
batch = import_csv(io.BytesIO(data), filename="check.csv", user=None).batch
print(begin_check(batch, MessageParts.of(EmailTemplate.objects.get(key="check"))).run)
"""


def begin(stack: Stack, text: str, *, rows: int = ROWS) -> str:
    """Import a draft and begin the check of its letters. Returns the name of the check."""
    template = {"key": "check", "name": "Check", "subject": "Hello {{ name }}", "html": "", "text": text}
    insert_template(stack.services, template)
    return run_command(["shell", "-v", "0", "-c", IMPORT % {"rows": rows}], environment=stack.environment).strip()


def read(stack: Stack, run: str) -> dict[str, Any]:
    with stack.services.redis() as client:
        record: bytes | None = client.get(f"emailbatch:letter-check:record:{run}")
    assert record is not None
    found: dict[str, Any] = json.loads(record)
    return found


def has_ended(stack: Stack, run: str, state: LetterCheckState) -> Callable[[], bool]:
    return lambda: read(stack, run)["state"] == state


def test_letters_are_checked_while_the_only_worker_sends_a_long_list(stack: Stack) -> None:
    start_batch(stack, LONG, rate=RATE)
    stack.start_worker()
    wait_for_accepted(stack, 10)
    run = begin(stack, "{% if kind == 'big' %}{{ nothing.at.all }}{% endif %}Dear {{ name }}")
    wait_until(has_ended(stack, run, LetterCheckState.DONE), seconds=CHECK_SECONDS, what="the letters to be checked")
    found = read(stack, run)
    assert (found["checked"], sum(fault["count"] for fault in found["faults"])) == (ROWS, ROWS // 1000)
    assert found["faults"][0]["rows"] == [7, 1007, 2007, 3007, 4007]
    assert statuses(stack)[EmailStatus.SENT] < LONG
    stack.smtp.configure(rate=0)
    wait_for_end(stack, LONG, seconds=CHECK_SECONDS)
    assert set(accepted(stack).values()) == {1}


def test_letters_are_named_when_they_take_all_memory(stack: Stack) -> None:
    worker = stack.start_worker()
    run = begin(stack, f"{{% if kind == 'big' %}}{HUGE}{{% endif %}}Dear {{{{ name }}}}")
    wait_until(has_ended(stack, run, LetterCheckState.DONE), seconds=CHECK_SECONDS, what="the letters to be checked")
    found = read(stack, run)
    assert found["checked"] == ROWS
    [fault] = found["faults"]
    assert fault["rows"] == [7, 1007, 2007, 3007, 4007] and "too much time or memory" in fault["reason"]
    start_batch(stack, 100)
    wait_for_end(stack, 100, seconds=CHECK_SECONDS)
    assert not worker.has_ended()
