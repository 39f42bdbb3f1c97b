"""Everything that a docstring, a comment or a document cites exists.

Checked are paths, pages, numbers of decisions and promises, settings, commands, and names of code in backticks.

``python -m tests.test_citations`` prints each citation of something that does not exist.
"""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest
from django.conf import global_settings
from django.core.management import get_commands

from tests.project_files import PROJECT_DIR, list_files

DESIGN, DECISIONS = "docs/design.md", "docs/decisions/"
EXEMPT = re.compile(r"tests/data/|requirements/|tests/test_(citations|language)\.py$|migrations/000\d_|CHANGELOG\.md$")
"""Other people's files, the two tests that need wrong examples, and history, which names what was there then."""

ENDINGS = "py|md|sql|html|js|css|toml|yaml|yml|service|sh"
FILE = re.compile(rf"(?<![\w/.*<>:-])(?:[\w.-]+/)*[\w-][\w.-]*\.(?:{ENDINGS})(?![\w/(*<])")
FOLDER = re.compile(
    r"(?<![\w/.])(?!docs/decisions/\d)(?:batches|emailbatch|tests|docs|static|templates)/(?:[\w-]+/)*[\w-]*(?![\w/*<{-]|\.\w)"
)
LINK = re.compile(r"\]\(([^)\s:]+)\)")
DECISION = re.compile(r"\b(?:decision|ADR) (\d+)|\bdecisions/(\d{4})\b")
PROMISE = re.compile(r"\bpromises? (\d+)")
SETTING = re.compile(r"(?<![\w$.{])(?<!name: )(?<!-k )[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![\w*])")
COMMAND = re.compile(r"\b(manage\.py|make) ([a-z][\w-]*)")
CODE = re.compile(rf"(?<!`)`{{1,2}}((?![\w.-]+\.(?:{ENDINGS})`)[A-Za-z_][\w.]*)(?:\(\))?`{{1,2}}(?!`)")
WORD = re.compile(r"[A-Za-z_]\w*")

COMMENTS = {
    ".sql": re.compile(r"--[^\n]*"),
    ".html": re.compile(r"\{#.*?#\}|<!--.*?-->|\{% comment.*?endcomment %\}", re.DOTALL),
    ".js": re.compile(r"/\*.*?\*/|(?<!:)//[^\n]*", re.DOTALL),
    ".css": re.compile(r"/\*.*?\*/", re.DOTALL),
    ".toml": re.compile(r"#[^\n]*"),
    ".yaml": re.compile(r"#[^\n]*"),
    ".yml": re.compile(r"#[^\n]*"),
    ".md": re.compile(r".+", re.DOTALL),
}

ELSEWHERE = {
    "SCHED_BATCH",  # Linux's scheduling policy
    "fail_silently",  # an argument of Django's send_mail
    "mysite.py",  # a file of the reader's own
    "name_2",  # two columns of an example
    "column_3",
}
"""Names that documents rightly cite and no code of ours has."""


@functools.cache
def tracked() -> frozenset[str]:
    """The project's files and folders, a folder with a slash at its end."""
    files = set(list_files())
    return frozenset(files | {f"{folder}/" for path in files for folder in PurePosixPath(path).parents})


@functools.cache
def read(path: str) -> str:
    return (PROJECT_DIR / path).read_text(errors="replace")


@functools.cache
def split_python(text: str) -> tuple[list[tuple[int, str]], set[str]]:
    """Split a module into its prose (line number and text of each comment and docstring) and its words of code."""
    tree = ast.parse(text)
    # A string that is a whole statement is prose: a docstring, or the text after an attribute.
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    starts = {(node.lineno, node.col_offset) for node in strings if isinstance(node, ast.Constant)}
    prose, words = [], set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and token.start in starts):
            prose.append((token.start[0], token.string))
        else:
            words.update(WORD.findall(token.string))
    return prose, words


