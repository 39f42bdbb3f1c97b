"""Sign in, and make guessing passwords slow."""

from __future__ import annotations

import hashlib
from typing import Any

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse

from batches import throttling

FAILURES_A_MINUTE = 10
"""Wrong passwords for one account that one address may send in a minute. Not for the address alone: behind a
proxy everybody comes from the same one, and a stranger could keep all of them out."""


class ThrottledLogin(LoginView):
    """Django's sign-in, which looks at no password while too many wrong ones came for the account."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if throttling.count_failures(_who(request)) < FAILURES_A_MINUTE:
            return super().post(request, *args, **kwargs)
        form = AuthenticationForm(request, initial={"username": request.POST.get("username", "")})
        response = self.render_to_response(self.get_context_data(form=form, is_throttled=True), status=429)
        response.headers["Retry-After"] = str(throttling.THROTTLE_SECONDS)
        return response

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        throttling.add_failure(_who(self.request))
        return super().form_invalid(form)


def _who(request: HttpRequest) -> str:
    name = request.POST.get("username", "").strip().casefold()
    return f"{request.META.get('REMOTE_ADDR', '')}:{hashlib.sha256(name.encode()).hexdigest()}"
