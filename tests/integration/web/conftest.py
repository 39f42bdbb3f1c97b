"""Fixtures for the tests of the pages: a signed-in client that runs no script."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client


@pytest.fixture
def page(sender: User) -> Client:
    """A client in which the sender is signed in."""
    client = Client()
    client.force_login(sender)
    return client
