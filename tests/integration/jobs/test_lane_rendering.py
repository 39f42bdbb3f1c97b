"""A lane whose template is not plain, while its child is killed: each recipient gets one mail, and it is their own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from django.conf import LazySettings

from batches.jobs import lifecycle
from batches.models import Batch, EmailStatus, EmailTemplate, JobKind
from tests.integration.jobs.conftest import MakeBatch
from tests.integration.jobs.whole_jobs import replay, run_to_end, run_while, start, statuses, wait_for, wait_for_sent
from tests.smtpserver import Behaviour, Rule, RunningServer

KILL_COUNT = 4


def make_conditional(template: EmailTemplate) -> EmailTemplate:
    template.html = ""
    template.text = "{% if name %}{% for i in range(300) %}{% endfor %}For {{ email }}.{% endif %}"
    template.save()
    return template


def find_children() -> set[int]:
    """Find the rendering children of this process that have their own program by now."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            is_ours = int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
            if is_ours and b"child_program" in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
        except OSError:
            continue
    return found


def read_texts(relay: RunningServer, batch: Batch) -> list[tuple[str, str]]:
    wanted = set(batch.emails.values_list("address", flat=True))
    raw = [(entry.recipient, entry.raw) for entry in relay.accepted() if entry.recipient in wanted]
    return [(recipient, (text or b"").rpartition(b"\r\n\r\n")[2].decode().strip()) for recipient, text in raw]


def test_each_recipient_gets_their_own_mail_once_when_the_child_is_killed_beside_a_send(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_WINDOW, settings.SEND_CONNECTIONS, settings.SEND_LANES = 32, 3, 1
    with RunningServer(Behaviour(latency_ms=2), keep_raw=True) as recording:
        settings.EMAIL_URL = recording.url
        batch = make_batch(400)
        job, lane = start(batch, make_conditional(template))
        killed: set[int] = set()

        def kill() -> None:
            for number in range(KILL_COUNT):
                wait_for_sent(batch, 20 + 90 * number)  # more than are ready: another child has rendered
                wait_for(lambda: find_children() - killed)
                child = (find_children() - killed).pop()
                os.kill(child, signal.SIGKILL)
                killed.add(child)

        run_while(lane, kill)
        run_to_end(job)
        assert len(killed) == KILL_COUNT
        assert statuses(batch) == {EmailStatus.SENT: 400}
        expected = sorted((address, f"For {address}.") for address in batch.emails.values_list("address", flat=True))
        assert sorted(read_texts(recording, batch)) == expected


def test_nobody_gets_a_second_mail_when_the_batch_is_paused_and_cancelled_while_a_child_renders(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_WINDOW, settings.SEND_CONNECTIONS, settings.SEND_LANES = 32, 3, 1
    with RunningServer(Behaviour(latency_ms=2), keep_raw=True) as recording:
        settings.EMAIL_URL = recording.url
        batch = make_batch(200)
        job, lane = start(batch, make_conditional(template))

        def pause() -> None:
            wait_for_sent(batch, 20)
            lifecycle.pause_batch(batch)

        run_while(lane, pause)
        assert not find_children()
        lifecycle.resume_batch(batch)

        def cancel() -> None:
            wait_for_sent(batch, 60)
            lifecycle.cancel_batch(batch)

        run_while(lane, cancel)
        assert not find_children()
        job.refresh_from_db()
        run_to_end(job)
        assert statuses(batch)[EmailStatus.CANCELLED] > 0
        run_to_end(replay(batch, JobKind.UNSENT))
        expected = sorted((address, f"For {address}.") for address in batch.emails.values_list("address", flat=True))
        assert sorted(read_texts(recording, batch)) == expected


@pytest.mark.parametrize("rate", [0, 400])
def test_everybody_gets_their_mail_when_the_relay_drops_connections_again_and_again(
    rate: float, relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_WINDOW, settings.SEND_CONNECTIONS, settings.SEND_LANES = 64, 3, 1
    settings.SEND_RATE = rate
    rules = tuple(Rule(stage="mail", action="drop", limit=1, after=after) for after in range(10, 140, 20))
    with RunningServer(Behaviour(rules=rules), keep_raw=True) as recording:
        settings.EMAIL_URL = recording.url
        batch = make_batch(150)
        job, _ = start(batch, make_conditional(template))
        run_to_end(job)
        assert statuses(batch) == {EmailStatus.SENT: 150}
        expected = sorted((address, f"For {address}.") for address in batch.emails.values_list("address", flat=True))
        assert sorted(read_texts(recording, batch)) == expected
