"""What a child process and the one that asks it say to each other: frames, and the kinds of answers about a message."""

from __future__ import annotations

import struct

FRAME = struct.Struct(">I")
"""The length of a frame in bytes. The frame follows: a value as JSON."""

OK = 0
"""Rendered. The subject, the HTML and the text follow, or if they were not asked for, the bytes of the bigger body."""

FAULT = 1
"""The template or the values have a fault. Its sentence follows, and its group."""

TOO_MUCH = 2
"""The memory is used up."""

LATER = 3
"""This row and those after it were left for the next request."""
