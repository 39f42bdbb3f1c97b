"""Fixtures for the tests of the pages: a signed-in client that runs no script."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from batches.models import Batch


@pytest.fixture
def page(sender: User) -> Client:
    """A client in which the sender is signed in."""
    client = Client()
    client.force_login(sender)
    return client


def reviewed(page: Client, batch: Batch, **query: str) -> dict[str, str]:
    """Open the review as a user does, and return the field of its form that says what it showed."""
    text = page.get(reverse("review", args=[batch.pk]), query).content.decode()
    found = re.search(r'name="reviewed" value="([0-9a-f]*)"', text)
    assert found
    return {"reviewed": found[1]}
