"""The table of what a refused request tried."""

from __future__ import annotations

from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver

from batches.audit_middleware import ACTIONS, DOWNLOADS


def names_of(patterns: list[URLPattern | URLResolver]) -> Iterator[str]:
    """Yield the name of every address of the site."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from names_of(pattern.url_patterns)
        elif pattern.name:
            yield pattern.name


def test_every_name_of_the_table_is_the_name_of_an_address() -> None:
    unknown = {*ACTIONS, *DOWNLOADS} - set(names_of(get_resolver().url_patterns))
    assert unknown == set(), "a renamed address would no longer be written down when it is refused"
