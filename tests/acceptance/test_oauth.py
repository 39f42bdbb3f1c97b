"""XOAUTH2 with real workers: tokens that live 5 seconds, and a relay that accepts nothing else."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.client import Client
from tests.acceptance.stack import RunningStack, stack_in_new_folder, wait_until
from tests.oauth_servers import CLIENT_ID, CLIENT_SECRET, TOKEN_PREFIX, OAuthServers

RECIPIENTS = 20_000
LIFE_SECONDS = 5.0
MESSAGES_A_CONNECTION = 50
"""After so many messages the relay closes a connection, so that there are logins during the whole run."""

COMPLETE_SECONDS = 180


@pytest.fixture(scope="module")
def servers() -> Iterator[OAuthServers]:
    with OAuthServers(life_seconds=LIFE_SECONDS, closes_after=MESSAGES_A_CONNECTION, rotates=True) as running:
        yield running


@pytest.fixture(scope="module")
def stack(servers: OAuthServers) -> Iterator[RunningStack]:
    environment = {
        "EMAIL_URL": servers.email_url,
        "EMAIL_OAUTH_CLIENT_ID": CLIENT_ID,
        "EMAIL_OAUTH_CLIENT_SECRET": CLIENT_SECRET,
        "EMAIL_OAUTH_REFRESH_TOKEN": servers.refresh_token,
        "EMAIL_OAUTH_TOKEN_URL": servers.token_url,
        "LOG_LEVEL": "DEBUG",
    }
    with stack_in_new_folder("oauth", workers=2, environment=environment) as running:
        running.environment["LOG_LEVEL"] = "INFO"  # for the commands that the test runs, which must print nothing else
        yield running


@pytest.fixture(scope="module")
def client(stack: RunningStack) -> Client:
    return Client(stack)


def find_secrets(text: str, servers: OAuthServers) -> list[str]:
    """Return which of the secrets a text contains. Each refresh token was sent once."""
    used = {form["refresh_token"] for form in servers.requests}
    secrets = {CLIENT_SECRET, TOKEN_PREFIX, servers.refresh_token, *used}
    return sorted(secret for secret in secrets if secret in text)


def read_logs(stack: RunningStack) -> str:
    return "\n".join(path.read_text(errors="replace") for path in stack.data_dir.rglob("*.log"))


def send(client: Client, count: int) -> tuple[int, set[str]]:
    domain = f"t{time.monotonic_ns()}.example.org"
    addresses = {f"r{number}@{domain}" for number in range(count)}
    body = {"recipients": [{"email": address, "name": "Kim"} for address in addresses]}
    return client.post("/api/emails/send-bulk", body)["batchId"], addresses


def test_no_login_is_refused_when_tokens_live_five_seconds(
    stack: RunningStack, servers: OAuthServers, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    # Other tests of this module, in whatever order, use the same servers and refuse logins.
    refused, accepted, requests = servers.refused_logins, servers.accepted_logins, len(servers.requests)
    begun_at = time.monotonic()
    batch_id, addresses = send(client, RECIPIENTS)
    batch = client.wait_for_end(batch_id, within_seconds=COMPLETE_SECONDS)
    seconds = time.monotonic() - begun_at
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{RECIPIENTS:,} mails in {seconds:.1f} s: {servers.accepted_logins - accepted} logins, "
            f"{servers.refused_logins - refused} refused, {len(servers.requests) - requests} requests for a token",
            flush=True,
        )
    assert (batch["status"], batch["sentCount"]) == ("completed", RECIPIENTS)
    assert {address: count for address, count in servers.recipients.items() if address in addresses} == Counter(
        addresses
    )
    assert servers.refused_logins == refused
    assert servers.accepted_logins - accepted >= RECIPIENTS / MESSAGES_A_CONNECTION
    # All workers share one token: one request for each 4 seconds of its life, and not one for each worker.
    assert seconds / LIFE_SECONDS - 2 < len(servers.requests) - requests < seconds / (LIFE_SECONDS * 0.8) + 5
    assert find_secrets(read_logs(stack), servers) == []


@pytest.mark.parametrize(
    ("break_login", "words"),
    [
        (
            lambda servers: setattr(servers, "answer", (401, {}, {"error": "invalid_client"})),
            "Check EMAIL_OAUTH_CLIENT_ID and EMAIL_OAUTH_CLIENT_SECRET.",
        ),
        (lambda servers: setattr(servers, "user", "another@school.example"), "refused the login (535 5.7.3"),
    ],
    ids=["endpoint", "relay"],
)
def test_job_waits_with_a_sentence_and_goes_on_when_the_login_fails(
    stack: RunningStack,
    servers: OAuthServers,
    client: Client,
    break_login: Callable[[OAuthServers], None],
    words: str,
) -> None:
    user = servers.user
    servers.revoke_all()
    break_login(servers)
    batch_id, addresses = send(client, 100)
    job = client.batch(batch_id)["jobId"]
    wait_until(lambda: words in client.get(f"/api/jobs/{job}")["lastError"], within_seconds=60, what="The sentence")
    assert client.batch(batch_id)["sentCount"] == 0
    servers.answer, servers.user = None, user
    batch = client.wait_for_end(batch_id, within_seconds=COMPLETE_SECONDS)
    assert batch["sentCount"] == 100
    assert {email["attempts"] for email in client.emails(batch_id)} == {1}
    assert all(servers.recipients[address] == 1 for address in addresses)
    assert find_secrets(read_logs(stack), servers) == []
