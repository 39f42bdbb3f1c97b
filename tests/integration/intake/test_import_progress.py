from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from batches.intake import import_csv, import_progress
from batches.intake.import_progress import ImportProgress, read_import_progress, report_to_redis

pytestmark = pytest.mark.django_db

SHEET = Path(__file__).parents[2] / "data" / "csv" / "people.xlsx"


def test_reports_rise_with_the_file_when_it_has_many_blocks(sender: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_progress, "REPORT_INTERVAL_SECONDS", 0)
    data = "email,note\n" + "".join(f"user{number}@example.com,{'x' * 90}\n" for number in range(20_000))
    reported: list[ImportProgress] = []
    import_csv(io.BytesIO(data.encode()), filename="a.csv", user=sender, report=reported.append)
    assert len(reported) > 5
    assert reported == sorted(reported, key=lambda progress: progress.rows)
    assert all(progress.percent < 100 for progress in reported[:-1])
    assert reported[2].percent < reported[-2].percent
    assert reported[-1] == ImportProgress(rows=20_000, percent=100)


def test_progress_is_reported_when_the_file_is_a_spreadsheet(sender: User) -> None:
    reported: list[ImportProgress] = []
    batch = import_csv(io.BytesIO(SHEET.read_bytes()), filename="a.xlsx", user=sender, report=reported.append).batch
    assert reported[-1] == ImportProgress(
        rows=batch.total_count + batch.rejected_count + batch.duplicate_count, percent=100
    )


def test_import_goes_on_when_redis_is_away(sender: User, settings: Settings, tmp_path: Path) -> None:
    settings.REDIS_URL = f"unix://{tmp_path}/nobody"
    report = report_to_redis(sender.pk, "k")
    assert import_csv(io.BytesIO(b"email\nann@example.com\n"), filename="a", user=sender, report=report).is_new
    assert read_import_progress(sender.pk, "k") is None
