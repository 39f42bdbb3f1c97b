"""Over https, every cookie has a name that a browser takes from this host only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent
PROGRAM = """
from batches.accounts import devices, kept_forms
from django.conf import settings
from django.contrib.messages.storage import default_storage
from django.test import RequestFactory
request = RequestFactory().get("/")
request.session = {}
storage = default_storage(request)
own = storage.storages[0].cookie_name, devices.cookie_name(), kept_forms.cookie_name()
print(settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME, *own)
"""


@pytest.mark.parametrize(
    ("is_https", "expected"),
    [
        ("true", "__Host-sessionid __Host-csrftoken __Host-messages __Secure-known_device __Host-last_user"),
        ("false", "sessionid csrftoken messages known_device last_user"),
    ],
)
def test_names_of_cookies_have_a_prefix_over_https(tmp_path: Path, is_https: str, expected: str) -> None:
    result = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-v", "0", "-c", PROGRAM],
        env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path), "SECURE_SSL_REDIRECT": is_https},
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout.strip() == expected, result.stderr
