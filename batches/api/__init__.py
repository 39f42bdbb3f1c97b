"""The HTTP API under ``/api/``: JSON in camelCase. Its names and statuses are a contract (docs/design.md)."""

from django.conf import settings

from batches.api.approvals import router as approvals_router
from batches.api.audit import router as audit_router
from batches.api.auth import BearerToken, Session
from batches.api.batches import router as batches_router
from batches.api.described import DescribedApi
from batches.api.drafts import router as drafts_router
from batches.api.errors import add_handlers
from batches.api.exports import router as exports_router
from batches.api.failures import router as failures_router
from batches.api.health import router as health_router
from batches.api.letters import router as letters_router
from batches.api.parser import JsonParser
from batches.api.people import router as people_router
from batches.api.senders import router as senders_router
from batches.api.sending import router as sending_router
from batches.api.stream import router as stream_router
from batches.api.suppressions import router as suppressions_router
from batches.api.templates import router as templates_router
from batches.api.topics import router as topics_router

DESCRIPTION = """
Send email in batches, with one true record for every recipient.

**What is stable.** Every address on this page except those tagged *drafts*, with its methods, field names, statuses
and error codes. A new version may add addresses, optional request fields and answer fields, so a client must ignore
answer fields that it does not know. A name is removed only after a release that still accepts it and marks it
deprecated. The addresses tagged *drafts* and the sentences in `detail` may change in any release.
"""

api = DescribedApi(
    title="emailbatch",
    version=settings.VERSION,
    description=DESCRIPTION,
    urls_namespace="api",
    auth=[BearerToken(), Session()],
    parser=JsonParser(),
)
add_handlers(api)
for router in (
    *(health_router, sending_router, batches_router, failures_router, drafts_router),
    letters_router,
    *(stream_router, exports_router, templates_router, senders_router, topics_router, audit_router, approvals_router),
    *(suppressions_router, people_router),
):
    api.add_router("", router)
