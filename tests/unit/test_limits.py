"""The limits that code and deployment share say the same number everywhere."""

from __future__ import annotations

import re

from batches import limits
from tests.compose_file import PROJECT_DIR, REQUIRED, read_compose

OPERATIONS = (PROJECT_DIR / "docs" / "operations.md").read_text()


def test_compose_waits_for_the_stop_grace_when_it_stops_a_process() -> None:
    services = read_compose(REQUIRED)["services"]
    periods = {name: services[name]["stop_grace_period"] for name in ("web", "worker")}
    assert periods == dict.fromkeys(("web", "worker"), f"{limits.STOP_GRACE_SECONDS}s")


def test_systemd_units_wait_for_the_stop_grace_when_they_stop_a_process() -> None:
    units = [path.read_text() for path in (PROJECT_DIR / "systemd").glob("*.service")]
    stated = [re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE) for unit in units]
    assert stated == [[str(limits.STOP_GRACE_SECONDS)]] * 3, "One line in each unit of the folder systemd."


def test_proxy_is_told_how_long_a_stream_may_be_silent() -> None:
    assert f"quiet for {limits.HEARTBEAT_SECONDS:g} s at most" in OPERATIONS
