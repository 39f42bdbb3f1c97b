"""One access token for all connections of a lane run, renewed in time."""

from __future__ import annotations

import asyncio
import threading

import pytest

from batches.smtp import access_tokens
from batches.smtp.access_tokens import AccessTokens, MemoryStore, Stored, renewal_due_after
from batches.smtp.oauth import OAuthClient
from batches.smtp.token_endpoint import Grant, TokenError

CLIENT = OAuthClient(
    user="news@school.example",
    token_url="https://login.example/token",
    client_id="app",
    client_secret="hush",
    scope="",
    variables="EMAIL_OAUTH_",
)


class Endpoint:
    """Gives the tokens t1, t2, ... or fails."""

    def __init__(self, life_seconds: float = 3600) -> None:
        self.life_seconds = life_seconds
        self.refresh_tokens: list[str] = []
        self.error: TokenError | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __call__(self, client: OAuthClient, *, refresh_token: str = "") -> Grant:
        self.refresh_tokens.append(refresh_token)
        number = len(self.refresh_tokens)
        assert self.may_answer.wait(10)
        if self.error is not None:
            raise self.error
        return Grant(access_token=f"t{number}", life_seconds=self.life_seconds, refresh_token=f"r{number}")

    @property
    def request_count(self) -> int:
        return len(self.refresh_tokens)


@pytest.mark.parametrize(("life", "due"), [(5, 4), (60, 48), (300, 240), (3600, 3540), (86_400, 86_340)])
def test_token_is_renewed_after_80_percent_or_60_seconds_before_its_end(life: float, due: float) -> None:
    assert renewal_due_after(life) == due


async def test_one_request_is_made_when_many_connections_log_in() -> None:
    endpoint = Endpoint()
    tokens = AccessTokens(CLIENT, request=endpoint)
    got = await asyncio.gather(*(tokens.get() for _ in range(10)))
    assert {token.text for token in got} == {"t1"}
    assert sum(token.is_new for token in got) == 1
    assert endpoint.request_count == 1


async def test_token_is_renewed_with_the_newest_refresh_token_when_it_is_due() -> None:
    endpoint = Endpoint(life_seconds=0)
    tokens = AccessTokens(CLIENT, request=endpoint)
    assert [(await tokens.get()).text for _ in range(3)] == ["t1", "t2", "t3"]
    assert endpoint.refresh_tokens == ["", "r1", "r2"]


async def test_one_renewal_is_made_when_the_relay_refuses_a_token_to_many() -> None:
    endpoint = Endpoint()
    tokens = AccessTokens(CLIENT, request=endpoint)
    first = await tokens.get()
    got = await asyncio.gather(*(tokens.get(refused=first.text) for _ in range(5)))
    assert {token.text for token in got} == {"t2"}
    assert endpoint.request_count == 2


async def test_failure_is_told_to_all_that_wait_without_another_request() -> None:
    endpoint = Endpoint()
    endpoint.error = TokenError("It said no.")
    tokens = AccessTokens(CLIENT, request=endpoint)
    got = await asyncio.gather(*(tokens.get() for _ in range(10)), return_exceptions=True)
    assert [str(error) for error in got] == ["It said no."] * 10
    assert endpoint.request_count == 1


async def test_old_token_is_used_when_its_renewal_fails_before_its_end(caplog: pytest.LogCaptureFixture) -> None:
    class Due(MemoryStore):
        def read(self, *, refused: str) -> Stored:
            return Stored(access_token="old", remaining_seconds=30, renew_in_seconds=-1, is_ours=True)

    endpoint = Endpoint()
    endpoint.error = TokenError("It said no.")
    tokens = AccessTokens(CLIENT, Due(), request=endpoint)
    assert (await tokens.get()).text == "old"
    assert "was not renewed: It said no." in caplog.text
    with pytest.raises(TokenError):
        await tokens.get(refused="old")


async def test_token_of_another_process_is_taken_when_it_has_renewed() -> None:
    class Renewed(MemoryStore):
        reads = 0

        def read(self, *, refused: str) -> Stored:
            self.reads += 1
            is_there = self.reads > 2
            return Stored(access_token="theirs" if is_there else "", renew_in_seconds=100, remaining_seconds=100)

    store, endpoint = Renewed(), Endpoint()
    tokens = AccessTokens(CLIENT, store, request=endpoint)
    assert (await tokens.get()).text == "theirs"
    assert (await tokens.get()).text == "theirs"
    assert (store.reads, endpoint.request_count) == (3, 0)


async def test_new_refresh_token_is_kept_when_the_login_is_cancelled_meanwhile() -> None:
    endpoint, store = Endpoint(), MemoryStore()
    endpoint.may_answer.clear()
    tokens = AccessTokens(CLIENT, store, request=endpoint)
    login = asyncio.ensure_future(tokens.get())
    async with asyncio.timeout(10):
        while not endpoint.request_count:
            await asyncio.sleep(0.01)
    login.cancel()
    with pytest.raises(asyncio.CancelledError):
        await login
    endpoint.may_answer.set()
    async with asyncio.timeout(10):
        while not store.read(refused="").refresh_token:
            await asyncio.sleep(0.01)
    assert store.read(refused="").refresh_token == "r1"


async def test_no_token_is_shown_when_its_holders_are_shown() -> None:
    grant = Grant(access_token="hush", refresh_token="hush", life_seconds=9)
    stored = Stored(access_token="hush", refresh_token="hush")
    token = await AccessTokens(CLIENT, request=Endpoint()).get()
    assert "hush" not in f"{grant!r} {stored!r}" and "t1" not in repr(token)


async def test_waiting_ends_with_a_sentence_when_the_endpoint_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_tokens, "RENEWAL_MAX_SECONDS", 0.05)
    endpoint = Endpoint()
    endpoint.may_answer.clear()
    with pytest.raises(TokenError, match=r"^No new token came from login\.example in time\. It is asked again\.$"):
        await AccessTokens(CLIENT, request=endpoint).get()
    endpoint.may_answer.set()


async def test_new_token_is_used_when_it_cannot_be_stored(caplog: pytest.LogCaptureFixture) -> None:
    class FullStore(MemoryStore):
        def save(self, grant: Grant, *, renew_in_seconds: float) -> None:
            raise TokenError("It is full.")

    assert (await AccessTokens(CLIENT, FullStore(), request=Endpoint()).get()).text == "t1"
    assert "is not stored for other processes: It is full." in caplog.text
    assert "t1" not in caplog.text
