from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.bench.intake import write_upload

pytestmark = pytest.mark.django_db(transaction=True)


def import_in_a_process(path: Path) -> dict[str, Any]:
    settings = connection.settings_dict
    url = f"postgres://postgres@/{settings['NAME']}?host={settings['HOST'].replace('/', '%2F')}"
    argv = [sys.executable, "-m", "tests.bench.intake_child", str(path)]
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, timeout=120, env=os.environ | {"DATABASE_URL": url})
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_memory_stays_the_same_when_the_file_is_ten_times_as_long(tmp_path: Path) -> None:
    peaks = []
    for rows in (20_000, 200_000):
        path = tmp_path / f"{rows}.csv"
        write_upload(path, rows)
        result = import_in_a_process(path)
        assert result["total"] == rows * 98 // 100
        peaks.append(result["peak_megabytes"])
    assert peaks[1] < 150
    assert peaks[1] < peaks[0] * 1.1


@pytest.mark.parametrize("cell", ["x" * 100_000, '"' + "yé\n" * 40_000 + '"'], ids=["one line", "many lines"])
def test_memory_stays_the_same_when_the_cells_are_long(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "long.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("email,note,more,most\n")
        for number in range(150):
            file.write(f"user{number}@example.com,{cell},{cell},{cell}\n")
    result = import_in_a_process(path)
    assert result["total"] == 150
    assert result["peak_megabytes"] < 150
