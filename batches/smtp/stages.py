"""The stages of a message: the SMTP commands whose replies it meets on its way."""

from __future__ import annotations

from enum import Enum


class Stage(Enum):
    """The SMTP command whose reply a message waits for. The value is for people."""

    CLEAR = "RSET"
    """RSET before a message: it ends what the message before may have left open."""
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    FINAL = "the message"
    CONNECT = "the connection"
    """The greeting and EHLO, before the first message."""
    LOGIN = "AUTH"

    # Each reply looks its stage up in a table, and Enum's own hash is written in Python. Members are singletons, so the
    # hash of their identity is correct.
    __hash__ = object.__hash__
