"""What is wrong with a list of recipients. Each message is a full sentence that a person can act on."""

from __future__ import annotations


class ListRefused(Exception):
    """The list was refused, and nothing of it was kept."""

    http_status = 400
    """The status that pages and API answer with (RFC 9110, section 15)."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UnreadableFile(ListRefused):
    """The file is broken. The message names the line where the fault shows."""


class UnsupportedFile(ListRefused):
    """The file is not a list of recipients: it is an archive, a picture or a program."""

    http_status = 415


class FileTooLarge(ListRefused):
    """The file is longer than UPLOAD_MAX_BYTES, or the spreadsheet unpacks to more than a sheet may."""

    http_status = 413


class StorageFull(ListRefused):
    """The disk of the database, or of the temporary files, is full."""

    http_status = 507  # RFC 4918, section 11.5

    def __init__(
        self,
        message: str = (
            "The server's disk is full, so nothing was kept. Ask the administrator to make room, then send it again."
        ),
    ) -> None:
        super().__init__(message)


class ServerBusy(ListRefused):
    """Too many spreadsheets are being read at once. Nothing is wrong with the list."""

    http_status = 503  # RFC 9110, section 15.6.4
