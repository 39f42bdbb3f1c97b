"""What the audit of the pins says of pip-audit's reports, and that it never passes off silence as safety."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def audit_pins() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit_pins", PROJECT_DIR / "requirements" / "audit_pins.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FAULT = {"id": "PYSEC-2026-1", "fix_versions": ["5.2.20"], "aliases": [], "description": "A fault."}


def test_fault_fails_the_audit_and_names_the_version_that_has_none(audit_pins: ModuleType) -> None:
    report = {"dependencies": [{"name": "django", "version": "5.2.19", "vulns": [FAULT]}], "fixes": []}
    lines, is_safe = audit_pins.judge("base.txt", report)
    assert not is_safe
    assert lines[0] == "django 5.2.19 has PYSEC-2026-1. Fixed in: 5.2.20."


def test_audit_passes_when_no_advisory_is_about_a_pin(audit_pins: ModuleType) -> None:
    report = {"dependencies": [{"name": "django", "version": "5.2.20", "vulns": []}], "fixes": []}
    assert audit_pins.judge("base.txt", report) == (["base.txt: 1 packages audited, 0 with known faults."], True)


def test_audit_says_so_when_the_index_has_no_advisories(audit_pins: ModuleType) -> None:
    report = {"dependencies": [{"name": "django", "skip_reason": "Dependency not found on PyPI"}], "fixes": []}
    lines, is_safe = audit_pins.judge("base.txt", report)
    assert is_safe
    assert lines == ["NOT AUDITED: base.txt. The package index of this machine has no advisories."]


def test_audit_names_what_it_left_out(audit_pins: ModuleType) -> None:
    dependencies = [{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "not found"}]
    lines, is_safe = audit_pins.judge("base.txt", {"dependencies": dependencies, "fixes": []})
    assert is_safe
    assert lines[0] == "NOT AUDITED in base.txt: b."


def test_audit_says_so_when_nobody_answers(audit_pins: ModuleType) -> None:
    lines, is_safe = audit_pins.judge("base.txt", "connection refused")
    assert is_safe
    assert lines == ["NOT AUDITED: base.txt. The advisories could not be reached: connection refused"]


def test_ci_runs_the_audit() -> None:
    assert "make audit" in (PROJECT_DIR / ".ci" / "run").read_text()
    assert "requirements/audit_pins.py" in (PROJECT_DIR / "Makefile").read_text()
