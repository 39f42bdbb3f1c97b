"""The ASGI application that daphne serves: HTTP and websockets."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailbatch.settings")
is_pool_size_ours = "DATABASE_POOL_SIZE" not in os.environ
os.environ.setdefault("DATABASE_POOL_SIZE", "20")

import django

django.setup(set_prefix=False)
if is_pool_size_ours:
    del os.environ["DATABASE_POOL_SIZE"]  # for this process only: a child that forks must have no pool

from channels.routing import ProtocolTypeRouter

from batches.routing import websockets
from emailbatch.bodies import BodyHandler, serve_through_daphne

serve_through_daphne()
application = ProtocolTypeRouter({"http": BodyHandler(), "websocket": websockets})
