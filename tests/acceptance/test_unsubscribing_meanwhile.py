"""Hundreds of ten thousand unsubscribe while news is sent to them, and a scanner opens links at the same time."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from batches.suppressions import make_digest
from batches.unsubscribe_tokens import make_token
from tests.acceptance.stack import RunningStack, stack_in_new_folder, wait_until
from tests.smtpserver import Behaviour, RunningServer

COUNT, LEAVING, SCANNED = 10_000, 300, 200
UNSUBSCRIBE_KEY = "unsubscribe-key-of-this-test-" + "k" * 20
RELAY_RATE = 600.0
"""Messages in a second: the batch takes longer than all the requests."""
CYCLE_SECONDS = 3.0
"""What one cycle takes at most on a busy machine: the claims from before, which are a second of this relay's work."""


@pytest.fixture(scope="module")
def relay() -> Iterator[RunningServer]:
    with RunningServer() as server:
        server.become(Behaviour(rate=RELAY_RATE))
        yield server


@pytest.fixture(scope="module")
def stack(relay: RunningServer) -> Iterator[RunningStack]:
    environment = {"EMAIL_URL": relay.url, "UNSUBSCRIBE_KEYS": UNSUBSCRIBE_KEY}
    with stack_in_new_folder("meanwhile", workers=1, environment=environment) as running:
        yield running


def ask(link: str, *, method: str) -> float:
    """Return when the answer had come, in Unix time."""
    body = b"List-Unsubscribe=One-Click" if method == "POST" else None
    with urllib.request.urlopen(urllib.request.Request(link, body, method=method), timeout=60) as answer:  # noqa: S310
        assert answer.status == 200
    return time.time()


@contextmanager
def scanning(links: Iterable[str]) -> Iterator[Counter[str]]:
    """Open links by GET and HEAD in another thread until the block has ended. Yields how often."""
    opened: Counter[str] = Counter()
    is_over = threading.Event()

    def scan() -> None:
        for link in links:
            for method in ("GET", "HEAD"):
                ask(link, method=method)
                opened[method] += 1
            if is_over.is_set():
                break

    thread = threading.Thread(target=scan)
    thread.start()
    yield opened
    is_over.set()
    thread.join(timeout=60)


def test_nobody_gets_news_a_cycle_after_unsubscribing(
    stack: RunningStack, relay: RunningServer, tmp_path: Path
) -> None:
    people = tmp_path / "people.csv"
    addresses = [f"person{number}@example.org" for number in range(COUNT)]
    people.write_text("email,name\n" + "".join(f"{address},Ann\n" for address in addresses))
    stack.manage("sendbatch", str(people), "--template", "welcome_email", "--topic", "news")
    [(key, topic_id)] = stack.query(
        "SELECT l.key, t.id FROM batches_suppressionlist l, batches_topic t WHERE t.key = 'news'"
    )

    def link_of(address: str) -> str:
        digest = make_digest(bytes(key), address)
        return f"{stack.url}u/{make_token(topic_id, digest, keys=[UNSUBSCRIBE_KEY])}"

    chosen = Random(14).sample(addresses[COUNT // 4 :], LEAVING + SCANNED)
    leaving, scanned = chosen[:LEAVING], chosen[LEAVING:]
    wait_until(lambda: len(relay.accepted()) > 500, within_seconds=60, what="The first mail")
    with scanning(map(link_of, scanned)) as opened, ThreadPoolExecutor(4) as pool:
        answered = dict(
            zip(leaving, pool.map(lambda address: ask(link_of(address), method="POST"), leaving), strict=True)
        )
    assert opened["HEAD"] > 10
    assert stack.query("SELECT status FROM batches_batch") == [("processing",)]  # else nothing was shown
    wait_until(
        lambda: stack.query("SELECT completed_at FROM batches_batch") != [(None,)],
        within_seconds=120,
        what="The end of the batch",
    )

    accepted = relay.accepted()
    late = [each.at - answered[each.recipient] for each in accepted if each.recipient in answered]
    assert max(late) <= CYCLE_SECONDS
    got_mail = {each.recipient for each in accepted}
    assert got_mail >= set(addresses) - set(leaving)
    spared = set(leaving) - got_mail
    assert len(spared) > LEAVING // 4
    [counts] = stack.query("SELECT sent_count, suppressed_count FROM batches_batch")
    assert counts == (COUNT - len(spared), len(spared))
    assert stack.query("SELECT reason, count(*) FROM batches_suppression GROUP BY reason") == [
        ("unsubscribed", LEAVING)
    ]
