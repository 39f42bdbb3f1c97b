"""The sign-in page, which slows down guessing of passwords."""

from __future__ import annotations

import hashlib
from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse

from batches import throttling

FAILURES_A_MINUTE = 10
"""How many wrong passwords one IP address may send for one account in a minute.

The limit is not for the IP address alone: behind a proxy all users share one, and a stranger could lock them all out.
"""


class ThrottledLogin(LoginView):
    """Django's sign-in, which checks no password while an account has had too many wrong ones."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if throttling.count_failures(_throttled_key(request)) < FAILURES_A_MINUTE:
            return super().post(request, *args, **kwargs)
        form = AuthenticationForm(request, initial={"username": request.POST.get("username", "")})
        response = self.render_to_response(self.get_context_data(form=form, is_throttled=True), status=429)
        response.headers["Retry-After"] = str(throttling.THROTTLE_SECONDS)
        return response

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        throttling.add_failure(_throttled_key(self.request))
        return super().form_invalid(form)


def _throttled_key(request: HttpRequest) -> str:
    name = request.POST.get("username", "").strip().casefold()
    return f"{request.META.get('REMOTE_ADDR', '')}:{hashlib.sha256(name.encode()).hexdigest()}"
