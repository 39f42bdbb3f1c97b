"""Prepare a web process before its first request: load the pages' code and templates, and freeze what stays.

Python's garbage collector looks at every object in a full collection. The objects of Django, of the pages and of their
templates live as long as the process, and looking at them takes longer than to make a page. So they are frozen.
"""

from __future__ import annotations

import gc

from django.conf import settings
from django.template.loader import get_template
from django.urls import get_resolver


def warm_up() -> None:
    """Load what every process needs, and take it out of the garbage collector's sight."""
    get_resolver().reverse_dict  # noqa: B018  (it reads all URLs, and imports the views)
    directory = settings.BASE_DIR / "templates"
    for path in sorted(directory.rglob("*.html")):
        get_template(str(path.relative_to(directory)))
    gc.collect()
    gc.freeze()
