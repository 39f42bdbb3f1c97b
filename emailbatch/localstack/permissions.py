"""Decides which user runs the embedded PostgreSQL, and lets that user reach what it needs.

PostgreSQL refuses to run as root. If root starts the local stack, PostgreSQL runs under a user id that belongs to no
account, so no other program of this machine runs under it. That user owns the cluster and the folder of PostgreSQL's
socket. It must also pass through the folders above them and above the server's program (``o+x``, which does not allow
listing). Nothing else is changed, and each function returns what it changed, so that one log line can say it.

Nothing is written into the machine's list of users: the local stack writes in DATA_DIR only, and it also works on a
machine without useradd.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypedDict

OWN_IDS = range(65520, 65534)
"""User ids that no distribution gives out (systemd, "Users, Groups, UIDs and GIDs on systemd Systems"; Debian Policy
section 9.2.2). A container of 65,536 ids has them too."""

SHARED_USER = "nobody"
"""The user in a container that has none of OWN_IDS, and the user of earlier versions. Other programs run as it too."""


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
    uid = _find_own_id()
    return _account_of(pwd.getpwnam(SHARED_USER)) if uid is None else {"user": uid, "group": uid, "extra_groups": []}


def initdb_account() -> Account:
    """Return the user that runs initdb; empty for the user of this process.

    initdb must run as an account with a name, so root cannot give it the id of the server. It gets the account of
    which no process runs: for that second, nobody else can reach the new cluster. Afterwards the server's user owns it.
    """
    if os.geteuid() != 0:
        return {}
    busy = {owner for entry in Path("/proc").glob("[0-9]*") if (owner := _owner(entry)) is not None}
    accounts = sorted(pwd.getpwall(), key=lambda entry: entry.pw_name != SHARED_USER)
    idle = [entry for entry in accounts if entry.pw_uid != 0 and entry.pw_uid not in busy]
    return _account_of(idle[0] if idle else pwd.getpwnam(SHARED_USER))


def _account_of(entry: pwd.struct_passwd) -> Account:
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _find_own_id() -> int | None:
    """Return the first of OWN_IDS that belongs to no account and that a process here can have."""
    return next((number for number in OWN_IDS if _is_unused(number) and _is_mapped(number)), None)


def _is_unused(number: int) -> bool:
    return not (_has_entry(pwd.getpwuid, number) or _has_entry(grp.getgrgid, number))


def _has_entry(find: Callable[[int], object], number: int) -> bool:
    try:
        find(number)
    except KeyError:
        return False
    return True


def _is_mapped(number: int) -> bool:
    """Whether this user namespace has the id, as user and as group (user_namespaces(7))."""
    for name in ("uid_map", "gid_map"):
        try:
            lines = Path("/proc/self", name).read_text().splitlines()
        except OSError:
            continue  # without /proc there are no namespaces to ask about
        ranges = [(int(first), int(count)) for first, _, count in map(str.split, lines)]
        if not any(first <= number < first + count for first, count in ranges):
            return False
    return True


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except OSError:
        return None


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


def take_over(folder: Path, *, owner: int | None) -> bool:
    """As root, give a folder of an earlier version, and everything in it, to another user. Returns whether it did.

    The folder itself changes last: if the program is killed in between, the next call goes on.
    """
    former = _former_owner(folder, wanted=owner)
    if former is None:
        return False
    give(folder, former=former, owner=owner)
    return True


def give(folder: Path, *, former: int | None, owner: int | None) -> None:
    """As root, give what belongs to the former user in this folder, and then the folder, to the owner.

    What belongs to anybody else is left: it could be a hard link to a file elsewhere.
    """
    if former is None or owner is None or former == owner:
        return
    for entry in sorted(_everything_in(folder), key=lambda path: len(path.parts), reverse=True):
        if entry.lstat().st_uid == former:
            os.chown(entry, owner, owner, follow_symlinks=False)


def remove_sockets(folder: Path) -> bool:
    """As root, remove a folder of sockets that an earlier version gave to another user. Returns whether it did."""
    if _former_owner(folder, wanted=os.geteuid()) is None:
        return False
    shutil.rmtree(folder)
    return True


def _former_owner(folder: Path, *, wanted: int | None) -> int | None:
    """Return the owner of a folder if it is a user that runs, or ran, PostgreSQL for root, and not the wanted one."""
    if os.geteuid() != 0 or folder.is_symlink() or not folder.is_dir():
        return None
    owner = folder.stat().st_uid
    return owner if owner != wanted and owner in {*OWN_IDS, pwd.getpwnam(SHARED_USER).pw_uid} else None


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
