"""Make a Django middleware from a function that changes a response, for requests with and without an event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

ChangeResponse = Callable[[HttpRequest, HttpResponseBase], HttpResponseBase]
Middleware = Callable[[Callable[[HttpRequest], Any]], Callable[[HttpRequest], Any]]


def change_responses(change: ChangeResponse) -> Middleware:
    """Make a middleware that passes each response through ``change``, which must not block."""

    def middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
        async def respond_async(request: HttpRequest) -> HttpResponseBase:
            return change(request, await get_response(request))

        def respond(request: HttpRequest) -> HttpResponseBase:
            return change(request, get_response(request))

        return respond_async if iscoroutinefunction(get_response) else respond

    return sync_and_async_middleware(middleware)
