"""What somebody may send in place of the answer of a passkey. The walk with a real one is in test_sign_in.py."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth.models import User
from django.test import Client

from tests.integration.accounts.conftest import PASSWORD


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def answer(*, handle: object = "MQ", **changes: object) -> str:
    """Return an answer of a browser as JSON, with some of its parts changed. It is right in form only."""
    client_data = {"type": "webauthn.get", "challenge": "AAAA", "origin": "http://testserver"}
    response = {
        "clientDataJSON": encode(json.dumps(client_data).encode()),
        "authenticatorData": encode(b"\0" * 37),
        "signature": "AAAA",
        "userHandle": handle,
    }
    right = {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": response, "clientExtensionResults": {}}
    return json.dumps({**right, **changes})


ODD: dict[str, str] = {
    "no JSON": "{",
    "a list": "[]",
    "a number": "9" * 5000,
    "too deep": "[" * 100_000,
    "nothing": "null",
    "no parts": "{}",
    "no response": answer(response=1),
    "half a response": answer(response={"userHandle": "MQ"}),
    "no id": answer(id=None),
    "an id that is none": answer(rawId=5),
    "an id of other signs": answer(id="!!"),
    "nobody's handle": answer(handle=encode(b"9" * 400)),
    "a handle with a NUL": answer(handle=encode(b"\0")),
    "a handle that is a number": answer(handle=1),
    "nothing signed": answer(),
}

DOORS = ("login", "add")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ODD)
def test_odd_answer_of_a_passkey_is_refused_without_a_failure(bob: User, name: str, door: str) -> None:
    client, address = Client(), f"/accounts/two-factor/webauthn/{door}/"
    if door != "login":
        client.post("/accounts/login/", {"username": "bob", "password": PASSWORD})
    headers: dict[str, Any] = {"X-Requested-With": "XMLHttpRequest"} if door == "login" else {}
    assert client.get(address, headers=headers).status_code == 200  # which makes the challenge
    found = client.post(address, {"credential": ODD[name], "name": "x"})
    assert found.status_code in (200, 302, 400)
    assert not Authenticator.objects.filter(type=Authenticator.Type.WEBAUTHN).exists()
    if door == "login":
        assert client.get("/batches/").status_code == 302
