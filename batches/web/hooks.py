"""``/hooks/PROVIDER/tracking/``: where an email provider posts what became of messages.

The requests come from a program, so they have no session and no CSRF token. They are let in by WEBHOOK_SECRET, and
without it there are no such addresses.
"""

from __future__ import annotations

import logging
from http import HTTPStatus

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from batches.returns.doors import webhooks

logger = logging.getLogger(__name__)


@csrf_exempt
@require_http_methods(["POST", "HEAD"])  # some providers ask with HEAD whether the address exists
def take_in_hook(request: HttpRequest, provider: str) -> HttpResponse:
    """Record the events of one request, and answer 200 when they are committed."""
    if not settings.WEBHOOK_SECRETS or provider not in webhooks.TRACKING:
        raise Http404
    if not webhooks.is_signed_in(request, settings.WEBHOOK_SECRETS):
        # Amazon SNS sends a user and a password only after this answer.
        headers = {"WWW-Authenticate": 'Basic realm="emailbatch"'}
        sentence = "The user or the password is missing or wrong. Write both of WEBHOOK_SECRET into the address."
        return _answer(sentence, HTTPStatus.UNAUTHORIZED, headers)
    try:
        return webhooks.take_in(request, provider)
    except webhooks.HookRefused as exc:
        logger.warning("A request of the provider %s was refused: %s", provider, exc)
        return _answer(str(exc), HTTPStatus.BAD_REQUEST)


def _answer(sentence: str, status: HTTPStatus, headers: dict[str, str] | None = None) -> HttpResponse:
    return HttpResponse(f"{sentence}\n", status=status, content_type="text/plain", headers=headers)
