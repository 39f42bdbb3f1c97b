"""The program of a child process: it compiles and renders templates that may be hostile, within limits of its own.

Requests enter through standard input, answers leave through standard output: frames of JSON, each after its length.
The kernel ends the process if it takes too much memory, or too much processor time for one answer, also within the
template engine. Its starter sees the end of the pipe, and knows which answer is missing. The program opens no
file and no connection, and is given no secret.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from batches.rendering.analysis import Analysis, ListNames
from batches.rendering.child_answers import FAULT, FRAME, LATER, OK, TOO_MUCH
from batches.rendering.compiled import CompiledTemplate, compile_parts
from batches.rendering.fields import make_identifier
from batches.rendering.tags import TagFault, find_line
from batches.rendering.template import MessageParts, TemplateFault
from batches.rendering.typed_names import ROWS
from batches.rendering.wording import say_where

MEMORY_MAX_BYTES = 128 << 20
"""How much memory the process may take beyond what it has when it is ready."""

COMPILE_SECONDS = 2.0
"""The processor time to compile a template for all lists of a request. A long newsletter takes some milliseconds."""

RENDER_SECONDS = 0.3
"""The processor time to render one message. FUEL ends an honest loop after a tenth of a second."""

BATCH_SECONDS = 0.25
"""After this time the rest of a request's rows is left for the next one, so that the asker is never long without an
answer."""

BATCH_MAX_BYTES = 512 * 1024
"""After so many bytes of answers too, so that big messages cost the asker little memory."""

NICENESS = 5
"""How much less of a busy processor the child gets than those who wait for it."""

SAYS_OTHER_WORDS = (
    "The styles can't be put into the elements, because the message would have other words then. "
    "Close each element that you open, and try again."
)

_compiled: CompiledTemplate | None = None


def main() -> None:
    """Answer requests until standard input ends."""
    _limit_process()
    _answer([OK])
    while (request := _read_frame()) is not None:
        _ACTIONS[request.pop("action")](**request)


def _limit_process() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory = pages * resource.getpagesize() + MEMORY_MAX_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    os.nice(NICENESS)
    # From now on, only templates fail: the engine would write a line to the log for each that takes too much.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _read_frame() -> dict[str, Any] | None:
    head = sys.stdin.buffer.read(FRAME.size)
    if len(head) < FRAME.size:
        return None
    request: dict[str, Any] = orjson.loads(sys.stdin.buffer.read(*FRAME.unpack(head)))
    return request


def _answer(values: Any) -> int:
    """Write an answer at once: what follows may end the process. Returns its size."""
    octets = orjson.dumps(values)
    frame = memoryview(FRAME.pack(len(octets)) + octets)
    while frame:
        frame = frame[os.write(1, frame) :]
    return len(octets)


def _within(seconds: float, action: Callable[[], Any]) -> Any:
    """Do something within a limit of processor time, at whose end the kernel ends the process.

    A limit by a signal that Python handles would not hold: minijinja gives Python no chance to run.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        return action()
    except MemoryError:
        return [TOO_MUCH]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _analyse(parts: dict[str, Any], lists: Iterable[tuple[list[str] | None, str]]) -> None:
    """Answer with an Analysis for each list."""
    named = [ListNames(None if names is None else tuple(names), heading) for names, heading in lists]
    _answer(_within(COMPILE_SECONDS, lambda: [_analyse_for(MessageParts(**parts), names) for names in named]))


def _analyse_for(parts: MessageParts, names: ListNames) -> dict[str, Any]:
    try:
        compiled = compile_parts(parts, names.merge_fields, address_heading=names.address_heading)
    except TemplateFault as exc:
        return Analysis(fault=str(exc)).to_json()
    return Analysis.of(compiled, names).to_json()


def _compile(parts: dict[str, Any], columns: list[str], address_heading: str) -> None:
    """Make the template ready for the rows of a list."""

    def compile_for_list() -> list[Any]:
        global _compiled
        try:
            _compiled = compile_parts(MessageParts(**parts), columns, address_heading=address_heading)
        except TemplateFault as exc:
            return _say_fault(exc)
        return [OK]

    _answer(_within(COMPILE_SECONDS, compile_for_list))


def _render_rows(rows: list[tuple[int, list[Any], str, str]], shows: bool) -> None:
    """Answer for each row, or for the first ones and then LATER. Without ``shows``, only say whether it can be made.

    Each answer begins with the id of its row, so that its asker never takes it for that of another row.
    """
    until, size_bytes = time.monotonic() + BATCH_SECONDS, 0
    for row_id, cells, address, unsubscribe_url in rows:
        if size_bytes > BATCH_MAX_BYTES or time.monotonic() > until:
            _answer([row_id, LATER])
            return
        answer = _within(RENDER_SECONDS, partial(_render_row, cells, address, unsubscribe_url, shows=shows))
        size_bytes += _answer([row_id, *answer])


def _render_row(cells: list[Any], address: str, unsubscribe_url: str, *, shows: bool) -> list[Any]:
    assert _compiled is not None  # noqa: S101  (rows come after their template)
    try:
        context = _compiled.make_context(cells, address=address)
        rendered = _compiled.render(context, unsubscribe_url=unsubscribe_url)
    except TemplateFault as exc:
        return _say_fault(exc)
    return [OK, *rendered] if shows else [OK, rendered.size_bytes]


def _render_one(parts: dict[str, Any], context: dict[str, Any], address_heading: str, unsubscribe_url: str) -> None:
    """Answer with the message of one recipient. The names of the context are matched as a list's are."""

    def render() -> list[Any]:
        named = {make_identifier(name): value for name, value in context.items()}
        merge_fields = [name for name in named if name != ROWS]
        try:
            compiled = compile_parts(MessageParts(**parts), merge_fields, address_heading=address_heading)
            signal.setitimer(signal.ITIMER_PROF, RENDER_SECONDS)
            return [OK, *compiled.render(named, unsubscribe_url=unsubscribe_url)]
        except TemplateFault as exc:
            return _say_fault(exc)

    _answer(_within(COMPILE_SECONDS, render))


def _inline_styles(source: str) -> None:
    """Answer with HTML whose styles are in its elements. Its words have to be the same with and without values."""

    def inline() -> list[Any]:
        from batches.rendering.inlining import inline_styles, read_words  # here, because few children need it

        try:
            inlined = inline_styles(source)
            before, after = (compile_parts(MessageParts(subject="-", html=html, text="")) for html in (source, inlined))
            for value in ("120", ""):
                context = dict.fromkeys(before.merge_fields, value)
                if read_words(before.render(context).html) != read_words(after.render(context).html):
                    return [FAULT, SAYS_OTHER_WORDS, ""]
        except TagFault as exc:
            return [FAULT, say_where("html", find_line(source, exc.offset), str(exc)), ""]
        except TemplateFault as exc:
            return _say_fault(exc)
        return [OK, inlined]

    _answer(_within(COMPILE_SECONDS, inline))


def _say_fault(fault: TemplateFault) -> list[Any]:
    return [FAULT, str(fault), fault.group]


_ACTIONS: dict[str, Callable[..., None]] = {
    "analyse": _analyse,
    "compile": _compile,
    "render_rows": _render_rows,
    "render_one": _render_one,
    "inline_styles": _inline_styles,
}


if __name__ == "__main__":
    main()
