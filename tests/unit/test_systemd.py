"""The units of systemd: they are valid, give least rights, and read every secret from a file."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent
UNITS = sorted((PROJECT_DIR / "systemd").glob("*.service"))

REQUIRED = {
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "ProtectKernelModules": "yes",
    "RestrictSUIDSGID": "yes",
    "SystemCallFilter": "@system-service",
    "UMask": "0077",
    "User": "emailbatch",
}
SECRETS = {"SECRET_KEY", "UNSUBSCRIBE_KEYS", "DATABASE_URL", "REDIS_URL", "EMAIL_URL"}
EXPOSURE_MAX = 20
"""In tenths, as systemd-analyze takes it. A unit without any of these settings has 96."""


def read_unit(path: Path) -> dict[str, list[str]]:
    """Return the values of each directive, in order. The format allows one several times."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if not line.startswith(("#", "[")) and "=" in line:
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def runnable(unit: Path, tmp_path: Path) -> Path:
    """Copy a unit with a program that this machine has: systemd looks whether it is there."""
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"(?m)^ExecStart=\S+", f"ExecStart={sys.executable}", unit.read_text()))
    return copy


def test_there_is_a_unit_for_each_process() -> None:
    names = ["emailbatch-returns.service", "emailbatch-web.service", "emailbatch-worker@.service"]
    assert [unit.name for unit in UNITS] == names


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_gives_least_rights(unit: Path) -> None:
    found = read_unit(unit)
    assert {name: found.get(name) for name in REQUIRED} == {name: [value] for name, value in REQUIRED.items()}
    assert re.fullmatch(r"\d+G", found["MemoryMax"][0])
    assert int(found["TasksMax"][0]) <= 512
    assert found["TimeoutStopSec"] == ["300"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_reads_each_secret_from_a_credential(unit: Path) -> None:
    found = read_unit(unit)
    given = dict(part.split("=", 1) for line in found["Environment"] for part in line.split())
    credentials = {line.split(":")[0] for line in found["LoadCredential"]}
    secrets = SECRETS | ({"RETURNS_URL"} if "returns" in unit.name else set())
    assert {name for name in given if name.endswith("_FILE")} == {f"{name}_FILE" for name in secrets}
    assert {given[f"{name}_FILE"] for name in secrets} == {f"%d/{name}" for name in credentials}


def test_page_does_not_name_its_server() -> None:
    assert "--no-server-name" in read_unit(UNITS[1])["ExecStart"][0]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is missing")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit_and_finds_little_exposed(unit: Path, tmp_path: Path) -> None:
    copy = runnable(unit, tmp_path)
    verified = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=60)
    assert verified.returncode == 0, verified.stderr
    assert unit.name not in verified.stderr
    argv = ["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE_MAX}", "--no-pager", str(copy)]
    judged = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    if "nrecognized option" in judged.stderr:
        pytest.skip("this systemd cannot judge a file")
    assert judged.returncode == 0, judged.stdout + judged.stderr
