"""What the tests of the pages share: a signed-in browser without a script."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client


@pytest.fixture
def page(sender: User) -> Client:
    """The sender's browser."""
    browser = Client()
    browser.force_login(sender)
    return browser
