"""Ask a session of the API for a new proof before a send to many. A token has no session, and is never asked."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest

from batches.accounts.proof import needs_proof
from batches.api.errors import ApiError
from batches.models import Batch


def require_session_proof(request: HttpRequest, batch: Batch) -> None:
    """Go on only if the proof of a session is new enough for a batch of this size (``REAUTHENTICATE_ABOVE``).

    Raises:
        ApiError: 403, with the address at which the user proves it.
    """
    is_token = getattr(request, "api_token_name", None) is not None
    if is_token or not needs_proof(request, recipient_count=batch.total_count):
        return
    raise ApiError(
        403,
        f"A send to more than {settings.REAUTHENTICATE_ABOVE:,} recipients needs a new proof that it is you. Enter "
        "your password or a code at /accounts/reauthenticate/, then send the request again.",
    )
