"""Factories and fixtures that the tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.auth.models import User

from batches.models import EmailTemplate
from tests import services


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of this run's embedded PostgreSQL and Valkey."""
    return services.running.data_dir


@pytest.fixture
def sender(db: None) -> User:
    """An ordinary user."""
    return User.objects.create_user("sender", "sender@example.org")


@pytest.fixture
def staff(db: None) -> User:
    """A user with the admin's every right."""
    return User.objects.create_superuser("staff", "staff@example.org")


@pytest.fixture
def welcome(db: None) -> EmailTemplate:
    """The default template; its merge field is ``name``."""
    return EmailTemplate.objects.create(
        key="welcome_email",
        name="Welcome",
        subject="Hello {{ name }}",
        html="<p>Dear {{ name }}</p>",
        text="Dear {{ name }}",
        is_default=True,
    )
