"""Analyse a template, or render one message, for a page, the API or a command. What is not plain goes to a child.

Message parts enter, with the names of a list or the values of one recipient. An Analysis or a rendered message leaves.
The calling process never compiles a template, whatever is in it, and holds no database connection while it waits.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from django.db import connections

from batches.rendering.analysis import Analysis, ListNames
from batches.rendering.child import Child, ChildEnded, ChildNotStarted
from batches.rendering.child_answers import FAULT, TOO_MUCH
from batches.rendering.fields import make_identifier
from batches.rendering.places import RenderingBusy, hold_place
from batches.rendering.plain_template import read_plain
from batches.rendering.template import TOO_EXPENSIVE, ListSource, MessageParts, Rendered, TemplateFault
from batches.rendering.typed_names import ROWS
from batches.unsubscribe_tokens import PREVIEW_TOKEN, make_url

__all__ = ["RenderingBusy", "analyse", "analyse_for", "analyse_sound", "inline_styles", "render"]

KNOWN_MAX = 128
"""How many analyses a process keeps. A person looks at the same few templates again and again."""

KNOWN_FIELDS_MAX = 200
"""An analysis with more fields is not kept: it may be big."""

_known: OrderedDict[bytes, Analysis] = OrderedDict()
_known_lock = threading.Lock()


def analyse(parts: MessageParts, source: ListSource | None = None, *, user_id: int | None = None) -> Analysis:
    """Find the fields of a template and how they fit a list, or why it can't be used (``Analysis.fault``).

    Args:
        source: The batch whose merge fields the template is bound to. None: no list.
        user_id: The id of the user, or None for a command.

    Raises:
        RenderingBusy: Too many templates are being looked at.
    """
    return analyse_for(parts, [source], user_id=user_id)[0]


def analyse_sound(parts: MessageParts, source: ListSource | None = None, *, user_id: int | None = None) -> Analysis:
    """Do what ``analyse`` does, for a template that has to be usable.

    Raises:
        TemplateFault: It can't be used.
        RenderingBusy: Too many templates are being looked at.
    """
    return analyse(parts, source, user_id=user_id).require_sound()


def analyse_for(
    parts: MessageParts, sources: Sequence[ListSource | None], *, user_id: int | None = None
) -> list[Analysis]:
    """Analyse a template for each of several lists. One child process looks at all of them."""
    lists = [ListNames.of(source) for source in sources]
    found = [_analyse_plain(parts, names) or _recall(_make_key(parts, names)) for names in lists]
    rest = [names for names, analysis in zip(lists, found, strict=True) if analysis is None]
    if rest:
        analysed = iter(_ask_for_analyses(parts, rest, user_id=user_id))
        found = [analysis or next(analysed) for analysis in found]
    return [analysis for analysis in found if analysis is not None]


def _analyse_plain(parts: MessageParts, names: ListNames) -> Analysis | None:
    try:
        plain = read_plain(parts, names.merge_fields, address_heading=names.address_heading)
    except TemplateFault as exc:
        return Analysis(fault=str(exc))
    return None if plain is None else Analysis.of(plain, names)


def _ask_for_analyses(parts: MessageParts, lists: Sequence[ListNames], *, user_id: int | None) -> list[Analysis]:
    request = {"action": "analyse", "parts": asdict(parts), "lists": [tuple(names) for names in lists]}
    try:
        answer = _ask(request, user_id=user_id)
    except TemplateFault as exc:
        return [Analysis(fault=str(exc))] * len(lists)
    analyses = [Analysis.from_json(values) for values in answer]
    for names, analysis in zip(lists, analyses, strict=True):
        _remember(_make_key(parts, names), analysis)
    return analyses


def render(
    parts: MessageParts, context: Mapping[str, Any], *, address_heading: str = "", user_id: int | None = None
) -> Rendered:
    """Render one recipient's message to be looked at. The names of the context are matched as a list's are.

    The link to unsubscribe from news leads nowhere: a preview must not unsubscribe the recipient.

    Raises:
        TemplateFault: The template is faulty, or takes too much time or memory.
        RenderingBusy: Too many templates are being looked at.
    """
    named = {make_identifier(name): value for name, value in context.items()}
    plain = read_plain(parts, [name for name in named if name != ROWS], address_heading=address_heading)
    if plain is not None:
        return plain.render(named, unsubscribe_url=make_url(PREVIEW_TOKEN))
    request = {
        "action": "render_one",
        "parts": asdict(parts),
        "context": dict(context),
        "address_heading": address_heading,
        "unsubscribe_url": make_url(PREVIEW_TOKEN),
    }
    code, *values = _ask(request, user_id=user_id)
    if code == FAULT:
        raise TemplateFault(values[0], group=values[1])
    return Rendered(*values)


def inline_styles(html: str, *, user_id: int | None = None) -> str:
    """Return HTML with the rules of its style sheets in its elements, as some mail programs need them.

    Raises:
        TemplateFault: A template tag would be lost or moved. The sentence names its line.
        RenderingBusy: Too many templates are being looked at.
    """
    code, *values = _ask({"action": "inline_styles", "source": html}, user_id=user_id)
    if code == FAULT:
        raise TemplateFault(values[0])
    return str(values[0])


def _ask(request: Mapping[str, Any], *, user_id: int | None) -> Any:
    """Let a new child answer one request.

    Raises:
        TemplateFault: The template takes too much time or memory.
        RenderingBusy: There is no place for a child, now or on this machine.
    """
    has_given_up = _give_up_connections()
    with hold_place(user_id, is_hurried=not has_given_up), _open_child() as child:
        try:
            child.write(**request)
            answer = child.read()
        except ChildEnded as exc:
            raise TemplateFault(TOO_EXPENSIVE) from exc
    if answer and answer[0] == TOO_MUCH:
        raise TemplateFault(TOO_EXPENSIVE)
    return answer


@contextmanager
def _open_child() -> Iterator[Child]:
    try:
        child = Child()
    except ChildNotStarted as exc:
        raise RenderingBusy from exc
    try:
        yield child
    finally:
        child.close()


def _give_up_connections() -> bool:
    """Return this thread's database connections to the pool: a child may take seconds, and others need them.

    One within a transaction stays, because its work would be lost. Returns whether none did.
    """
    busy = [connection for connection in connections.all(initialized_only=True) if connection.in_atomic_block]
    for connection in connections.all(initialized_only=True):
        if connection not in busy:
            connection.close()
    return not busy


def _make_key(parts: MessageParts, names: ListNames) -> bytes:
    text = repr((parts, names))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _recall(key: bytes) -> Analysis | None:
    with _known_lock:
        analysis = _known.get(key)
        if analysis is not None:
            _known.move_to_end(key)
        return analysis


def _remember(key: bytes, analysis: Analysis) -> None:
    if len(analysis.typed_names) > KNOWN_FIELDS_MAX or len(analysis.columns) > KNOWN_FIELDS_MAX:
        return
    with _known_lock:
        _known[key] = analysis
        while len(_known) > KNOWN_MAX:
            _known.popitem(last=False)
