"""Collect the sentences of Python code for translation, from its texts and f-strings as they are.

Source enters, messages of gettext leave: ``f"Line {line} is empty."`` becomes ``"Line %(line)s is empty."``. Only the
modules of SAYING are read: those whose sentences people read on pages. ``translations.say`` fits the text of a running
program to these messages (decision 53).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePath

SAYING = (
    *(f"batches/{name}.py" for name in ("do_not_send", "factors", "mailboxes", "message_tests", "outcomes", "paging")),
    *(f"batches/{name}.py" for name in ("permissions", "send_times", "sender_addresses", "suppressions", "waiting")),
    *(f"batches/{name}.py" for name in ("template_form", "template_notes", "template_versions")),
    *(f"batches/{name}.py" for name in ("token_form", "topic_form", "wording")),
    *(f"batches/accounts/{name}.py" for name in ("adapters", "forms", "guesses", "middleware", "views")),
    *(f"batches/delivery/{name}.py" for name in ("pauses", "stopping", "strikes", "terms", "withholding")),
    *(f"batches/jobs/{name}.py" for name in ("approvals", "creation", "estimates", "forecasts", "inactive_users")),
    *(f"batches/jobs/{name}.py" for name in ("lifecycle", "opening", "reviewed", "senders", "stopping", "topics")),
    *(f"batches/jobs/{name}.py" for name in ("redis_health", "run_lane", "user_limits")),
    *(f"batches/delivery/{name}.py" for name in ("lane_renderer", "outbox", "pool", "routing")),
    *(f"batches/accounts/{name}.py" for name in ("openid_users", "proof")),
    *(f"batches/{name}.py" for name in ("reviewing", "template_form", "template_sources", "unsubscribe_tokens")),
    "batches/admin/*.py",
    "batches/api/errors.py",
    "batches/files/*.py",
    "batches/intake/*.py",
    "batches/models/template.py",
    *(f"batches/people/{name}.py" for name in ("accounts", "erasing", "live", "wording")),
    *(f"batches/relays/{name}.py" for name in ("local_senders", "notes", "presets", "registry", "states")),
    *(f"batches/relays/{name}.py" for name in ("token_store", "windows", "wording")),
    "batches/rendering/*.py",
    *(f"batches/returns/{name}.py" for name in ("summary", "thresholds")),
    "batches/sender_checks/*.py",
    *(f"batches/smtp/{name}.py" for name in ("backend", "backend_verdicts", "losses", "relay", "replies")),
    *(f"batches/smtp/{name}.py" for name in ("session", "stages", "step_check", "wire")),
    "batches/web/*.py",
    *(f"batches/webhooks/{name}.py" for name in ("addresses", "deliveries", "posting", "sending")),
    "batches/writing/*.py",
    "emailbatch/request_bodies/*.py",
)
"""The modules whose sentences people read."""

SILENT = (
    *(f"batches/files/{name}.py" for name in ("cell_formats", "heading_words", "number_formats", "repairs")),
    "batches/admin/field_names.py",
    *(f"batches/delivery/{name}.py" for name in ("strikes", "terms")),
    "batches/files/full_disk.py",
    *(f"batches/rendering/{name}.py" for name in ("child", "child_program", "fields", "message", "unsubscribing")),
    "batches/intake/import_progress.py",
    "batches/intake/__init__.py",
    "batches/web/hooks.py",
    *(f"batches/writing/{name}.py" for name in ("__init__", "frame")),
    "emailbatch/request_bodies/daphne_socket.py",
    "batches/web/unsubscribe.py",  # marked with gettext, because recipients have more languages
)
"""Modules among them whose texts are for programs."""

MARKED = {"_", "gettext", "gettext_lazy", "gettext_noop", "ngettext", "ngettext_lazy", "sentence", "plural_sentence"}
NOT_SAID = {
    "cast",
    "compile",
    "execute",
    "getLogger",
    "partition",
    "removeprefix",
    "replace",
    "split",
    "startswith",
} | {"sub"}
"""Functions whose arguments no person reads."""

LOGGERS = {"logger", "logging"}

_FORMAT_GAP = re.compile(r"(?<!\{)\{([a-z_]+)\}(?!\})")
_LETTERS = re.compile(r"[a-z]{2}")
_CODE = re.compile(
    r"\b(?:SELECT|UPDATE|INSERT|DELETE|WHERE|COLLATE)\b|</|\n|\(\?|\w:\w|[{]\d*[}]| \| None"  # SQL, markup, keys, types
    r"|-src |Content-|charset=|filename=|max-age=|allow-popups|Accept: |Connection: "  # headers of HTTP
    r"|\.lock$|^reader-|IN TXT|auth=Bearer|^https?://\S+$"  # names of files, records of DNS, addresses
)


def is_saying(path: str) -> bool:
    """Whether people read the sentences of a module. ``path`` begins at the project's folder."""
    pure = PurePath(path)
    return any(pure.match(each) for each in SAYING) and not any(pure.match(each) for each in SILENT)


