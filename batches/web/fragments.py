"""Parts of a page for its script, rendered once for all requests of some seconds by readers with the same rights.

A key and a function that renders enter. An answer leaves: the HTML with an ETag, or 304 if the page has it already.
A fragment is rendered without its request, so that nothing of one user, such as a CSRF token, is in another's page.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response

from batches.feeds import SHARED_SECONDS

KEPT_MAX = 200
"""How many fragments a process keeps. Each holds a page of a table, some 50 KB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fragment:
    """A rendered part of a page."""

    html: bytes
    etag: str


@dataclass(slots=True)
class _Place:
    """Where the fragment of one key is made and kept. Its lock lets one request render while the others wait."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    fragment: Fragment | None = None
    made_at: float | None = None


class FragmentCache:
    """The newest fragments of this process. Safe to use from many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._places: OrderedDict[Hashable, _Place] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, render: Callable[[], str], *, shared_seconds: float = SHARED_SECONDS) -> Fragment:
        """Return the fragment of a key, rendered at most once in ``shared_seconds``.

        Args:
            key: Everything that the fragment depends on, what its reader may see among it.
        """
        place = self._find_place(key, shared_seconds)
        with place.lock:
            if place.fragment is None:
                html = render().encode()
                place.fragment = Fragment(html=html, etag=f'"{hashlib.sha256(html).hexdigest()[:32]}"')
                place.made_at = self._clock()
            return place.fragment

    def _find_place(self, key: Hashable, shared_seconds: float) -> _Place:
        with self._lock:
            place = self._places.get(key)
            if place is None or (place.made_at is not None and self._clock() - place.made_at >= shared_seconds):
                place = self._places[key] = _Place()
            self._places.move_to_end(key)
            while len(self._places) > KEPT_MAX:
                self._places.popitem(last=False)
            return place


def answer_fragment(request: HttpRequest, fragment: Fragment) -> HttpResponse:
    """Answer with a fragment, or with 304 if the request names its ETag (RFC 9110, section 13.1.2)."""
    response = HttpResponse(fragment.html, headers={"ETag": fragment.etag})
    return get_conditional_response(request, etag=fragment.etag, response=response) or response
