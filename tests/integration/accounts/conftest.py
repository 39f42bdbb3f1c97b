"""Fixtures for the tests of signing in."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from batches import redis_client

PASSWORD = "a long one 42"


@pytest.fixture(autouse=True)
def no_guesses() -> None:
    """Forget what earlier tests have guessed."""
    with redis_client.connect() as client:
        for key in client.scan_iter("emailbatch:guesses:*"):
            client.delete(key)


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob", password=PASSWORD)
