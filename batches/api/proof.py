"""Ask a session of the API for a new proof before a send to many. A token has no session, and is never asked."""

from __future__ import annotations

from django.http import HttpRequest

from batches.accounts.proof import find_proof_refusal
from batches.api.errors import ApiError
from batches.models import Batch


def require_session_proof(request: HttpRequest, batch: Batch) -> None:
    """Go on only if the proof of a session is new enough for a batch of this size (``REAUTHENTICATE_ABOVE``).

    Raises:
        ApiError: 403, with the address at which the user proves it.
    """
    is_token = getattr(request, "api_token_name", None) is not None
    refusal = "" if is_token else find_proof_refusal(request, recipient_count=batch.total_count)
    if refusal:
        raise ApiError(403, refusal)
