"""A pytest plugin that makes passwords cheap: a real hash costs a tenth of a second, and each login needs one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.test import override_settings


class OneRoundHasher(PBKDF2PasswordHasher):
    """Django's default with one iteration. Its hashes are of the same kind, so a real daphne can check them too."""

    iterations = 1


@pytest.fixture(autouse=True, scope="session")
def cheap_passwords() -> Iterator[None]:
    with override_settings(PASSWORD_HASHERS=[f"{OneRoundHasher.__module__}.{OneRoundHasher.__qualname__}"]):
        yield
