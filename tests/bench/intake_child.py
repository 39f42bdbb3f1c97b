"""A program: import the file that its command line names, and print the seconds and the memory that it took.

A second argument says what happens to rows that share an address.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path


def _peak_megabytes() -> float:
    """Return the peak of this process's own memory. The peak of getrusage includes the parent's before the exec."""
    status = Path("/proc/self/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return round(int(kilobytes) / 1024, 1)


def main(path: Path, shared: str = "first") -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "emailbatch.settings"
    import django

    django.setup()
    from django.db import connection

    from batches.intake import import_csv
    from batches.models import SharedAddresses

    connection.ensure_connection()
    with path.open("rb") as file:
        start = time.perf_counter()
        batch = import_csv(file, filename=path.name, user=None, shared=SharedAddresses(shared)).batch
        seconds = time.perf_counter() - start
    counts = {"total": batch.total_count, "rejected": batch.rejected_count, "duplicate": batch.duplicate_count}
    print(json.dumps({"seconds": seconds, "peak_megabytes": _peak_megabytes(), **counts}))  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
