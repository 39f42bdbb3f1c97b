"""Each example of variables in docs/relays.md describes relays that can be used."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pytest_django.fixtures import Settings

from batches import checks
from batches.relays import registry
from batches.smtp.oauth import CLIENT_VARIABLES
from batches.smtp.relay import RelayAddress
from emailbatch.environment import Environment, find_stray_oauth_variables, read_relay_oauth, read_relay_urls
from tests.project_files import PROJECT_DIR

EXAMPLES = [
    ("EMAIL_URL", "EMAIL_URL_M365", "EMAIL_URL_BACKUP_FILE"),
    (
        "EMAIL_URL_M365",
        "EMAIL_OAUTH_M365_TENANT",
        "EMAIL_OAUTH_M365_CLIENT_ID",
        "EMAIL_OAUTH_M365_CLIENT_SECRET_FILE",
    ),
    ("EMAIL_URL_WORKSPACE", "EMAIL_OAUTH_WORKSPACE_SERVICE_ACCOUNT_FILE"),
    (
        "EMAIL_URL_GMAIL",
        "EMAIL_OAUTH_GMAIL_CLIENT_ID",
        "EMAIL_OAUTH_GMAIL_CLIENT_SECRET_FILE",
        "EMAIL_OAUTH_GMAIL_REFRESH_TOKEN_FILE",
    ),
]
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
CONTENTS = {
    "EMAIL_URL_BACKUP_FILE": "smtp://backup.example",
    "EMAIL_OAUTH_WORKSPACE_SERVICE_ACCOUNT_FILE": json.dumps(
        {"client_email": "a@b.example", "private_key": KEY.decode()}
    ),
}


def read_examples() -> list[dict[str, str]]:
    text = (PROJECT_DIR / "docs" / "relays.md").read_text()
    blocks = [dict(re.findall(r"^ *(EMAIL_\w+)=(.*)$", block, re.MULTILINE)) for block in text.split("```")[1::2]]
    return [block for block in blocks if block]


def test_documents_have_these_examples() -> None:
    assert [tuple(example) for example in read_examples()] == EXAMPLES


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example_can_be_used_as_it_is(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    variables = read_examples()[number]
    for name in [name for name in variables if name.endswith("_FILE")]:
        variables[name] = str(tmp_path / name)
        (tmp_path / name).write_text(CONTENTS.get(name, "a secret") + "\n")
    if number == 0:  # its login is the next example's
        variables |= {"EMAIL_OAUTH_M365_CLIENT_ID": "a", "EMAIL_OAUTH_M365_CLIENT_SECRET": "b"}
        variables |= {"EMAIL_OAUTH_M365_TENANT": "c"}
    environment = Environment()
    monkeypatch.setattr(environment, "ENVIRON", variables)
    settings.SEND_BACKEND, settings.IS_LOCAL_DATABASE, settings.IS_LOCAL_REDIS = "", True, True
    settings.IS_LOCAL_INBOX, settings.EMAIL_URL = False, environment.secret("EMAIL_URL")
    settings.RELAY_URLS = read_relay_urls(environment)
    settings.RELAY_OAUTH = read_relay_oauth(environment, settings.RELAY_URLS, ends=CLIENT_VARIABLES)
    settings.STRAY_OAUTH_VARIABLES = find_stray_oauth_variables(environment, settings.RELAY_URLS, ends=CLIENT_VARIABLES)
    assert checks.check_addresses(None) == checks.check_relay_names(None) == []
    for name, url in registry.relay_urls().items():
        address = registry.read_address(name)
        assert isinstance(address, RelayAddress)
        assert (address.tokens is not None) == ("?oauth=" in url)