def read_prose(path: str, text: str) -> list[tuple[int, str]]:
    if path.endswith(".py"):
        return split_python(text)[0]
    text = text.split("\n## Words that were replaced")[0]  # the glossary's table of words that are gone
    # An example in Python may define names of its own. Its lines stay, so that the numbers of the others are right.
    text = re.sub(
        r"^ *```python.*?```", lambda match: "\n" * match[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE
    )
    found = COMMENTS[PurePosixPath(path).suffix].finditer(text)
    return [(text.count("\n", 0, match.start()) + 1, match[0]) for match in found]


@functools.cache
def code_words() -> frozenset[str]:
    """Every word of the code, comments and docstrings of Python left out, and Django's own settings."""
    words = set(dir(global_settings)) | ELSEWHERE
    for path in tracked():
        if path.endswith(".py") and not EXEMPT.search(path):
            words |= split_python(read(path))[1] | {PurePosixPath(path).stem}
        elif not path.endswith((".md", "/")) and not EXEMPT.search(path):
            words.update(WORD.findall(read(path)))
    return frozenset(words)


@functools.cache
def members() -> dict[str, set[str]]:
    """The words of the code of each module of the product, and of the module of each class."""
    found: dict[str, set[str]] = {}
    for path in tracked():
        if path.startswith(("batches/", "emailbatch/")) and path.endswith(".py") and "/migrations/" not in path:
            words = split_python(read(path))[1]
            classes = [node.name for node in ast.walk(ast.parse(read(path))) if isinstance(node, ast.ClassDef)]
            module = PurePosixPath(path.removesuffix("/__init__.py")).stem
            for name in [module, *classes] if words else []:  # a package without code of its own has only submodules
                found.setdefault(name, set()).update(words)
    for place in map(PurePosixPath, tracked()):
        if place.parent.name in found:
            found[place.parent.name].add(place.stem)
    return found


@functools.cache
def has_path(cited: str, *, citing: str) -> bool:
    """Whether a path exists below the project, below the citing file's folder, or as the end of a tracked path."""
    cited = cited.removeprefix("./")
    near = (PROJECT_DIR / citing).parent / cited
    module = cited.replace(".", "/")  # ``models.sql`` is a file of SQL, or a module
    return (
        cited in ELSEWHERE
        or (PROJECT_DIR / cited).exists()
        or near.exists()
        or any(path.endswith((f"/{module}.py", f"/{module}/")) for path in tracked())
        or any(path == cited or path.removesuffix("/").endswith(f"/{cited.removesuffix('/')}") for path in tracked())
    )


def has_link(target: str, *, citing: str) -> bool:
    page, _, heading = target.partition("#")
    path = (PROJECT_DIR / citing).parent / page if page else PROJECT_DIR / citing
    if not path.exists() or not heading:
        return path.exists()
    titles = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def has_decision(number: str) -> bool:
    return any(path.startswith(f"{DECISIONS}{int(number):04}-") for path in tracked())


@functools.cache
def promises() -> frozenset[str]:
    """The numbers of the list below the design's heading about promises."""
    if DESIGN not in tracked():
        return frozenset()
    sections = re.split(r"^#+ ", read(DESIGN), flags=re.MULTILINE)
    return frozenset(
        number
        for section in sections
        if re.match(r"[^\n]*promise", section, re.IGNORECASE)
        for number in re.findall(r"^(\d+)\. ", section, re.MULTILINE)
    )


def has_command(program: str, name: str) -> bool:
    return name in get_commands() if program == "manage.py" else bool(re.search(rf"^{name}:", read("Makefile"), re.M))


@functools.cache
def has_code(cited: str) -> bool:
    """Whether a module, class or function exists. A name that cannot be one of the project's counts as existing."""
    first, *rest = cited.removeprefix("emailbatch_").split(".")  # the gauges of /metrics begin so
    for owner, name in zip([first, *rest], rest, strict=False):
        if owner in members() and name not in members()[owner]:
            return False
    return all(name in code_words() for name in [first, *rest] if "_" in name.strip("_"))


def find_broken(path: str, text: str) -> Iterator[str]:
    """Yield one sentence for each citation that leads to nothing."""
    for first_line, prose in read_prose(path, text):

        def say(match: re.Match[str], what: str, *, prose: str = prose, first_line: int = first_line) -> str:
            return f"{path}:{first_line + prose.count(chr(10), 0, match.start())}: no such {what}: {match[0]}"

        for pattern in (FILE, FOLDER):
            yield from (say(match, "path") for match in pattern.finditer(prose) if not has_path(match[0], citing=path))
        if path.endswith(".md"):
            yield from (say(match, "page") for match in LINK.finditer(prose) if not has_link(match[1], citing=path))
            yield from (
                say(match, "command") for match in COMMAND.finditer(prose) if not has_command(match[1], match[2])
            )
        yield from (say(each, "decision") for each in DECISION.finditer(prose) if not has_decision(each[1] or each[2]))
        yield from (say(match, "promise") for match in PROMISE.finditer(prose) if match[1] not in promises())
        yield from (say(match, "setting") for match in SETTING.finditer(prose) if match[0] not in code_words())
        yield from (say(match, "code") for match in CODE.finditer(prose) if not has_code(match[1]))


def find_all_broken() -> list[str]:
    paths = [
        path
        for path in sorted(tracked())
        if PurePosixPath(path).suffix in {".py", *COMMENTS} and not EXEMPT.search(path)
    ]
    return [sentence for path in paths for sentence in find_broken(path, read(path))]


def test_every_citation_leads_somewhere() -> None:
    assert find_all_broken() == []


@pytest.mark.parametrize(
    "sentence",
    [
        "See batches/models/gone.py.",
        "See gone.sql.",
        "See tests/gone/ for more.",
        "See [the page](gone.md).",
        "See [the heading](../README.md#gone).",
        "It follows decision 99.",
        "It follows docs/decisions/0099.",
        "It keeps promise 99.",
        "Set `SEND_GONE` to 1, or",
        "Run `manage.py gone` first.",
        "Run `make gone` first.",
        "It calls `policy.gone` then.",
        "It calls `Batch.gone` then.",
        "It calls `gone_and_forgotten()` then.",
    ],
)
def test_citation_is_broken_when_nothing_is_there(sentence: str) -> None:
    broken = list(find_broken("docs/settings.md", f"One.\n{sentence}\n"))
    assert broken
    assert all(each.startswith("docs/settings.md:2: no such ") for each in broken)


@pytest.mark.parametrize("text", ["# See gone.sql.\n", 'X = 1\n"""See gone.sql."""\n'])
def test_citation_is_broken_when_it_is_in_a_comment_or_docstring(text: str) -> None:
    assert len(list(find_broken("batches/apps.py", text))) == 1


def test_citation_is_not_looked_for_when_a_string_is_data() -> None:
    assert list(find_broken("batches/apps.py", 'X = "See gone.sql."\n')) == []


@pytest.mark.parametrize(
    "sentence",
    [
        "See batches/models/choices.py, choices.py, tests/chaos/ and batches/models.",
        "See [the page](chaos.md), [a heading](chaos.md#how-a-trial-goes) and <https://example.org/gone.html>.",
        "It follows decision 15, as docs/decisions/0015 says.",
        "Set `SEND_WINDOW` or `EMAIL_BACKEND`; run `manage.py sendbatch` and `make up`.",
        "It reads `choices.BatchStatus`, `BatchStatus.DRAFT` and `stdin.readline`.",
    ],
)
def test_nothing_is_broken_when_all_exists(sentence: str) -> None:
    assert list(find_broken("docs/settings.md", sentence)) == []


if __name__ == "__main__":
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailbatch.settings")
    django.setup()
    print(*find_all_broken(), sep="\n")  # noqa: T201
