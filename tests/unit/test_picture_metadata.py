"""What does not show is removed from a picture, and what shows stays as it was."""

from __future__ import annotations

import struct
import zlib

import pytest

from batches.picture_metadata import remove_metadata
from batches.pictures import look_at

JPEG, PNG, WEBP = "image/jpeg", "image/png", "image/webp"
PLACE = b"52 degrees north"


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(data)) + data


def exif(orientation: int, order: str = ">") -> bytes:
    begins = b"MM\0*" if order == ">" else b"II*\0"
    entries = struct.pack(f"{order}HHIHH", 0x0110, 3, 1, 7, 0) + struct.pack(
        f"{order}HHIHH", 0x0112, 3, 1, orientation, 0
    )
    return b"Exif\0\0" + begins + struct.pack(f"{order}IH", 8, 2) + entries + bytes(4) + PLACE


JFIF = segment(0xE0, b"JFIF\0\1\1" + bytes(7))
COLOURS = segment(0xE2, b"ICC_PROFILE\0\1\1 colours")
ADOBE = segment(0xEE, b"Adobe\0d\0\0\0\0\1")
TABLES = segment(0xDB, bytes(65))
FRAME = segment(0xC2, b"\x08" + struct.pack(">HH", 20, 30) + b"\x01\x01\x11\x00")
SCANS = segment(0xDA, b"\1\1\0\0\0\0") + b"ab\xff\x00c\xff\xd0d" + segment(0xC4, b"t") + segment(0xDA, b"\1") + b"last"


def make_jpeg(*more: bytes, orientation: int = 1, order: str = ">", after: bytes = b"") -> bytes:
    metadata = segment(0xE1, exif(orientation, order)) + b"".join(more)
    return b"\xff\xd8" + JFIF + metadata + COLOURS + ADOBE + TABLES + b"\xff" + FRAME + SCANS + b"\xff\xd9" + after


def test_place_and_comments_are_removed_from_a_jpeg() -> None:
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + PLACE)
    cleaned = remove_metadata(make_jpeg(xmp, segment(0xFE, PLACE), segment(0xED, PLACE)), JPEG)
    assert cleaned == b"\xff\xd8" + JFIF + COLOURS + ADOBE + TABLES + FRAME + SCANS + b"\xff\xd9"
    assert look_at(cleaned) == (JPEG, 30, 20)


def test_second_picture_after_a_jpeg_is_removed() -> None:
    assert PLACE not in remove_metadata(make_jpeg(after=make_jpeg()), JPEG)


@pytest.mark.parametrize("order", [">", "<"])
def test_photo_stays_upright_when_the_camera_was_turned(order: str) -> None:
    cleaned = remove_metadata(make_jpeg(orientation=6, order=order), JPEG)
    assert PLACE not in cleaned
    assert b"Exif\0\0MM\0*" in cleaned
    assert struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) in cleaned
    assert remove_metadata(cleaned, JPEG) == cleaned
    assert look_at(cleaned) == (JPEG, 30, 20)


@pytest.mark.parametrize("broken", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff" + PLACE])
def test_metadata_are_removed_when_they_cannot_be_read(broken: bytes) -> None:
    cleaned = remove_metadata(make_jpeg(segment(0xE1, broken)), JPEG)
    assert PLACE not in cleaned


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_texts_are_removed_from_a_png() -> None:
    begins = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 2, 0, 0, 0))
    texts = b"".join(chunk(kind, PLACE) for kind in (b"tEXt", b"iTXt", b"zTXt", b"eXIf", b"tIME"))
    ends = chunk(b"IDAT", b"pixels") + chunk(b"IEND", b"")
    assert remove_metadata(begins + texts + ends + PLACE, PNG) == begins + ends


def test_metadata_are_removed_from_a_webp() -> None:
    def riff(*chunks: bytes) -> bytes:
        body = b"WEBP" + b"".join(chunks)
        return b"RIFF" + struct.pack("<I", len(body)) + body

    def part(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)

    size = bytes(3) + b"\x1d\0\0\x13\0\0"
    pixels = part(b"VP8 ", b"pixel")
    content = riff(part(b"VP8X", b"\x1e" + size), pixels, part(b"EXIF", PLACE), part(b"XMP ", PLACE))
    assert remove_metadata(content + PLACE, WEBP) == riff(part(b"VP8X", b"\x12" + size), pixels)


@pytest.mark.parametrize(
    ("content", "kind"),
    [(make_jpeg()[:20], JPEG), (b"\xff\xd8\xff", JPEG), (b"\xff\xd8ab", JPEG), (b"\x89PNG\r\n\x1a\n" + bytes(5), PNG)],
)
def test_picture_is_refused_when_it_is_cut_off(content: bytes, kind: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        remove_metadata(content, kind)
