"""The ASGI application that daphne serves: HTTP and websockets."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailbatch.settings")
os.environ.setdefault("DATABASE_POOL_SIZE", "20")

from django.core.asgi import get_asgi_application

application = get_asgi_application()
