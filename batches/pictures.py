"""Store the pictures that letters show, and read them again by the hash of their content.

A file enters. A Picture leaves, or PictureRefused. Its kind and size are read from its first bytes, and never believed:
what is no picture would be served from our own address. Where a photo was taken, and other metadata, is not stored.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from django.contrib.auth.models import User
from django.utils import timezone
from django.utils.translation import gettext as _

from batches.models import Picture
from batches.picture_metadata import remove_metadata

PICTURE_MAX_BYTES = 1_000_000
"""A bigger picture makes a mail slow to open, and a phone shows no more of it."""

PICTURES_A_DAY = 100
"""How many one user may store in 24 hours. Everybody who is signed in may, and everybody may load what was stored."""

PIXELS_MAX = 10_000
"""The longest side. Some mail programs refuse to show more."""

_JPEG_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""The markers of a frame header (ITU-T T.81, table B.1)."""


class PictureRefused(Exception):
    """A file is no picture that a letter can show. The message says why, and what to do."""


class Looks(NamedTuple):
    """What the first bytes of a picture say."""

    content_type: str
    width: int
    height: int


def store_picture(content: bytes, *, name: str, by: User | None) -> Picture:
    """Store a picture without its metadata. Safe to call twice: the same content is stored once.

    Raises:
        PictureRefused: It is too big, or no PNG, JPEG, GIF or WebP, or the user has stored too many.
    """
    if len(content) > PICTURE_MAX_BYTES:
        raise PictureRefused(_("The picture is too big. Make it smaller: a letter shows pictures of up to 1 MB."))
    looks = look_at(content)
    try:
        content = remove_metadata(content, looks.content_type)
    except ValueError as exc:
        raise _refuse() from exc
    digest = hashlib.sha256(content).hexdigest()
    stored = Picture.objects.without_content().filter(digest=digest).first()
    if stored is not None:
        return stored
    _refuse_many(by)
    picture, _is_new = Picture.objects.defer("content").get_or_create(
        digest=digest,
        defaults={
            "content": content,
            "content_type": looks.content_type,
            "name": name[:200],
            "width": looks.width,
            "height": looks.height,
            "size_bytes": len(content),
            "uploaded_by": by,
        },
    )
    return picture


def _refuse_many(user: User | None) -> None:
    since = timezone.now() - timedelta(days=1)
    if user and Picture.objects.filter(uploaded_by=user, created_at__gt=since).count() >= PICTURES_A_DAY:
        raise PictureRefused(
            _("You have stored %(count)s pictures in 24 hours. Use one of them again, or store this one tomorrow.")
            % {"count": PICTURES_A_DAY}
        )


def _refuse() -> PictureRefused:
    return PictureRefused(
        _("This file is no picture that mail programs show. Save it as PNG or JPEG, and choose it again.")
    )


def look_at(content: bytes) -> Looks:
    """Return the kind and size of a picture.

    Raises:
        PictureRefused: It is no PNG, JPEG, GIF or WebP, or it is cut off or too large.
    """
    for begins, content_type, read_size in _KINDS:
        if not content.startswith(begins):
            continue
        try:
            width, height = read_size(content)
        except (struct.error, ValueError, IndexError):
            break
        if 0 < width <= PIXELS_MAX and 0 < height <= PIXELS_MAX:
            return Looks(content_type, width, height)
    raise _refuse()


def _read_png(content: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def _read_gif(content: bytes) -> tuple[int, int]:
    width, height = struct.unpack("<HH", content[6:10])
    return width, height


def _read_jpeg(content: bytes) -> tuple[int, int]:
    at = 2
    while content[at] == 0xFF:
        marker, length = content[at + 1], struct.unpack(">H", content[at + 2 : at + 4])[0]
        if marker in _JPEG_SIZES:
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        at += 2 + length
    raise ValueError("no frame header")


def _read_webp(content: bytes) -> tuple[int, int]:
    kind = content[8:16]
    if kind == b"WEBPVP8X":
        return int.from_bytes(content[24:27], "little") + 1, int.from_bytes(content[27:30], "little") + 1
    if kind == b"WEBPVP8 ":
        width, height = struct.unpack("<HH", content[26:30])
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"WEBPVP8L":
        bits = int.from_bytes(content[21:25], "little")
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    raise ValueError("no WebP")


_KINDS: tuple[tuple[bytes, str, Callable[[bytes], tuple[int, int]]], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png", _read_png),
    (b"\xff\xd8\xff", "image/jpeg", _read_jpeg),
    (b"GIF8", "image/gif", _read_gif),
    (b"RIFF", "image/webp", _read_webp),
)
