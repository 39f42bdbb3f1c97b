"""Which files belong to the project: those that git tracks or, without git, all but the ones that tools create."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parent.parent
MADE_BY_TOOLS = {".git", ".venv", "var", "node_modules", "staticfiles", "__pycache__", ".env"}


def list_files(folder: Path = PROJECT_DIR) -> list[str]:
    """List the paths of the project's files, relative to the folder, in order.

    A machine needs no git to run the tests, and a downloaded archive has no repository.
    """
    if shutil.which("git") and (folder / ".git").exists():
        listed = subprocess.run(["git", "ls-files"], cwd=folder, capture_output=True, text=True, check=True).stdout
        paths = listed.splitlines()
    else:
        paths = [str(path.relative_to(folder)) for path in folder.rglob("*") if not _is_made_by_tools(path, folder)]
    return sorted(path for path in paths if (folder / path).is_file())


def _is_made_by_tools(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    return any(part in MADE_BY_TOOLS or part.endswith("_cache") or part == ".hypothesis" for part in parts)
