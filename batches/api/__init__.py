"""The HTTP API under ``/api/``: JSON in camelCase, with the names and statuses of DESIGN.md section 9."""

from ninja import NinjaAPI

from batches.api import batches, errors, exports, health, sending, stream, templates
from batches.api.auth import BearerToken, Session
from batches.api.parser import JsonParser

api = NinjaAPI(
    title="emailbatch",
    version="1.0.0",
    description="Send email in batches, with one true record for every recipient.",
    urls_namespace="api",
    auth=[BearerToken(), Session()],
    parser=JsonParser(),
)
errors.add_handlers(api)
for module in (health, sending, batches, stream, exports, templates):
    api.add_router("", module.router)
