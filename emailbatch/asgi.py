"""The ASGI application that daphne serves: HTTP and websockets."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailbatch.settings")
os.environ.setdefault("DATABASE_POOL_SIZE", "20")

import django

django.setup(set_prefix=False)

from channels.routing import ProtocolTypeRouter

from batches.routing import websockets
from emailbatch.bodies import BodyHandler, serve_through_daphne

serve_through_daphne()
application = ProtocolTypeRouter({"http": BodyHandler(), "websocket": websockets})
