"""The child process that renders a template for the first time, and its limits."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from batches.rendering.preview import render_preview
from batches.rendering.template import MessageParts, TemplateFault

PROJECT_DIR = Path(__file__).resolve().parents[3]
HUNGRY = MessageParts(
    subject="S",
    html="",
    text="{% set a = 'a' * 20000000 %}{% set b = a ~ a %}{% set c = b ~ b %}{% set d = c ~ c %}{{ d|length }}",
)
"""Takes some 300 MB for an output of nine characters."""


def test_message_is_rendered_when_the_template_is_right() -> None:
    parts = MessageParts(subject="Hello {{ name }}", html="<p>{{ name }}", text="Dear {{ name }}")
    assert render_preview(parts, {"name": "Zoë"}) == ("Hello Zoë", "<p>Zoë", "Dear Zoë")


def test_fault_is_told_when_a_merge_field_is_missing() -> None:
    with pytest.raises(TemplateFault, match="The list has no column for: name"):
        render_preview(MessageParts(subject="{{ name }}", html="", text="T"), {})


def test_fault_is_told_when_the_child_ends_without_an_answer() -> None:
    text = HUNGRY.text.replace("20000000", "60000000")
    with pytest.raises(TemplateFault, match="too much time or memory"):
        render_preview(MessageParts(subject="S", html="", text=text), {})


@pytest.mark.parametrize(("limit_bytes", "has_answer"), [(400 << 20, False), (1 << 34, True)])
def test_child_dies_when_a_template_takes_more_memory_than_the_limit(limit_bytes: int, has_answer: bool) -> None:
    program = f"from batches.rendering import preview; preview.MEMORY_MAX_BYTES = {limit_bytes}; preview.main()"
    child = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps({"parts": asdict(HUNGRY), "context": {}}).encode(),
        capture_output=True,
        cwd=PROJECT_DIR,
        check=False,
    )
    assert (child.returncode == 0) is has_answer
    assert (b'"text": "160000000"' in child.stdout) is has_answer
