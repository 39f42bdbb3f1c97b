"""Encode the header fields that hold people's words: Subject, From and Reply-To.

A subject or a Mailbox enters. A folded field without its last CRLF leaves (RFC 5322 section 2.2.3, RFC 2047). The
standard library's folding is not used, because some of its releases lose quotation marks when they fold a name
(gh-80222), and some make encoded words of more than 75 characters.
"""

from __future__ import annotations

import binascii

from batches.mailboxes import Mailbox, quote_name

LINE_MAX_CHARS = 76
"""RFC 2047 section 2: the longest line that holds an encoded word. RFC 5322 allows two characters more."""

_ENCODED_WORD_OCTETS = 39
"""39 octets are 52 characters of base64: the line with "Reply-To: " stays below 76 characters."""

_NAME_WORD_MAX_CHARS = LINE_MAX_CHARS - len("Reply-To: ")
"""The longest word of a name that needs no encoding to fit into a line."""


def encode_subject(subject: str) -> bytes:
    """Make the Subject field."""
    plain = subject.isascii() and "=?" not in subject
    if plain and len(subject) + len("Subject: ") <= LINE_MAX_CHARS:
        return b"Subject: " + subject.encode()
    words = subject.split(" ")
    if plain and all(0 < len(word) < LINE_MAX_CHARS for word in words):
        return _fill_lines("Subject", words)
    return b"Subject: " + b"\r\n ".join(_encode_words(subject))


def encode_mailbox(field: str, mailbox: Mailbox) -> bytes:
    """Make a field such as From that holds one mailbox. Its name has any letters and signs, but no controls.

    No line has more than 76 characters, unless the address alone is longer.
    """
    if not mailbox.name:
        return f"{field}: {mailbox.address}".encode()
    return _fill_lines(field, [*_name_words(mailbox.name), f"<{mailbox.address}>"])


def _name_words(name: str) -> list[str]:
    """Return the words of a display name, between which a line may end: of a phrase, or encoded words.

    A line may end inside quotation marks too, before a space: without its CRLF, the line is as it was.
    """
    words = quote_name(name).split(" ")
    # What looks like an encoded word is encoded, because many readers decode it even inside quotation marks.
    if name.isascii() and "=?" not in name and all(0 < len(word) <= _NAME_WORD_MAX_CHARS for word in words):
        return words
    return [word.decode() for word in _encode_words(name)]


def _fill_lines(field: str, words: list[str]) -> bytes:
    lines, line = [], f"{field}:"
    for word in words:
        if len(line) + 1 + len(word) > LINE_MAX_CHARS:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}"
    return "\r\n ".join([*lines, line]).encode()


def _encode_words(text: str) -> list[bytes]:
    """Make encoded words (RFC 2047 section 4.1). A reader joins them without the spaces that are between them."""
    return [
        b"=?utf-8?b?" + binascii.b2a_base64(chunk, newline=False) + b"?="
        for chunk in _split_utf8(text.encode("utf-8", "replace"))
    ]


def _split_utf8(octets: bytes) -> list[bytes]:
    """Split UTF-8 into pieces for encoded words. RFC 2047 section 5 forbids splitting a character."""
    chunks, start = [], 0
    while start < len(octets):
        end = min(start + _ENCODED_WORD_OCTETS, len(octets))
        while end < len(octets) and octets[end] & 0xC0 == 0x80:
            end -= 1
        chunks.append(octets[start:end])
        start = end
    return chunks
