"""Render a template that was not rendered before, in a child process with limits of its own.

Fuel stops endless loops, but ``{{ 'a' * 50000000 }}`` makes 50 MB within the fuel. So the kernel limits the memory
and time of the child, and the web process stays unharmed.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from batches.rendering.fields import make_identifier
from batches.rendering.template import MessageParts, Rendered, TemplateFault
from batches.rendering.typed_names import ROWS

MEMORY_MAX_BYTES = 1 << 30
"""The address space of the child, in which Python and its libraries take some 200 MB."""

CPU_MAX_SECONDS = 2
WALL_MAX_SECONDS = 10
"""More than the processor time, because a busy machine starts the child slowly."""
_PROJECT_DIR = Path(__file__).resolve().parent.parent.parent


def render_preview(parts: MessageParts, context: Mapping[str, Any], *, address_heading: str = "") -> Rendered:
    """Render one recipient's message in the child process. The names of the context are matched as a list's are.

    Raises:
        TemplateFault: The template is faulty, too slow, or too large.
    """
    request = json.dumps({"parts": asdict(parts), "context": dict(context), "address_heading": address_heading})
    try:
        child = subprocess.run(
            [sys.executable, "-m", "batches.rendering.preview"],
            input=request.encode(),
            capture_output=True,
            cwd=_PROJECT_DIR,
            timeout=WALL_MAX_SECONDS,
            check=False,
        )
        answer = json.loads(child.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError) as exc:
        raise TemplateFault(
            "The template takes too much time or memory. Make its loops and repetitions smaller."
        ) from exc
    if "fault" in answer:
        raise TemplateFault(answer["fault"])
    return Rendered(**answer)


def _render(parts: MessageParts, context: Mapping[str, Any], *, address_heading: str = "") -> Rendered:
    named = {make_identifier(name): value for name, value in context.items()}
    merge_fields = [name for name in named if name != ROWS]
    return parts.compile(merge_fields, address_heading=address_heading).render(named)


def main() -> None:
    """Read a request as JSON from standard input, and write the answer as JSON to standard output."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_MAX_SECONDS, CPU_MAX_SECONDS))
    request = json.load(sys.stdin)
    try:
        parts = MessageParts(**request["parts"])
        answer = _render(parts, request["context"], address_heading=request.get("address_heading", ""))._asdict()
    except TemplateFault as exc:
        answer = {"fault": str(exc)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
