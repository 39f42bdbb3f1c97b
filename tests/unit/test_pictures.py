"""The kind and size of a picture are read from its first bytes."""

from __future__ import annotations

import struct

import pytest

from batches.pictures import Looks, PictureRefused, look_at

GIF = b"GIF89a" + struct.pack("<HH", 30, 20)
JPEG = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x0b\x08" + struct.pack(">HH", 20, 30) + b"\x01\x01\x11\x00"
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8X" + b"\x0a\x00\x00\x00" + bytes(4) + b"\x1d\x00\x00" + b"\x13\x00\x00"


@pytest.mark.parametrize(("content", "kind"), [(GIF, "gif"), (JPEG, "jpeg"), (WEBP, "webp")])
def test_size_is_read_from_the_first_bytes(content: bytes, kind: str) -> None:
    assert look_at(content) == Looks(f"image/{kind}", 30, 20)


@pytest.mark.parametrize(
    "content", [b"", b"GIF89a", b"\xff\xd8\xff", JPEG[:10], b"RIFF" + bytes(30), b"<svg/>", b"%PDF"]
)
def test_file_is_refused_when_it_is_no_whole_picture(content: bytes) -> None:
    with pytest.raises(PictureRefused):
        look_at(content)
