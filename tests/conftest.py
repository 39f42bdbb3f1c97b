"""Factories and fixtures that the tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import services


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of this run's embedded PostgreSQL and Valkey."""
    return services.running.data_dir