def collect(source: str) -> Iterator[tuple[int, str, bool]]:
    """Yield the line of each sentence, the message, and whether it has gaps."""
    yield from _collect(ast.parse(source))


def _collect(node: ast.AST) -> Iterator[tuple[int, str, bool]]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring
    if isinstance(node, ast.Call) and _is_passed_over(node.func):
        return
    if isinstance(node, ast.Constant | ast.JoinedStr) and (message := _read(node)):
        yield node.lineno, message, isinstance(node, ast.JoinedStr)
    children = node.values if isinstance(node, ast.JoinedStr) else ast.iter_child_nodes(node)
    for child in children:
        if not (isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)):
            yield from _collect(child)


def _is_passed_over(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id in MARKED | NOT_SAID
    if not isinstance(function, ast.Attribute):
        return False
    owner = function.value
    return function.attr in MARKED | NOT_SAID or (isinstance(owner, ast.Name) and owner.id in LOGGERS)


def _read(node: ast.Constant | ast.JoinedStr) -> str:
    """Return the message of a text, or an empty text if it is no sentence."""
    if isinstance(node, ast.Constant):
        text = node.value if isinstance(node.value, str) else ""
        return _read_format(text) if _is_sentence(text) else ""
    names: dict[str, str] = {}
    parts = [
        str(value.value).replace("%", "%%") if isinstance(value, ast.Constant) else _read_gap(value, names)
        for value in node.values
    ]
    literal = " ".join(str(value.value) for value in node.values if isinstance(value, ast.Constant))
    return "".join(parts) if _is_sentence(literal) else ""


def _read_format(text: str) -> str:
    """Read a text for ``str.format``, such as ``"The relay {name} has a fault."``, as one with gaps."""
    if not _FORMAT_GAP.search(text):
        return text
    return _FORMAT_GAP.sub(r"%(\1)s", text.replace("%", "%%")).replace("{{", "{").replace("}}", "}")


def _is_sentence(text: str) -> bool:
    return " " in text.strip() and bool(_LETTERS.search(text)) and not _CODE.search(text)


def _read_gap(value: ast.expr, names: dict[str, str]) -> str:
    """Return the gap of an expression. Two expressions never have the same name."""
    expression = ast.unparse(value)
    name = _name(value.value) if isinstance(value, ast.FormattedValue) else "value"
    while names.setdefault(name, expression) != expression:
        name = f"{name}_2"
    return f"%({name})s"


def _name(node: ast.expr) -> str:
    """Return a name that tells a translator what is in a gap."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.lower().strip("_")
        case ast.Call(func=ast.Name(id="len")):
            return "count"
        case ast.Call(args=[first, *_]) | ast.Call(func=ast.Attribute(value=first)) | ast.Subscript(slice=first):
            named = _name(first)
            return named if named != "value" or not isinstance(node, ast.Subscript) else _name(node.value)
        case ast.BinOp(left=left):
            return _name(left)
        case ast.Call(func=function):
            return _name(function)
    return "value"
