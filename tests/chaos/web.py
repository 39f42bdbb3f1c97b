"""The web server of one trial. It takes uploads, and a trial can kill it in the middle of one."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
BOUNDARY = "----chaos"
ANSWER_SECONDS = 60


class Web:
    """Start it with ``with Web(...) as web``, then wait until ``is_up`` is true."""

    def __init__(self, *, environment: Mapping[str, str], log: Path) -> None:
        self.environment, self.log = environment, log
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    def __enter__(self) -> Self:
        argv = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(self.port), "emailbatch.asgi:application"]
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(argv, cwd=ROOT, env=dict(self.environment), stdout=output, stderr=output)
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def kill(self) -> None:
        """Kill -9 the web server."""
        self.process.kill()
        self.process.wait(timeout=10)

    def is_up(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"The web server ended at once.\n{self.log.read_text()[-4000:]}")
        connection = self._connect()
        try:
            connection.request("GET", "/api/docs")
            return connection.getresponse().status < 500
        except OSError:
            return False
        finally:
            connection.close()

    def begin_upload(self, path: Path, *, template: str, token: str, key: str) -> http.client.HTTPConnection:
        """Send the whole request, and return the connection on which the answer will come."""
        return self._begin(path, {"templateId": template}, {"Authorization": f"Bearer {token}", "Idempotency-Key": key})

    def post_form(self, path: Path, *, token: str, fields: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Upload a file beside these fields. Return the status of the answer and its JSON."""
        connection = self._begin(path, fields, {"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        connection.close()
        return response.status, answer

    def upload(self, path: Path, *, template: str, token: str, key: str) -> dict[str, Any]:
        """Upload a file and wait for the answer.

        Raises:
            RuntimeError: the server refused it.
        """
        connection = self.begin_upload(path, template=template, token=token, key=key)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        if response.status != 202:
            raise RuntimeError(f"The upload was answered with {response.status}: {body[:1000]!r}")
        answer: dict[str, Any] = json.loads(body)
        return answer

    def _begin(self, path: Path, fields: Mapping[str, str], headers: Mapping[str, str]) -> http.client.HTTPConnection:
        parts = [
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n'
        parts.append(f"{head}Content-Type: text/csv\r\n\r\n{path.read_text(encoding='utf-8')}\r\n--{BOUNDARY}--\r\n")
        connection = self._connect()
        content_type = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        connection.request("POST", "/api/upload", body="".join(parts).encode(), headers={**headers, **content_type})
        return connection

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
