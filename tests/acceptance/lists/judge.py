"""Upload a case to a running stack, and compare every recipient, every rejected row and every sentence."""

from __future__ import annotations

import csv
import http.client
import io
import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from tests.acceptance.client import Client, Json
from tests.acceptance.lists.cases import ListCase, Rows

UPLOAD_SECONDS = 120
NEVER_SAID = re.compile(
    r"Codepoint|U\+[0-9A-F]{4}|LEFT-TO-RIGHT|undefined|Traceback|\bNone\b|invalid characters"
    r"|Put quotes around a cell that contains the delimiter",
)
"""A compiler's words, and an advice that is wrong for every case."""

_PROTECTED = re.compile(r"'\s*[=+\-@\t\r\n]")
"""The downloads put an apostrophe before what a spreadsheet program would run."""


@dataclass(kw_only=True, slots=True)
class Upload:
    """What became of an uploaded file. ``rows`` are the recipients, and ``sentences`` what a person is told."""

    status: int
    seconds: float
    batch_id: int | None
    rows: Rows
    doubled: list[str]
    rejected: list[tuple[int, str]]
    """The line and the reason of each rejected row."""
    sentences: list[str]
    review: Json


def post_file(client: Client, path: str, *, content: bytes, filename: str, **form: str) -> tuple[int, Json]:
    """Post a file with more form fields, and return the status and the answer."""
    boundary = uuid.uuid4().hex
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in form.items()]
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
    body = "".join([*parts, head]).encode() + content + f"\r\n--{boundary}--\r\n".encode()
    headers = {**client.headers, "Content-Type": f"multipart/form-data; boundary={boundary}"}
    with closing(http.client.HTTPConnection("127.0.0.1", client.port, timeout=UPLOAD_SECONDS)) as connection:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def upload_draft(client: Client, *, content: bytes, filename: str, **form: str) -> Upload:
    """Upload a list as a draft, and read what became of its lines."""
    begin = time.monotonic()
    status, answer = post_file(client, "/api/upload", content=content, filename=filename, draft="true", **form)
    seconds = time.monotonic() - begin
    batch_id = answer.get("batchId")
    upload = Upload(
        status=status,
        seconds=seconds,
        batch_id=batch_id,
        rows={},
        doubled=[],
        rejected=[],
        sentences=[],
        review={},
    )
    if batch_id is None:
        upload.sentences = [str(answer.get("detail", ""))]
    else:
        read_draft(client, upload)
    return upload


def read_draft(client: Client, upload: Upload) -> None:
    """Fill in the recipients, the rejected rows and the review of a draft."""
    path = f"/api/batches/{upload.batch_id}"
    upload.review = review = client.get(f"{path}/review?templateId=welcome_email")
    upload.rows, upload.doubled = {}, []
    for cells in _read_table(client, f"{path}/results.csv"):
        own = [cell[1:] if _PROTECTED.match(cell) else cell for cell in cells[: len(review["columns"])]]
        # With several address columns each of them is a merge field too, and the address itself is in the last column.
        has_several = len(review["addressColumns"]) > 1
        address = (cells[-1] if has_several else own.pop(review["addressColumn"])).lower()
        if address in upload.rows:
            upload.doubled.append(address)
        upload.rows[address] = dict(zip(review["mergeFields"], own, strict=True))
    width = len(review["columns"])  # cells that no column has are after the reason
    upload.rejected = [(int(row[width]), row[width + 1]) for row in _read_table(client, f"{path}/rejected.csv")]
    upload.sentences = [reason for _, reason in upload.rejected]


def _read_table(client: Client, path: str) -> Iterator[list[str]]:
    status, text = client.request("GET", path)
    assert status == 200, text
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""))
    next(rows)
    yield from rows


def find_faults(client: Client, case: ListCase) -> list[str]:
    """Upload a case and return every difference from what must become of it, as sentences."""
    drafts_before = _count_drafts(client) if case.expect is None else 0
    upload = upload_draft(client, content=case.content, filename=case.filename)
    faults = [f"took {upload.seconds:.1f} s"] if upload.seconds > case.seconds else []
    if case.expect is None:
        faults += _judge_refusal(client, upload, drafts_before)
    elif upload.batch_id is None:
        faults.append(f"refused with {upload.status}: {upload.sentences[0]}")
    else:
        if case.encoding and _find_wrong_fields(case.expect, upload.rows):
            faults += _choose_encoding(client, case, upload)
        faults += _judge_rows(case, case.expect, upload)
        faults += _judge_review(case.found, upload.review)
    return [*faults, *_judge_sentences(case, " | ".join(upload.sentences))]


