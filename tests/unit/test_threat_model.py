"""docs/threat-model.md names tests that exist, and has a line for each known threat and each heading of ASVS."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent
TEXT = (PROJECT_DIR / "docs" / "threat-model.md").read_text()

ASVS_HEADINGS = {
    **{1: 5, 2: 4, 3: 7, 4: 4, 5: 4, 6: 8, 7: 6, 8: 4, 9: 2, 10: 7, 11: 7, 12: 3, 13: 4, 14: 3, 15: 4, 16: 5, 17: 3},
}
"""How many sections each chapter of ASVS 5.0 has."""


def test_every_test_that_is_named_exists() -> None:
    named = set(re.findall(r"`(tests/[\w/.]+)(?:::(\w+))?`", TEXT))
    assert len(named) >= 20
    missing = [path for path, _ in named if not (PROJECT_DIR / path).exists()]
    assert missing == []
    without_path = re.findall(r"`(test_\w+\.py)", TEXT)
    assert without_path == [], "a test that is named without its folder is not looked for"
    unknown = [
        f"{path}::{function}"
        for path, function in named
        if function and f"def {function}(" not in (PROJECT_DIR / path).read_text()
    ]
    assert unknown == []


def test_every_known_threat_has_an_answer() -> None:
    rows = re.findall(r"^\| S(\d+) \| .+ \| (.+) \| (.*) \|$", TEXT, re.MULTILINE)
    assert [int(number) for number, *_ in rows] == list(range(1, 30))
    assert all(answer.strip() for _, answer, _ in rows)


def test_every_heading_of_asvs_has_a_verdict() -> None:
    rows = re.findall(r"^\| V(\d+)\.(\d+) \| .+ \| (met|in part|not met|does not apply) \| .+ \|$", TEXT, re.MULTILINE)
    wanted = [(chapter, section) for chapter, count in ASVS_HEADINGS.items() for section in range(1, count + 1)]
    assert [(int(chapter), int(section)) for chapter, section, _ in rows] == wanted
