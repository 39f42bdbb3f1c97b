"""The list of the project's files, with git and without."""

from __future__ import annotations

from pathlib import Path

from tests.project_files import list_files


def test_files_are_listed_without_git_when_the_folder_is_no_repository(tmp_path: Path) -> None:
    for name in ("batches/models.py", "README.md", ".venv/lib/x.py", "var/log.txt", "batches/__pycache__/m.pyc"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert list_files(tmp_path) == ["README.md", "batches/models.py"]


def test_the_same_files_are_listed_when_the_project_has_a_repository() -> None:
    listed = list_files()
    assert {"manage.py", "batches/models/sql/send.sql", ".ci/run"} <= set(listed)
    assert not [path for path in listed if path.startswith((".venv/", ".git/"))]
