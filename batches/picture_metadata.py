"""Remove from a picture what does not show: where and by what it was taken, thumbnails, comments, and hidden data.

The bytes of a JPEG, PNG or WebP enter. The same picture leaves, without another compression. Letters show pictures to
everybody, and a phone writes into each photo where it was taken.
"""

from __future__ import annotations

import re
import struct

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_START_OF_SCAN, _EXIF, _COMMENT = 0xDA, 0xE1, 0xFE

_KEPT_IN_JPEG = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
"""The application segments that change how a picture looks, and how each begins (ITU-T T.81 B.2.4.6)."""

_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
"""The next marker that is no restart and no stuffed byte (ITU-T T.81 B.1.1.5)."""

_DROPPED_FROM_PNG = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME"})
_PNG_SIGNATURE_BYTES = 8

_DROPPED_FROM_WEBP = frozenset({b"EXIF", b"XMP "})
_WEBP_METADATA_FLAGS = 0x08 | 0x04

_UPRIGHT = 1
_ORIENTATION_TAG = 0x0112


def remove_metadata(content: bytes, content_type: str) -> bytes:
    """Return a picture without its metadata. A GIF stays as it is: cameras and phones make none.

    Raises:
        ValueError: The picture is cut off, or is not what it says.
    """
    clean = {"image/jpeg": _clean_jpeg, "image/png": _clean_png, "image/webp": _clean_webp}.get(content_type)
    if clean is None:
        return content
    try:
        return clean(content)
    except (struct.error, IndexError) as exc:
        raise ValueError("The picture is cut off.") from exc


def _clean_jpeg(content: bytes) -> bytes:
    kept, at, orientation = [], 2, _UPRIGHT
    while True:
        if content[at] != 0xFF:
            raise ValueError("A segment of a JPEG begins with FF.")
        marker = content[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == _JPEG_END[1]:  # what follows is a second picture, often with the metadata of the first
            break
        end = at + 2 + struct.unpack(">H", content[at + 2 : at + 4])[0]
        segment, at = content[at:end], end
        if marker == _EXIF and segment[4:10] == b"Exif\0\0":
            orientation = _read_orientation(segment[10:])
        elif _is_seen(marker, segment):
            kept.append(segment)
        if marker == _START_OF_SCAN:
            found = _END_OF_SCAN.search(content, at)
            kept.append(content[at : found.start() if found else None])
            if found is None:
                break
            at = found.start()
    return b"".join([_JPEG_START, _write_orientation(orientation), *kept, _JPEG_END])


def _is_seen(marker: int, segment: bytes) -> bool:
    """Whether a segment of a JPEG is needed to show it."""
    if marker == _COMMENT:
        return False
    return not 0xE0 <= marker <= 0xEF or (marker in _KEPT_IN_JPEG and segment[4:].startswith(_KEPT_IN_JPEG[marker]))


def _read_orientation(tiff: bytes) -> int:
    """Return how the camera was held: 1 to 8 (Exif 2.3, section 4.6.4). What can't be read stands for upright."""
    order = "<" if tiff[:2] == b"II" else ">"
    try:
        start = struct.unpack(f"{order}I", tiff[4:8])[0]
        for number in range(struct.unpack(f"{order}H", tiff[start : start + 2])[0]):
            entry = tiff[start + 2 + 12 * number :][:12]
            if struct.unpack(f"{order}H", entry[:2])[0] == _ORIENTATION_TAG:
                value = int(struct.unpack(f"{order}H", entry[8:10])[0])
                return value if 1 <= value <= 8 else _UPRIGHT
    except struct.error:
        return _UPRIGHT
    return _UPRIGHT


def _write_orientation(orientation: int) -> bytes:
    """Write an Exif segment that says nothing else: without it, photos of phones would lie on their side."""
    if orientation == _UPRIGHT:
        return b""
    entry = struct.pack(">HHIHH", _ORIENTATION_TAG, 3, 1, orientation, 0)
    tiff = b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    return struct.pack(">BBH", 0xFF, _EXIF, 2 + 6 + len(tiff)) + b"Exif\0\0" + tiff


def _clean_png(content: bytes) -> bytes:
    kept, at = [content[:_PNG_SIGNATURE_BYTES]], _PNG_SIGNATURE_BYTES
    while at < len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        end = at + 12 + length
        if end > len(content):
            raise ValueError("The last chunk is cut off.")
        if kind not in _DROPPED_FROM_PNG:
            kept.append(content[at:end])
        at = end
        if kind == b"IEND":
            return b"".join(kept)
    raise ValueError("A PNG ends with IEND.")


def _clean_webp(content: bytes) -> bytes:
    kept, at, end = [], 12, 8 + struct.unpack("<I", content[4:8])[0]
    while at + 8 <= min(end, len(content)):
        kind, length = struct.unpack("<4sI", content[at : at + 8])
        chunk = content[at : at + 8 + length + length % 2]
        at += len(chunk)
        if kind == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & ~_WEBP_METADATA_FLAGS]) + chunk[9:]
        if kind not in _DROPPED_FROM_WEBP:
            kept.append(chunk)
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body
