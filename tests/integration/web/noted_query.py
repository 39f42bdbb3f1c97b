"""Notes which query parameters a page reads. It is a middleware of the test that tries each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase

EVERY_NAME = "*"
"""What is noted when a page goes through the whole query."""


class NotedQuery(QueryDict):
    """A query that notes each name that is looked up in it. Its copies note them in the same place."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.names: set[str] = set()
        super().__init__(*args, **kwargs)

    def __getitem__(self, name: str) -> Any:
        self.names.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.names.add(str(name))
        return super().__contains__(name)

    def getlist(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return super().getlist(name, default)

    def __iter__(self) -> Iterator[str]:
        self.names.add(EVERY_NAME)
        return super().__iter__()

    def lists(self) -> Any:
        self.names.add(EVERY_NAME)
        return super().lists()

    def urlencode(self, safe: str | None = None) -> str:
        with self._unnoted():  # it treats all names alike
            return super().urlencode(safe)

    def __deepcopy__(self, memo: Any) -> NotedQuery:
        with self._unnoted():
            copied: NotedQuery = super().__deepcopy__(memo)
        copied.names = self.names
        return copied

    @contextmanager
    def _unnoted(self) -> Iterator[None]:
        before = self.names
        self.names = set()
        try:
            yield
        finally:
            self.names = before


def note_names(get_response: Callable[[HttpRequest], HttpResponseBase]) -> Callable[[HttpRequest], HttpResponseBase]:
    """Put a ``NotedQuery`` into the place of each request's query."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        noted = NotedQuery("", mutable=True)
        for name, values in request.GET.lists():
            noted.setlist(name, values)
        noted.names.clear()
        noted._mutable = False
        request.GET = noted  # type: ignore[assignment]  # its type is that of a query that cannot be changed
        return get_response(request)

    return middleware
