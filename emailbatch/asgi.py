"""The ASGI application that daphne serves: HTTP and websockets."""

import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailbatch.settings")
is_pool_size_ours = "DATABASE_POOL_SIZE" not in os.environ
os.environ.setdefault("DATABASE_POOL_SIZE", "20")

import django
from django.core.exceptions import ImproperlyConfigured

try:
    django.setup(set_prefix=False)
except ImproperlyConfigured as exc:  # a variable that settings.py cannot read: its message is for a person
    sys.exit(str(exc))
if is_pool_size_ours:
    del os.environ["DATABASE_POOL_SIZE"]  # for this process only: a child that forks must have no pool

from channels.routing import ProtocolTypeRouter

from batches.checks import check_addresses
from batches.routing import websockets
from emailbatch.access_log import AccessLog
from emailbatch.request_bodies.body_handler import BodyHandler
from emailbatch.request_bodies.daphne_request import serve_through_daphne
from emailbatch.warm_up import warm_up

# daphne runs no system checks. With a wrong address it would answer every request with an error.
if faults := check_addresses(None):
    sys.exit("\n".join(fault.msg for fault in faults))

serve_through_daphne(AccessLog)
application = ProtocolTypeRouter({"http": BodyHandler(), "websocket": websockets})
warm_up()
