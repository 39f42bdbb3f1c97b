"""The version says the same everywhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from batches.api import api
from emailbatch import __version__

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent


def test_package_has_the_version_of_the_code() -> None:
    assert tomllib.loads((PROJECT_DIR / "pyproject.toml").read_text())["project"]["version"] == __version__


def test_api_states_the_version_of_the_code() -> None:
    assert api.get_openapi_schema()["info"]["version"] == __version__


def test_changelog_begins_with_the_version_of_the_code() -> None:
    """An "Unreleased" section may precede it: that is where a change is noted until the next release."""
    versions = re.findall(r"^## \[(.+?)\]", (PROJECT_DIR / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert next(version for version in versions if version != "Unreleased") == __version__
