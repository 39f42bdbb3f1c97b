"""The main job from a terminal: sendbatch and replaybatch on a running stack, with a relay that refuses some emails."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.stack import RunningStack, stack_in_new_folder, wait_until
from tests.acceptance.terminal import CTRL_C, on_terminal
from tests.smtpserver import RunningServer

COLUMNS = 72
GOOD = 1500


@pytest.fixture(scope="module")
def relay() -> Iterator[RunningServer]:
    with RunningServer() as server:
        yield server


@pytest.fixture(scope="module")
def stack(relay: RunningServer) -> Iterator[RunningStack]:
    with stack_in_new_folder("commands", workers=2, environment={"EMAIL_URL": relay.url}) as running:
        yield running


@pytest.fixture
def domain() -> str:
    """A domain for the recipients of this test alone."""
    return f"t{time.monotonic_ns()}.example.org"


def write_people(path: Path, *addresses: str) -> str:
    path.write_text("name,email\n" + "".join(f"Kim,{address}\n" for address in addresses))
    return str(path)


def copies(relay: RunningServer, domain: str) -> Counter[str]:
    relay.stats()  # after this answer the record is complete
    return Counter(each.recipient for each in relay.accepted() if each.recipient.endswith(f"@{domain}"))


def test_replay_sends_the_failed_emails_when_the_relay_refused_them_once(
    stack: RunningStack, relay: RunningServer, domain: str, tmp_path: Path
) -> None:
    refused = [f"fail-550-once-{name}@{domain}" for name in ("ann", "bob")]
    good = [f"p{number}@{domain}" for number in range(100)]
    file = write_people(tmp_path / "people.csv", *good, *refused, "nobody", good[0])

    sent = stack.manage("sendbatch", file, "--template", "welcome_email", "--wait", "--json", check=False)
    assert sent.returncode == 1
    assert "100 of 102 emails" in sent.stderr and "1 bad and 1 duplicate" in sent.stderr
    outcome = json.loads(sent.stdout)
    assert outcome["status"] == "COMPLETED"
    assert [outcome[f"{name}Count"] for name in ("total", "sent", "failed", "unknown")] == [102, 100, 2, 0]
    assert (outcome["rejectedRows"], outcome["duplicateRows"]) == (1, 1)

    batch_id = str(outcome["batchId"])
    replayed = stack.manage("replaybatch", batch_id, "--failed", "--wait", "--json")
    outcome = json.loads(replayed.stdout)
    assert [outcome[f"{name}Count"] for name in ("total", "sent", "failed")] == [2, 2, 0]
    assert replayed.stdout.count("\n") == 1 and replayed.stderr == ""
    assert copies(relay, domain) == Counter(good + refused)

    again = stack.manage("replaybatch", batch_id, "--failed", "--wait", "--json", check=False)
    assert (again.returncode, again.stdout) == (1, "")
    assert f"Batch {batch_id} has no failed emails." in again.stderr


def test_command_fails_with_a_sentence_when_the_template_is_unknown(stack: RunningStack, tmp_path: Path) -> None:
    file = write_people(tmp_path / "people.csv", "ann@example.org")
    result = stack.manage("sendbatch", file, "--template", "welcom", "--wait", "--json", check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.strip() == "CommandError: There is no template 'welcom'. The templates are: welcome_email."


def test_command_ends_at_once_when_it_does_not_wait(stack: RunningStack, domain: str, tmp_path: Path) -> None:
    file = write_people(tmp_path / "people.csv", f"ann@{domain}")
    result = stack.manage("sendbatch", file, "--template", "welcome_email", "--json")
    assert json.loads(result.stdout)["status"] in ("QUEUED", "PROCESSING", "COMPLETED")


def test_progress_bar_grows_in_one_line_on_a_terminal(
    stack: RunningStack, relay: RunningServer, domain: str, tmp_path: Path
) -> None:
    file = write_people(tmp_path / "people.csv", *(f"p{number}@{domain}" for number in range(GOOD)))
    relay.configure(rate=GOOD / 2)  # the run lasts two seconds, so the bar is drawn several times
    arguments = ("sendbatch", file, "--template", "welcome_email", "--wait")
    with on_terminal(stack, *arguments, columns=COLUMNS) as command:
        assert command.read_to_end() == 0
    relay.configure(rate=0)
    bar, outcome = command.text.replace("\x1b[K", "").rstrip("\n").split("\n")
    assert re.fullmatch(r"Batch \d+, job \d+ completed: 1,500 of 1,500 emails sent, 0 failed\.", outcome)
    drawn = bar.lstrip("\r").split("\r")
    assert max(map(len, drawn)) < COLUMNS
    percents = [int(line.partition("%")[0]) for line in drawn]
    assert percents == sorted(percents)
    assert percents[-1] == 100 and len(set(percents)) >= 3
    assert "\x1b[31" not in command.text  # no error, so nothing is red


def test_batch_continues_when_the_waiting_is_interrupted(
    stack: RunningStack, relay: RunningServer, domain: str, tmp_path: Path
) -> None:
    file = write_people(tmp_path / "people.csv", *(f"p{number}@{domain}" for number in range(GOOD)))
    relay.configure(rate=200)  # slow, so that Ctrl-C comes before the end
    arguments = ("sendbatch", file, "--template", "welcome_email", "--wait")
    with on_terminal(stack, *arguments, columns=COLUMNS) as command:
        command.read_until("1,500")
        command.type(CTRL_C)
        assert command.read_to_end() == 1
    relay.configure(rate=0)
    assert re.search(r"\n(\x1b\[[\d;]*m)?CommandError: Stopped waiting\. Batch \d+ goes on by itself\.", command.text)
    assert "Traceback" not in command.text
    wait_until(lambda: len(copies(relay, domain)) == GOOD, within_seconds=30, what="The end of the batch")
