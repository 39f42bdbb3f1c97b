"""What Django tells operators of an error: in a log, in a mail to ADMINS, and on the debug page.

An exception enters, with its request. A report leaves that says where the code failed. Outside DEBUG it has nothing
that a person sent: no form, query, header or cookie, no variable of a frame, and no address or token in the message.
"""

from __future__ import annotations

import logging
import re
from types import FrameType
from typing import Any

from django.http import HttpRequest
from django.utils.log import AdminEmailHandler
from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from emailbatch.logs import clean, find_user_id


class SettingsFilter(SafeExceptionReporterFilter):
    """Hides the addresses of services, besides keys, tokens and passwords, which Django hides by their names.

    Outside DEBUG it hides every value of a form, a header and a variable too, because any of them may be a recipient's.
    """

    hidden_settings = re.compile(
        f"{SafeExceptionReporterFilter.hidden_settings.pattern}|URL|DATABASES|QUEUES|LAYERS", re.IGNORECASE
    )

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        parameters = super().get_post_parameters(request)
        if request is None or not self.is_active(request):
            return parameters
        return dict.fromkeys(parameters, self.cleansed_substitute)

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: FrameType) -> Any:
        if not self.is_active(request):
            return super().get_traceback_frame_variables(request, tb_frame)
        return [(name, self.cleansed_substitute) for name in tb_frame.f_locals]


class ErrorMails(AdminEmailHandler):
    """Mails errors to ADMINS. The message of a record may have a path with an address in it."""

    def format(self, record: logging.LogRecord) -> str:
        return clean(super().format(record))

    def format_subject(self, subject: str) -> str:
        return clean(super().format_subject(subject))


class Reporter(ExceptionReporter):
    """Writes the report. Outside DEBUG it is the traceback, the path and the user's id."""

    def get_traceback_text(self) -> SafeString:
        if not self.filter.is_active(self.request):
            return super().get_traceback_text()
        return SafeString(clean(self._describe()))

    def get_traceback_html(self) -> SafeString:
        if not self.filter.is_active(self.request):
            return super().get_traceback_html()
        return SafeString("")

    def _describe(self) -> str:
        request = self.request
        about = f"{request.method} {request.path}\nuser: {find_user_id(request) or '-'}\n\n" if request else ""
        frames = [
            f'  File "{frame["filename"]}", line {frame["lineno"]}, in {frame["function"]}\n'
            for frame in self.get_traceback_frames()
        ]
        name = self.exc_type.__name__ if self.exc_type else "No exception"
        return f"{about}{''.join(frames)}{name}: {self.exc_value}\n"
