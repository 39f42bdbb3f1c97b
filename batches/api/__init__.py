"""The HTTP API under ``/api/``: JSON in camelCase, with the names and statuses of DESIGN.md section 9."""

from django.conf import settings
from ninja import NinjaAPI

from batches.api.auth import BearerToken, SessionAuth
from batches.api.batches import router as batches_router
from batches.api.drafts import router as drafts_router
from batches.api.errors import add_handlers
from batches.api.exports import router as exports_router
from batches.api.health import router as health_router
from batches.api.parser import JsonParser
from batches.api.sending import router as sending_router
from batches.api.stream import router as stream_router
from batches.api.templates import router as templates_router

api = NinjaAPI(
    title="emailbatch",
    version=settings.VERSION,
    description="Send email in batches, with one true record for every recipient.",
    urls_namespace="api",
    auth=[BearerToken(), SessionAuth()],
    parser=JsonParser(),
)
add_handlers(api)
for router in (
    *(health_router, sending_router, batches_router, drafts_router),
    *(stream_router, exports_router, templates_router),
):
    api.add_router("", router)
