"""The logs of a whole stack after a day's work with faults: no address, subject or token is in them, but ids are."""

from __future__ import annotations

import http.client
import re
import urllib.parse
from collections.abc import Iterator
from contextlib import closing
from http.cookies import SimpleCookie

import pytest

from tests.acceptance.client import Client
from tests.acceptance.stack import RunningStack, stack_in_new_folder, wait_until
from tests.smtpserver.behaviour import Behaviour, Rule
from tests.smtpserver.running import RunningServer

SUBJECT = "Confidential matter of the harbour"
PEOPLE = [f"{name}@secret-town.example" for name in ("ann", "o'hara", "fail-550-bea", "defer-450-cyd", "lose-once-dan")]
WORD = "Harbourmaster"
"""A value of a merge field."""
WRONG_TOKEN = "wrong-" + "T" * 37


@pytest.fixture(scope="module")
def relay() -> Iterator[RunningServer]:
    """A relay whose refusals quote the recipient, and that sometimes drops a connection."""
    rules = [
        Rule(stage="rcpt", action="550 5.1.1 <o'hara@secret-town.example> unknown here", recipient="o'hara", limit=1),
        Rule(stage="dot", action="drop", recipient="ann", limit=1),
    ]
    with RunningServer(Behaviour(rules=tuple(rules))) as server:
        yield server


@pytest.fixture(scope="module")
def stack(relay: RunningServer) -> Iterator[RunningStack]:
    environment = {"EMAIL_URL": relay.url, "SEND_RETRY_SECONDS": "1", "LOG_LEVEL": "DEBUG", "SEND_MAX_ATTEMPTS": "2"}
    with stack_in_new_folder("logs", workers=1, environment=environment) as running:
        running.environment["LOG_LEVEL"] = "INFO"  # of commands, whose standard error a test reads
        yield running


def sign_in(stack: RunningStack) -> dict[str, str]:
    """Return the headers of a browser in which the administrator is signed in."""
    with closing(http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)) as browser:
        browser.request("GET", "/accounts/login/")
        answer = browser.getresponse()
        page = answer.read().decode()
        cookie = SimpleCookie(answer.headers["Set-Cookie"])["csrftoken"].value
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        assert found
        field = "login" if 'name="login"' in page else "username"
        form = {"csrfmiddlewaretoken": found[1], field: stack.username, "password": stack.password}
        headers = {"Cookie": f"csrftoken={cookie}", "Content-Type": "application/x-www-form-urlencoded"}
        browser.request("POST", "/accounts/login/", urllib.parse.urlencode(form), headers)
        answer = browser.getresponse()
        answer.read()
        assert answer.status == 302, answer.status
        jar = SimpleCookie()
        for value in answer.headers.get_all("Set-Cookie") or []:
            jar.load(value)
    return {"Cookie": "; ".join(f"{name}={morsel.value}" for name, morsel in jar.items())}


def send_with_faults(client: Client) -> int:
    """Send to everybody through the relay with faults, watch it, and make requests that are refused."""
    sent = client.post(
        "/api/emails/send-bulk",
        {"subject": SUBJECT, "recipients": [{"email": person, "name": WORD} for person in PEOPLE]},
    )
    batch_id: int = sent["batchId"]
    client.wait_for_end(batch_id)
    client.watch_socket(batch_id)
    token = client.headers["Authorization"].partition(" ")[2]
    for method, path, body in (
        ("GET", f"/api/nothing/{PEOPLE[0]}?token={token}", None),
        ("GET", f"/api/batches?cursor={urllib.parse.quote(PEOPLE[0])}", None),
        ("POST", "/api/emails/send-bulk", {"recipients": [f"{PEOPLE[0]}\x00"], "subject": SUBJECT}),
        ("POST", "/api/emails/send-bulk", {"recipients": PEOPLE, "templateId": f"{PEOPLE[0]}\x00"}),
        ("POST", f"/api/batches/{batch_id}/replay", {"which": "failed"}),
        ("GET", f"/api/batches/{batch_id}/emails?status={PEOPLE[0]}", None),
    ):
        client.request(method, path, body)
    client.request("GET", "/api/batches", None, Authorization=f"Bearer {WRONG_TOKEN}")
    client.wait_for_end(batch_id)
    return batch_id


def search_in_pages(stack: RunningStack, batch_id: int) -> None:
    """Search for a person in the admin and on other pages, as addresses that a browser keeps."""
    session = sign_in(stack)
    quoted = urllib.parse.quote(PEOPLE[0])
    with closing(http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)) as browser:
        for path in (
            f"/admin/batches/email/?q={quoted}",
            f"/batches/{batch_id}/?after={quoted}",
            f"/batches/{batch_id}/review/?subject={urllib.parse.quote(SUBJECT)}",
            f"/nothing/{quoted}/",
            f"/audit/?who={quoted}",
        ):
            browser.request("GET", path, headers=session)
            browser.getresponse().read()


def test_no_log_has_an_address_subject_or_token(stack: RunningStack) -> None:
    client = Client(stack)
    search_in_pages(stack, send_with_faults(client))
    [(user_id,)] = stack.query("SELECT id FROM auth_user WHERE username = %s", stack.username)
    line = re.compile(rf'127\.0\.0\.1 - {user_id} \[[^]]+\] "GET /admin/batches/email/" 200 \d+')
    wait_until(lambda: line.search(stack.log) is not None, within_seconds=10, what="The line of the access log")
    log = stack.log
    assert '"GET /api/nothing/<address>" 404' in log, "the path of a strange address was not redacted"
    assert re.search(r"lane=\d+", log), "the log says nothing of the lanes, so it proves nothing"
    token = client.headers["Authorization"].partition(" ")[2]
    secrets = (
        *PEOPLE,
        *map(urllib.parse.quote, PEOPLE),
        SUBJECT,
        urllib.parse.quote(SUBJECT),
        WORD,
        token,
        WRONG_TOKEN,
    )
    found = {value for value in (*secrets, "secret-town") if value in log}
    assert not found, [each for each in log.splitlines() if any(value in each for value in found)]
