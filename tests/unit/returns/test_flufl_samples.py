"""The samples of flufl.bounce are read as expected.tsv says: which are understood, each class, each recipient."""

from __future__ import annotations

import pytest

from batches.returns.reports import Report, read_report
from tests.project_files import PROJECT_DIR

FOLDER = PROJECT_DIR / "tests" / "data" / "flufl_bounce"


def describe(report: Report) -> str:
    """Return what was read in one sample, as expected.tsv has it."""
    if not report.is_understood:
        return "not understood"
    events = sorted(f"{each.kind} {each.return_class} {each.recipient}".strip() for each in report.events)
    return "; ".join(events) or "nothing"


EXPECTED = dict(line.split("\t") for line in (FOLDER / "expected.tsv").read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("name", EXPECTED)
def test_sample_is_read_as_expected(name: str) -> None:
    assert describe(read_report((FOLDER / name).read_bytes(), door="imap")) == EXPECTED[name]


def test_every_sample_is_expected() -> None:
    samples = {path.name for path in FOLDER.glob("*.txt")}
    assert samples == set(EXPECTED)
    assert len(samples) == 117
