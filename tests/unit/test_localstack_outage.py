"""What a command says when its own PostgreSQL does not answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project_files import PROJECT_DIR


@pytest.mark.parametrize("command", [["migrate"], ["sendbatch", "list.csv", "--template", "welcome_email"]])
def test_one_sentence_is_printed_when_postgres_does_not_answer(tmp_path: Path, command: list[str]) -> None:
    # Nobody can listen on port 1 without privileges, and no PostgreSQL does with them.
    url = "postgres://sender:s3cr3t@127.0.0.1:1/emailbatch"
    result = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=PROJECT_DIR,
        env={**os.environ, "DATA_DIR": str(tmp_path), "DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("PostgreSQL can't be reached: connection failed: ")
    assert result.stderr.endswith(". Start it, or correct DATABASE_URL.\n")
    assert len(result.stderr.splitlines()) == 1
    assert "s3cr3t" not in result.stderr
