"""A program that uses a running stack from outside with a token: the HTTP API, the websocket and the event stream."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from websockets.sync.client import connect

from tests.acceptance.stack import RunningStack, wait_until

ANSWER_SECONDS = 30
ENDED = ("completed", "failed", "cancelled")

Json = dict[str, Any]


class Client:
    """A client whose token belongs to a user of the stack. ``manage.py createapitoken`` makes it."""

    def __init__(self, stack: RunningStack, *, username: str = "") -> None:
        said = stack.manage("createapitoken", username or stack.username)
        assert said.stdout.count("\n") == 1 and not said.stderr
        self.headers = {"Authorization": f"Bearer {said.stdout.strip()}"}
        self.port = stack.port

    def request(self, method: str, path: str, body: Json | None = None, **headers: str) -> tuple[int, Any]:
        """Return the status and the answer, which is parsed if it is JSON, and otherwise text."""
        content = None if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)) as http_client:
            http_client.request(method, path, content, {**self.headers, "Content-Type": "application/json", **named})
            answer = http_client.getresponse()
            text = answer.read().decode()
            is_json = answer.headers.get_content_type() == "application/json"
            return answer.status, json.loads(text) if is_json else text

    def get(self, path: str) -> Any:
        status, answer = self.request("GET", path)
        assert status == 200, answer
        return answer

    def post(self, path: str, body: Json | None = None, **headers: str) -> Any:
        status, answer = self.request("POST", path, body, **headers)
        assert status == 202, answer
        return answer

    def batch(self, batch_id: int) -> Json:
        batch: Json = self.get(f"/api/batches/{batch_id}")
        return batch

    def wait_for_end(self, batch_id: int, *, within_seconds: float = 60) -> Json:
        """Wait until the batch has ended, and return it."""
        wait_until(
            lambda: self.batch(batch_id)["status"] in ENDED,
            within_seconds=within_seconds,
            what=f"The end of batch {batch_id}",
        )
        return self.batch(batch_id)

    def emails(self, batch_id: int) -> Iterator[Json]:
        """Yield every recipient of the batch, page by page."""
        cursor: str | None = ""
        while cursor is not None:
            page = self.get(f"/api/batches/{batch_id}/emails?limit=500&cursor={cursor}")
            yield from page["items"]
            cursor = page["next"]

    def watch_socket(
        self, batch_id: int, *, within_seconds: float = 60, watching: threading.Event | None = None
    ) -> list[Json]:
        """Return the snapshots of the websocket, up to the one in which the batch has ended.

        ``watching`` is set when the first snapshot has come.
        """
        deadline = time.monotonic() + within_seconds
        url = f"ws://127.0.0.1:{self.port}/ws/batches/{batch_id}/"
        snapshots: list[Json] = []
        with connect(url, additional_headers=self.headers, open_timeout=ANSWER_SECONDS) as socket:
            while not snapshots or snapshots[-1]["status"] not in ENDED:
                snapshots.append(json.loads(socket.recv(timeout=deadline - time.monotonic())))
                if watching:
                    watching.set()
        return snapshots

    def watch_stream(
        self, batch_id: int, *, within_seconds: float = 60, watching: threading.Event | None = None
    ) -> list[Json]:
        """Return the snapshots of the event stream, up to the one in which the batch has ended."""
        deadline = time.monotonic() + within_seconds
        snapshots: list[Json] = []
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)) as http_client:
            http_client.request("GET", f"/api/batches/{batch_id}/stream", headers=self.headers)
            answer = http_client.getresponse()
            assert (answer.status, answer.headers.get_content_type()) == (200, "text/event-stream")
            while not snapshots or snapshots[-1]["status"] not in ENDED:
                line = answer.readline()
                assert line and time.monotonic() < deadline, "the stream did not reach the batch's end"
                if line.startswith(b"data: "):
                    snapshots.append(json.loads(line.removeprefix(b"data: ")))
                    if watching:
                        watching.set()
        return snapshots
