"""The addresses of the websockets."""

from channels.routing import URLRouter
from django.urls import path, re_path

from batches.consumers import ProgressConsumer, UnknownAddressConsumer

websockets = URLRouter(
    [
        path("ws/batches/", ProgressConsumer.as_asgi()),
        path("ws/batches/<int:batch_id>/", ProgressConsumer.as_asgi()),
        re_path(r"", UnknownAddressConsumer.as_asgi()),
    ]
)
