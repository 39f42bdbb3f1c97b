"""A program: write one export of a batch to standard output. Its argument is the Export as JSON.

The web process starts it for a large batch, because writing a million rows takes a processor for 20 seconds. It runs
with a low priority, so that pages and workers go first. It ends when nobody reads its output any more.
"""

from __future__ import annotations

import os
import sys

NICENESS = 10


def main() -> None:
    os.nice(NICENESS)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailbatch.settings")
    import django

    django.setup(set_prefix=False)

    from batches.exports.export import Export, write_export
    from batches.models import Batch

    export = Export.from_json(sys.argv[1])
    output = sys.stdout.buffer
    try:
        for chunk in write_export(Batch.objects.get(pk=export.batch_id), export):
            output.write(chunk)
        output.flush()
    except BrokenPipeError:
        os._exit(1)  # Python would complain once more while it closes standard output


if __name__ == "__main__":
    main()
