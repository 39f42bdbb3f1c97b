"""Decides which user runs the embedded PostgreSQL, and lets that user reach what it needs.

PostgreSQL refuses to run as root. If root starts the local stack, PostgreSQL runs as the system user ``nobody``. That
user must own the cluster and the folder of the sockets. It must also pass through the folders above them and above the
server's program (``o+x``, which does not allow listing). Nothing else is changed, and each function returns what it
changed, so that one log line can say it.
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
    """A folder of the local stack cannot be used. The message says what to do."""


class Account(TypedDict, total=False):
    """The user of a child process, as arguments of ``subprocess``. Empty: the user of this process."""

    user: int
    group: int
    extra_groups: list[int]


def postgres_account() -> Account:
    """Return the user that PostgreSQL must run as; empty for the user of this process.

    For root the group changes too: PostgreSQL has no need of root's group.
    """
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(USER_WHEN_ROOT)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def postgres_uid() -> int | None:
    """Return the user that PostgreSQL must run as, or None if this process may run it itself."""
    return postgres_account().get("user")


def make_private_folder(folder: Path, *, owner: int | None = None) -> None:
    """Create a folder that only its owner can enter, or check that an existing one has the right owner.

    Raises:
        FolderRefused: the folder belongs to another user. In /tmp any user could have created it.
    """
    expected = os.geteuid() if owner is None else owner
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
        if found.st_uid == os.geteuid() != expected:
            os.chown(folder, expected, -1)
            found = folder.lstat()
    except OSError as exc:
        raise FolderRefused(f"The folder {folder} cannot be used: {exc.strerror}. Choose another DATA_DIR.") from exc
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != expected:
        raise FolderRefused(
            f"The folder {folder} belongs to user {_name(found.st_uid)}. Run this as the user who started the local "
            f"stack first, or choose another DATA_DIR."
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)


def open_the_way(*folders: Path) -> list[Path]:
    """Let every user pass through the folders above these. Only root does this. Returns the changed folders."""
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
    """Let every user read and run the files under these folders. Only root does this. Returns the changed folders."""
    if os.geteuid() != 0:
        return []
    return [tree for tree in trees if sum(_open_entry(entry) for entry in _everything_in(tree))]


def _everything_in(tree: Path) -> Iterator[Path]:
    yield tree
    yield from tree.rglob("*")


def _open_entry(entry: Path) -> bool:
    """Give other users the owner's permissions, except writing. Returns whether anything changed."""
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
