"""The folders that PostgreSQL's user may enter, and those that are refused."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

import pytest

from emailbatch.localstack import permissions

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@only_root
def test_only_the_folders_above_are_opened_and_only_for_passing(tmp_path: Path) -> None:
    outer, inner = tmp_path / "outer", tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    for folder in (outer, inner):
        folder.chmod(0o700)
    opened = permissions.open_the_way(inner)
    assert outer in opened
    assert inner not in opened
    assert (mode(outer), mode(inner)) == (0o701, 0o700)
    assert permissions.open_the_way(inner) == []


@only_root
def test_program_tree_becomes_readable_but_not_writable_when_the_umask_was_strict(tmp_path: Path) -> None:
    tree = tmp_path / "programs"
    (tree / "bin").mkdir(parents=True)
    (tree / "bin" / "server").write_text("")
    (tree / "bin" / "data").write_text("")
    for path, strict in (
        (tree, 0o700),
        (tree / "bin", 0o700),
        (tree / "bin/server", 0o700),
        (tree / "bin/data", 0o600),
    ):
        path.chmod(strict)
    assert permissions.open_programs(tree) == [tree]
    assert [mode(tree / part) for part in ("", "bin", "bin/server", "bin/data")] == [0o705, 0o705, 0o705, 0o604]
    assert permissions.open_programs(tree) == []


def test_folder_is_private_and_has_our_owner_when_made(tmp_path: Path) -> None:
    permissions.make_private_folder(tmp_path / "a" / "b")
    assert mode(tmp_path / "a" / "b") == 0o700
    (tmp_path / "a" / "b").chmod(0o755)
    permissions.make_private_folder(tmp_path / "a" / "b")
    assert mode(tmp_path / "a" / "b") == 0o700


@only_root
def test_folder_is_refused_when_another_user_made_it(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, pwd.getpwnam("daemon").pw_uid, -1)
    with pytest.raises(permissions.FolderRefused, match="belongs to user daemon"):
        permissions.make_private_folder(folder)


def test_folder_is_refused_when_it_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(permissions.FolderRefused):
        permissions.make_private_folder(tmp_path / "link")


def test_folder_is_refused_in_a_sentence_when_it_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(permissions.FolderRefused, match="cannot be used: Not a directory"):
        permissions.make_private_folder(tmp_path / "file" / "below")


@only_root
def test_postgres_has_an_id_that_belongs_to_no_account() -> None:
    uid = permissions.postgres_uid()
    assert uid is not None
    assert uid in permissions.OWN_IDS
    with pytest.raises(KeyError):
        pwd.getpwuid(uid)
    assert permissions.postgres_account() == {"user": uid, "group": uid, "extra_groups": []}


@only_root
def test_next_id_is_taken_when_the_first_belongs_to_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    first = permissions.OWN_IDS[0]
    find = pwd.getpwuid
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: find(0) if uid == first else find(uid))
    assert permissions.postgres_uid() == first + 1


@only_root
def test_shared_user_is_taken_when_there_is_no_free_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permissions, "OWN_IDS", range(0, 1))
    assert permissions.postgres_uid() == pwd.getpwnam("nobody").pw_uid


@only_root
def test_no_process_runs_as_the_account_of_initdb() -> None:
    account = permissions.initdb_account()
    assert account["user"] != 0
    assert pwd.getpwuid(account["user"]).pw_uid == account["user"]
    busy = {entry.stat().st_uid for entry in Path("/proc").glob("[0-9]*") if entry.exists()}
    assert account["user"] not in busy


@only_root
def test_folder_of_an_earlier_version_changes_its_owner_with_all_that_was_its_own(tmp_path: Path) -> None:
    nobody, uid = pwd.getpwnam("nobody").pw_uid, permissions.postgres_uid()
    cluster = tmp_path / "postgres"
    (cluster / "base").mkdir(parents=True)
    for name in ("PG_VERSION", "base/1", "foreign"):
        (cluster / name).write_text("")
    for path in (cluster, cluster / "base", cluster / "PG_VERSION", cluster / "base" / "1"):
        os.chown(path, nobody, nobody)
    (cluster / "link").symlink_to("/etc/passwd")
    assert permissions.take_over(cluster, owner=uid)
    owned = {path.name for path in (cluster, *cluster.rglob("*")) if path.lstat().st_uid == uid}
    assert owned == {"postgres", "base", "PG_VERSION", "1"}, "what was root's stays root's"
    assert Path("/etc/passwd").stat().st_uid == 0
    assert not permissions.take_over(cluster, owner=uid)


@only_root
def test_folder_of_another_user_is_not_taken_over(tmp_path: Path) -> None:
    os.chown(tmp_path, pwd.getpwnam("daemon").pw_uid, -1)
    assert not permissions.take_over(tmp_path, owner=permissions.postgres_uid())
    assert not permissions.remove_sockets(tmp_path)
    assert tmp_path.exists()
