"""The tokens of a relay in PostgreSQL: shared by all processes, renewed by one, and unreadable without SECRET_KEY."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from django.conf import LazySettings
from django.db import connection
from django.db.models.functions import Now

from batches.models import Relay, RelayToken
from batches.relays import registry, sync
from batches.relays.token_store import DatabaseStore
from batches.smtp.oauth import make_client
from batches.smtp.relay import RelayAddress, RelayUrlError
from batches.smtp.token_endpoint import Grant, TokenError

pytestmark = pytest.mark.django_db

VALUES = {"CLIENT_ID": "app", "CLIENT_SECRET": "hush-secret", "TENANT": "t", "REFRESH_TOKEN": "hush-first"}
CLIENT = make_client("microsoft", VALUES, user="news@school.example", variables="EMAIL_OAUTH_M365_")
GRANT = Grant(access_token="hush-access", life_seconds=3600, refresh_token="hush-second")


@pytest.fixture(autouse=True)
def relay(settings: LazySettings) -> None:
    settings.SEND_BACKEND = ""
    settings.RELAY_URLS = {"m365": "smtp+tls://news%40school.example@smtp.office365.com:587?oauth=microsoft"}
    settings.RELAY_OAUTH = {"m365": VALUES}
    sync()


def store() -> DatabaseStore:
    """The store as another process has it."""
    return DatabaseStore("m365", CLIENT)


def renew() -> None:
    renewer = store()
    assert renewer.read(refused="").is_ours
    renewer.save(GRANT, renew_in_seconds=3540)


def test_one_process_renews_and_the_others_get_its_token() -> None:
    first, second = store(), store()
    assert first.read(refused="").is_ours
    assert not second.read(refused="").is_ours
    first.save(GRANT, renew_in_seconds=3540)
    stored = second.read(refused="")
    assert (stored.access_token, stored.refresh_token, stored.is_ours) == ("hush-access", "hush-second", False)
    assert 3530 < stored.renew_in_seconds <= 3540
    assert 3590 < stored.remaining_seconds <= 3600


def test_another_process_may_renew_at_once_when_a_renewal_failed() -> None:
    first = store()
    assert first.read(refused="").is_ours
    first.give_up()
    assert store().read(refused="").is_ours


def test_another_process_may_renew_when_the_first_died_long_ago() -> None:
    assert store().read(refused="").is_ours
    assert not store().read(refused="").is_ours
    RelayToken.objects.update(renewing_until=Now() - timedelta(seconds=1))
    assert store().read(refused="").is_ours


def test_token_that_is_due_is_renewed_with_the_newest_refresh_token() -> None:
    renew()
    RelayToken.objects.update(renew_at=Now())
    stored = store().read(refused="")
    assert (stored.is_ours, stored.refresh_token, stored.access_token) == (True, "hush-second", "hush-access")


def test_refused_token_is_renewed_once() -> None:
    renew()
    first, second = store(), store()
    assert first.read(refused="hush-access").is_ours
    assert not second.read(refused="hush-access").is_ours
    first.save(replace(GRANT, access_token="hush-next"), renew_in_seconds=3540)
    stored = second.read(refused="hush-access")
    assert (stored.access_token, stored.is_ours) == ("hush-next", False)


def test_refresh_token_is_kept_when_the_endpoint_gives_no_new_one() -> None:
    renew()
    RelayToken.objects.update(renew_at=Now())
    renewer = store()
    renewer.read(refused="")
    renewer.save(replace(GRANT, refresh_token=""), renew_in_seconds=9)
    assert store().read(refused="").refresh_token == "hush-second"


def test_tokens_are_forgotten_when_somebody_signs_in_again() -> None:
    renew()
    signed_in = make_client("microsoft", VALUES | {"REFRESH_TOKEN": "new"}, user=CLIENT.user, variables="X_")
    stored = DatabaseStore("m365", signed_in).read(refused="")
    assert (stored.access_token, stored.refresh_token, stored.is_ours) == ("", "", True)


def test_tokens_are_kept_when_only_the_client_secret_is_new() -> None:
    renew()
    changed = make_client("microsoft", VALUES | {"CLIENT_SECRET": "new"}, user=CLIENT.user, variables="X_")
    assert DatabaseStore("m365", changed).read(refused="").refresh_token == "hush-second"


def test_tokens_are_forgotten_when_secret_key_changes(settings: LazySettings) -> None:
    renew()
    settings.SECRET_KEY = "another"
    stored = store().read(refused="")
    assert (stored.access_token, stored.refresh_token, stored.is_ours) == ("", "", True)


@pytest.mark.django_db(transaction=True)
def test_outage_of_postgresql_is_a_failure_of_the_login() -> None:
    sync()
    refusing = store()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE batches_relaytoken RENAME TO elsewhere")
    try:
        for call in (partial(refusing.read, refused=""), partial(refusing.save, GRANT, renew_in_seconds=1)):
            with pytest.raises(TokenError, match=r"PostgreSQL can't be reached now\. It is looked for again\."):
                call()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO batches_relaytoken")


def test_row_shows_no_token() -> None:
    renew()
    row = RelayToken.objects.get()
    assert "hush" not in f"{row.__dict__} {row}"


def test_relay_of_the_environment_has_its_client(settings: LazySettings) -> None:
    address = registry.read_address("m365")
    assert isinstance(address, RelayAddress) and address.tokens is not None
    assert address.tokens.client == CLIENT
    assert "hush" not in f"{address!r} {address.tokens!r} {address.tokens.client!r}"
    settings.RELAY_OAUTH = {}
    with pytest.raises(RelayUrlError, match="EMAIL_OAUTH_M365_CLIENT_ID is not set"):
        registry.read_address("m365")


def test_default_relays_variables_have_no_name(settings: LazySettings) -> None:
    settings.EMAIL_URL, settings.RELAY_OAUTH = settings.RELAY_URLS["m365"], {}
    with pytest.raises(RelayUrlError, match="EMAIL_OAUTH_CLIENT_ID is not set"):
        registry.read_address("default")


def test_row_goes_with_its_relay() -> None:
    renew()
    Relay.objects.filter(name="m365").delete()
    assert not RelayToken.objects.exists()
