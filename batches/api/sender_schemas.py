"""The shapes of senders in answers."""

from __future__ import annotations

from typing import Annotated

from ninja import Field, Schema
from pydantic import WithJsonSchema

SENDER_MAX_CHARS = 320

SENDER_MEANING = (
    "The key or the address of a sender. Left out: the template's, else the default one, else the first that you may "
    "use. `GET /api/senders` lists them."
)


SenderOut = Annotated[
    dict[str, str | None],
    WithJsonSchema(
        {
            "title": "Sender",
            "type": "object",
            "required": ["key", "from", "replyTo"],
            "properties": {
                "key": {"type": ["string", "null"], "description": "null: the sender was deleted."},
                "from": {"type": "string", "description": "Such as News <news@example.org>."},
                "replyTo": {"type": "string", "description": "Empty: answers go to the address of `from`."},
            },
        }
    ),
]
"""Whom a mail comes from: ``{"key", "from", "replyTo"}``. It is no class, because ``from`` is a word of Python."""


class ListedSender(Schema):
    key: str
    name: str
    address: str
    replyTo: str = Field(description="Empty: answers go to the address.")
    isDefault: bool = Field(description="Whether it is the sender of DEFAULT_FROM_EMAIL.")


class SenderList(Schema):
    items: list[ListedSender]
    next: str | None = Field(description="Always null: the list has one page.")
