"""Who runs the embedded PostgreSQL, and what that user must be able to reach.

PostgreSQL refuses to run as root. Started by root it runs as the system user ``nobody``, who must own the cluster
and the folder of the sockets, and pass through (``o+x``, which lists nothing) the folders above them and above the
server's own program. Nothing else is changed, and what was is returned so that one log line can say it.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

USER_WHEN_ROOT = "nobody"


class FolderRefused(Exception):
    """A folder of the local stack can't be used; the message says what to do."""


class Account(TypedDict, total=False):
    """Whom a child process runs as, as arguments of ``subprocess``; empty means: as this process."""

    user: int
    group: int
    extra_groups: list[int]


def postgres_account() -> Account:
    """Whom PostgreSQL must run as. As root not only the user changes: with root's group it would be less able."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(USER_WHEN_ROOT)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def postgres_uid() -> int | None:
    """The user that PostgreSQL must run as, or None when this process may run it itself."""
    return postgres_account().get("user")


def make_private_folder(folder: Path, *, owner: int | None = None) -> None:
    """Make a folder that only its owner enters, or check that the one there is ours.

    Raises: FolderRefused if another user made it: in /tmp anyone could.
    """
    expected = os.geteuid() if owner is None else owner
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if found.st_uid == os.geteuid() != expected:
            os.chown(folder, expected, -1)
            found = folder.lstat()
    except OSError as exc:
        raise FolderRefused(f"The folder {folder} can't be used: {exc.strerror}. Choose another DATA_DIR.") from exc
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != expected:
        raise FolderRefused(
            f"The folder {folder} belongs to user {_name(found.st_uid)}. Run this as the user who started the local "
            f"stack first, or choose another DATA_DIR."
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)


def open_the_way(*folders: Path) -> list[Path]:
    """Let every user pass through the folders above these; only root does this. Returns those it changed."""
    if os.geteuid() != 0:
        return []
    opened = []
    for folder in folders:
        for parent in reversed(folder.resolve().parents):
            mode = parent.stat().st_mode
            if not mode & stat.S_IXOTH:
                parent.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)
                opened.append(parent)
    return opened


def open_programs(*trees: Path) -> list[Path]:
    """Let every user read and run what was installed under these; only root does this. Returns the changed trees."""
    if os.geteuid() != 0:
        return []
    return [tree for tree in trees if sum(_open_entry(entry) for entry in _everything_in(tree))]


def _everything_in(tree: Path) -> Iterator[Path]:
    yield tree
    yield from tree.rglob("*")


def _open_entry(entry: Path) -> bool:
    """Give others what the owner has, but for writing; whether that was news."""
    if entry.is_symlink():
        return False
    mode = stat.S_IMODE(entry.stat().st_mode)
    wanted = mode | ((mode >> 6) & 0o5)
    if wanted != mode:
        entry.chmod(wanted)
    return wanted != mode


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
