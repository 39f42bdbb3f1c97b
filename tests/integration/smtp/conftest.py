"""A token endpoint with its relay."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.oauth_servers import OAuthServers


@pytest.fixture
def servers() -> Iterator[OAuthServers]:
    with OAuthServers() as running:
        yield running