def _judge_refusal(client: Client, upload: Upload, drafts_before: int) -> Iterator[str]:
    if upload.batch_id is not None:
        yield f"taken: {str(list(upload.rows.items())[:2])[:120]}, {len(upload.rejected)} rejected"
        return
    if not 400 <= upload.status < 500:
        yield f"refused with {upload.status}"
    if not re.search(r"\w.*[.!]$", upload.sentences[0]):
        yield f"no sentence: {upload.sentences[0]!r}"
    if _count_drafts(client) != drafts_before:
        yield "the refused upload left a draft"


def _judge_rows(case: ListCase, expect: Rows, upload: Upload) -> Iterator[str]:
    if missing := expect.keys() - upload.rows.keys():
        yield f"missing {sorted(missing)[:4]} of {len(expect)}"
    if more := upload.rows.keys() - expect.keys() - case.also:
        yield f"too many {sorted(more)[:4]}"
    if upload.doubled:
        yield f"doubled {upload.doubled[:4]}"
    if wrong := _find_wrong_fields(expect, upload.rows):
        yield f"{len(wrong)} wrong fields, such as {wrong[0]}"
    # A row of a case with a choice may be a recipient or rejected, but it must be one of them.
    chosen = case.also & upload.rows.keys()
    if not case.rejected - min(len(chosen), case.rejected) <= len(upload.rejected) <= case.rejected:
        yield f"{len(upload.rejected)} rows rejected instead of {case.rejected}"


def _find_wrong_fields(expect: Rows, rows: Rows) -> list[tuple[str, str, str | None, str]]:
    return [
        (address, name, rows[address].get(name), value)
        for address, fields in expect.items()
        if address in rows
        for name, value in fields.items()
        if rows[address].get(name) != value
    ]


def _choose_encoding(client: Client, case: ListCase, upload: Upload) -> list[str]:
    """Choose the true encoding, as a person does who sees the names both ways. It must be among those offered."""
    offered = [choice["encoding"] for choice in upload.review["reading"]["encodings"]]
    wanted = {_plain(case.encoding), _plain(case.encoding.replace("iso8859", "iso-8859"))}
    fitting = [name for name in offered if _plain(name) in wanted]
    if not fitting:
        return [f"{case.encoding} is not offered, only {offered}"]
    samples = next(each["samples"] for each in upload.review["reading"]["encodings"] if each["encoding"] == fitting[0])
    status, answer = client.request("POST", f"/api/batches/{upload.batch_id}/reread", {"encoding": fitting[0]})
    if status != 200:
        return [f"cannot be read again as {fitting[0]}: {answer}"]
    read_draft(client, upload)
    return [] if samples else [f"no names are shown both ways for {fitting[0]}"]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _judge_review(found: Mapping[str, object], review: Json) -> Iterator[str]:
    reading: Mapping[str, Any] = {**review.get("reading", {}), "mergeFields": review["mergeFields"]}
    for name, wanted in found.items():
        value = reading.get(name)
        if isinstance(value, list) and isinstance(wanted, int):
            value = len(value)
        if value != wanted:
            yield f"the review says {name}: {value!r} instead of {wanted!r}"


def _judge_sentences(case: ListCase, said: str) -> Iterator[str]:
    for pattern in case.says:
        if (case.expect is None or case.rejected) and said and not re.search(pattern, said):
            yield f"says not {pattern!r}: {said[:300]}"
    for pattern in case.says_not:
        if re.search(pattern, said):
            yield f"says {pattern!r}: {said[:300]}"
    if words := NEVER_SAID.search(said):
        yield f"says {words[0]!r}: {said[:300]}"


def _count_drafts(client: Client) -> int:
    batches = client.get("/api/batches?limit=500")["items"]
    return sum(batch["status"] == "draft" for batch in batches)
