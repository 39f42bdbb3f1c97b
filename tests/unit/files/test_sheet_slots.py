from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings

from batches.files.errors import ServerBusy
from batches.files.sheet_slots import hold_slot

PROJECT = Path(__file__).parents[3]
HOLDER = """
import os, subprocess, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "emailbatch.settings"
from batches.files.sheet_slots import hold_slot
with hold_slot(wait_seconds=30) as slot:
    if sys.argv[1:] == ["child"]:
        child = subprocess.Popen(["cat"], stdin=sys.stdin, pass_fds=slot)
        print(child.pid, flush=True)
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use slots of this test's own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield
    tempfile.tempdir = None


def start_holder(*arguments: str) -> subprocess.Popen[str]:
    """Start a process that waits for a slot, and holds it until its standard input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, *arguments],
        cwd=PROJECT,
        env={**os.environ, "SPREADSHEETS_AT_ONCE": "2"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    process.communicate()
    assert process.returncode in (0, -signal.SIGKILL)


def test_third_process_waits_until_one_of_two_is_killed(settings: LazySettings) -> None:
    settings.SPREADSHEETS_AT_ONCE = 2
    first, second = start_holder(), start_holder()
    assert read_line(first) == read_line(second) == "held"
    with pytest.raises(ServerBusy, match="Upload this one again in a minute") as caught, hold_slot(wait_seconds=0.2):
        pass
    assert caught.value.http_status == 503
    third = start_holder()  # waits
    first.kill()
    assert read_line(third) == "held"
    for process in (first, second, third):
        end(process)
    with hold_slot(wait_seconds=0), hold_slot(wait_seconds=0):
        pass


def test_turn_lasts_until_the_child_ends_when_its_parent_is_killed(settings: LazySettings) -> None:
    settings.SPREADSHEETS_AT_ONCE = 1
    parent = start_holder("child")
    child = int(read_line(parent))
    assert read_line(parent) == "held"
    parent.kill()
    parent.wait()
    with pytest.raises(ServerBusy), hold_slot(wait_seconds=0):
        pass
    os.kill(child, signal.SIGKILL)
    with hold_slot(wait_seconds=30):
        pass
    parent.communicate()


def test_slot_is_refused_when_it_is_a_link(settings: LazySettings, tmp_path: Path) -> None:
    settings.SPREADSHEETS_AT_ONCE = 1
    target = tmp_path / "target"
    (tmp_path / f"emailbatch-{os.getuid()}-spreadsheet-0.lock").symlink_to(target)
    with pytest.raises(OSError), hold_slot(wait_seconds=0):
        pass
    assert not target.exists()


def test_one_reader_never_has_all_slots(settings: LazySettings) -> None:
    settings.SPREADSHEETS_AT_ONCE = 3
    with hold_slot(reader=1, wait_seconds=0), hold_slot(reader=1, wait_seconds=0):
        with pytest.raises(ServerBusy), hold_slot(reader=1, wait_seconds=0):
            pass
        with hold_slot(reader=2, wait_seconds=0), pytest.raises(ServerBusy), hold_slot(reader=3, wait_seconds=0):
            pass
    with hold_slot(reader=1, wait_seconds=0):
        pass


def test_turn_comes_back_when_no_slot_was_free(settings: LazySettings) -> None:
    settings.SPREADSHEETS_AT_ONCE = 1
    with hold_slot(wait_seconds=0), pytest.raises(ServerBusy), hold_slot(reader=1, wait_seconds=0):
        pass
    with hold_slot(reader=1, wait_seconds=0):
        pass
