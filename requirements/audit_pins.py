#!/usr/bin/env python3
"""Compare the pins with the published advisories, by pip-audit. Run it with the Python of .venv: make audit.

The status is 1 if an advisory is about a pinned version, and 0 otherwise. If the advisories cannot be reached, or if
the package index of this machine has none, a line says "NOT AUDITED": then the status is no promise.
"""

import json
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent
FILES = ("base.txt", "local.txt", "dev.txt")
SERVICES = ("osv", "pypi")
"""Where the advisories are, the first that answers: both have those of the Python Packaging Advisory Database."""

TIMEOUT_SECONDS = 300


def main() -> int:
    status = 0
    for name in FILES:
        report = audit(REQUIREMENTS / name)
        lines, is_safe = judge(name, report)
        print("\n".join(lines))  # noqa: T201
        status = status if is_safe else 1
    return status


def audit(path: Path) -> "dict[str, object] | str":
    """Return pip-audit's report of one file, or why there is none."""
    reason = ""
    for service in SERVICES:
        argv = [sys.executable, "-m", "pip_audit", "--vulnerability-service", service, "--format", "json"]
        argv += ["--progress-spinner", "off", "--disable-pip", "--require-hashes", "--requirement", str(path)]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)  # noqa: S603
        except subprocess.TimeoutExpired:
            reason = f"{service} did not answer within {TIMEOUT_SECONDS} seconds"
            continue
        try:
            report: dict[str, object] = json.loads(done.stdout)
        except ValueError:
            reason = (done.stderr.strip().splitlines() or [f"pip-audit ended with status {done.returncode}"])[-1]
            continue
        if service == SERVICES[-1] or any("vulns" in found for found in report["dependencies"]):  # type: ignore[attr-defined]
            return report
    return reason


def judge(name: str, report: "dict[str, object] | str") -> "tuple[list[str], bool]":
    """Say in lines what a report means, and whether the pins are safe as far as anybody knows."""
    if isinstance(report, str):
        return [f"NOT AUDITED: {name}. The advisories could not be reached: {report}"], True
    found: list[dict[str, object]] = report["dependencies"]  # type: ignore[assignment]
    audited = [package for package in found if "vulns" in package]
    faulty = [package for package in audited if package["vulns"]]
    lines = [_say_fault(package, fault) for package in faulty for fault in package["vulns"]]  # type: ignore[attr-defined]
    if not audited:
        return [f"NOT AUDITED: {name}. The package index of this machine has no advisories."], True
    skipped = [f"{package['name']}" for package in found if "vulns" not in package]
    if skipped:
        lines.append(f"NOT AUDITED in {name}: {', '.join(skipped)}.")
    return [*lines, f"{name}: {len(audited)} packages audited, {len(faulty)} with known faults."], not faulty


def _say_fault(package: "dict[str, object]", fault: "dict[str, object]") -> str:
    fixed = ", ".join(fault.get("fix_versions") or []) or "none yet"  # type: ignore[call-overload]
    return f"{package['name']} {package['version']} has {fault['id']}. Fixed in: {fixed}."


if __name__ == "__main__":
    sys.exit(main())
