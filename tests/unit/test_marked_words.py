"""Every word that a person sees is marked for translation: in templates, in forms and models, and in scripts.

Sentences of Python need no mark in the modules that ``batches.management.collecting`` reads. docs/languages.md says how
each kind is written.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.utils import flatten, flatten_fieldsets
from django.db.models import Field, Model

from batches.management.collecting import is_saying

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent
IN_ENGLISH = {"swagger.html"}
"""The document of the API, which is in English (decision 53)."""
TEMPLATES = sorted(path for path in (PROJECT_DIR / "templates").rglob("*.html") if path.name not in IN_ENGLISH)
SCRIPTS = sorted((PROJECT_DIR / "static/js").glob("*.js"))
MODULES = sorted(
    path
    for folder in ("batches", "emailbatch")
    for path in (PROJECT_DIR / folder).rglob("*.py")
    if "migrations" not in path.parts
)

WORD = re.compile(r"[^\W\d_]{2}")

MARKED_TAGS = re.compile(
    r"\{%-?\s*blocktrans(?:late)?\b.*?%\}.*?\{%\s*endblocktrans(?:late)?\s*%\}"
    r"|\{%\s*comment\b.*?%\}.*?\{%\s*endcomment\s*%\}"
    r"|\{% block width %\}[\w-]+"
    r"|\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}",
    re.DOTALL,
)
SEEN_ATTRIBUTES = {"title", "alt", "placeholder", "aria-label", "aria-description", "label"}
NOT_READ = {"script", "style", "code", "pre", "kbd", "svg"}
"""What these elements hold is no sentence: programs, and what somebody types as it is."""

SAME_EVERYWHERE = {
    "Email",  # the name of the program is Email Batch
    "Email Batch",
    "API",
    "CSV",
    "Excel",
    "HTML",
    "Markdown",
    "URL",
}
"""Names, which no language translates."""


class Reader(HTMLParser):
    """Finds the text that a browser would show of a template in which the marked parts are blank."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[int, str]] = []
        self._unread = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._unread += tag in NOT_READ
        shown = {"value"} if ("type", "submit") in attrs or ("type", "button") in attrs else set()
        for name, value in attrs:
            is_sentence = name.startswith("data-") and " " in (value or "").strip()
            if name in SEEN_ATTRIBUTES | shown or is_sentence:
                self._note(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self._unread -= tag in NOT_READ

    def handle_endtag(self, tag: str) -> None:
        self._unread -= tag in NOT_READ

    def handle_data(self, data: str) -> None:
        if not self._unread:
            self._note(data)

    def _note(self, text: str) -> None:
        shown = " ".join(text.split())
        if WORD.search(shown) and shown.strip(" .,:;()…—-·") not in SAME_EVERYWHERE:
            self.found.append((self.getpos()[0], shown))


def find_unmarked(source: str) -> list[tuple[int, str]]:
    def blank(match: re.Match[str]) -> str:
        return "\n" * match[0].count("\n")

    reader = Reader()
    reader.feed(MARKED_TAGS.sub(blank, source))
    reader.close()
    return reader.found


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(PROJECT_DIR / "templates")))
def test_words_are_marked_when_a_template_shows_them(path: Path) -> None:
    assert find_unmarked(path.read_text()) == [], "put them into {% translate %} or {% blocktranslate trimmed %}"


@pytest.mark.parametrize(
    "source",
    [
        "<p>Hello</p>",
        '<p>{% translate "Hello" %} there</p>',
        '<img alt="A picture">',
        '<input type="submit" value="Send">',
        '<a title="{{ name }} is away">x</a>',
    ],
)
def test_words_are_found_when_a_template_does_not_mark_them(source: str) -> None:
    assert find_unmarked(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% blocktranslate trimmed %}Hello{% endblocktranslate %} <b title=\"{% translate 'x' %}\">{{ name }}</b>",
        "<code>name@example.org</code><script>let there = 1</script>{# a note #}",
        '<input type="hidden" value="send"> 1,000 &middot; <b>API</b>',
    ],
)
def test_nothing_is_found_when_a_template_marks_its_words(source: str) -> None:
    assert find_unmarked(source) == []


GETTEXTS = {"gettext", "ngettext", "pgettext", "npgettext"}
LABELS = {
    "label",
    "help_text",
    "empty_label",
    "verbose_name",
    "verbose_name_plural",
    "description",
    "short_description",
    "empty_value_display",
}
"""Arguments and attributes whose text Django shows to people."""

LABELS_OF_META = {"labels", "help_texts", "error_messages"}

UNLABELLED = re.compile(
    r"batches/api/"  # the document of the API, which stays in English (decision 53)
    r"|batches/models/(?!choices)"  # test_names_of_columns_are_translated_when_the_admin_shows_them looks at these
)


def aliases(tree: ast.Module, names: set[str]) -> set[str]:
    """Return by which names a module calls functions of django.utils.translation."""
    return {
        each.asname or each.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
        for each in node.names
        if each.name in names
    }


def find_eager(source: str) -> list[tuple[int, str]]:
    """Find what is translated when a module is read: once, in the language of the first request."""
    tree = ast.parse(source)
    eager = aliases(tree, GETTEXTS)
    found: list[tuple[int, str]] = []

    def walk(node: ast.AST) -> None:
        if isinstance(node, ast.Lambda):
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for part in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
                walk(part)
            return
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in eager:
            found.append((node.lineno, ast.unparse(node)))
        for child in ast.iter_child_nodes(node):
            walk(child)

    walk(tree)
    return found


def find_labels(source: str) -> Iterator[tuple[int, str]]:
    """Find labels, help and names of choices that are plain texts."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            named = [(keyword.arg, keyword.value) for keyword in node.keywords]
        elif isinstance(node, ast.Assign):
            named = [(_last_name(target), node.value) for target in node.targets]
        elif isinstance(node, ast.ClassDef) and any("Choices" in ast.unparse(base) for base in node.bases):
            named = [
                ("label", each.value.elts[1])
                for each in node.body
                if isinstance(each, ast.Assign) and isinstance(each.value, ast.Tuple) and len(each.value.elts) == 2
            ]
        else:
            continue
        for name, value in named:
            if name in LABELS_OF_META and isinstance(value, ast.Dict):
                yield from (each for part in value.values for each in _find_text(part))
            if name in LABELS:
                yield from _find_text(value)


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _find_text(value: ast.expr) -> Iterator[tuple[int, str]]:
    if isinstance(value, ast.JoinedStr):
        yield value.lineno, ast.unparse(value)
        return
    text = value.value if isinstance(value, ast.Constant) else None
    if isinstance(text, str) and WORD.search(text) and text not in SAME_EVERYWHERE:
        yield value.lineno, text


def find_formatted(source: str) -> list[tuple[int, str]]:
    """Find f-strings that are marked: gettext would look for the text that is already filled in."""
    tree = ast.parse(source)
    marks = aliases(tree, GETTEXTS | {f"{name}_lazy" for name in GETTEXTS})
    return [
        (node.lineno, ast.unparse(node))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in marks
        and any(isinstance(argument, ast.JoinedStr) for argument in node.args)
    ]


def name_of(path: Path) -> str:
    return str(path.relative_to(PROJECT_DIR))


def find_in_modules(find: object) -> list[str]:
    assert callable(find)
    return [
        f"{name_of(path)}:{line}: {text}"
        for path in MODULES
        if find is not find_labels or not UNLABELLED.match(name_of(path))
        for line, text in find(path.read_text())
        # In these modules a sentence needs no mark, but a single word does.
        if find is not find_labels or not (is_saying(name_of(path)) and " " in text)
    ]


def test_no_word_is_translated_when_its_module_is_read() -> None:
    assert find_in_modules(find_eager) == [], "use gettext_lazy"


def test_labels_are_marked_when_forms_models_and_the_admin_have_them() -> None:
    assert find_in_modules(find_labels) == [], "use gettext_lazy"


def test_names_of_columns_are_translated_when_the_admin_shows_them() -> None:
    wrong = []
    for model, page in admin.site._registry.items():
        if model._meta.app_label != "batches":
            continue
        texts = {"the model": model._meta.verbose_name, "the models": model._meta.verbose_name_plural}
        for column in find_columns(model, page):
            texts |= {column.name: column.verbose_name, f"help of {column.name}": column.help_text}
        wrong += [f"{model.__name__}, {name}: {text}" for name, text in texts.items() if isinstance(text, str) and text]
    assert wrong == [], "add names to batches/admin/field_names.py, and mark help_text with gettext_lazy"


def find_columns(model: type[Model], page: admin.ModelAdmin[Any]) -> list[Field[Any, Any]]:
    """Return the columns that the admin shows of a model: on its list, beside it, and on the page of one record."""
    if page.fieldsets:
        shown = flatten_fieldsets(page.fieldsets)
    else:
        editable = [column.name for column in model._meta.concrete_fields if column.editable]
        shown = flatten(page.fields) if page.fields else editable
    names = {str(name) for name in (*shown, *page.list_display, *page.list_filter)}
    return [column for column in model._meta.concrete_fields if column.name in names]


def test_no_formatted_text_is_marked() -> None:
    assert find_in_modules(find_formatted) == [], "write _('%(name)s') % {...}"


def test_each_kind_of_unmarked_text_is_found() -> None:
    module = (
        "from django.utils.translation import gettext as _\n"
        "class Form:\n"
        '    name = CharField(label=_("Name"), help_text="What it is called.")\n'
        "    class Meta:\n"
        '        labels = {"name": "Name"}\n'
        "class Kind(models.TextChoices):\n"
        '    NEWS = "news", "News"\n'
        "def say(name):\n"
        '    return _(f"Hello {name}")\n'
    )
    assert [line for line, _ in find_eager(module)] == [3]
    assert sorted(line for line, _ in find_labels(module)) == [3, 5, 7]
    assert [line for line, _ in find_formatted(module)] == [9]


SHOWN_BY_SCRIPTS = re.compile(
    r"""(?:\.(?:textContent|title|placeholder|ariaLabel|innerText)\s*=\s*"""
    r"""|\b(?:confirm|alert)\(\s*|setAttribute\(\s*["'](?:aria-label|title)["']\s*,\s*)"""
    r"""(?P<text>"[^"\n]*"|'[^'\n]*'|`[^`]*`)"""
)
SENTENCE_OF_SCRIPT = re.compile(r"""(?P<before>[\w.]*\(?\s*)(?P<text>"[A-Z][^"\n]* [^"\n]*"|`[^`]*[a-z] [a-z][^`]*`)""")


def find_unmarked_in_script(source: str) -> list[str]:
    code = re.sub(r"/\*.*?\*/|^\s*//.*$|\s//\s.*$", "", source, flags=re.DOTALL | re.MULTILINE)
    shown = [match["text"] for match in SHOWN_BY_SCRIPTS.finditer(code)]
    found = [text for text in shown if WORD.search(re.sub(r"\$\{[^}]*\}", "", text))]
    for match in SENTENCE_OF_SCRIPT.finditer(code):
        before = code[max(0, match.start("text") - 200) : match.start("text")]
        if not re.search(r"\bn?gettext\([^()]*$", before):
            found.append(match["text"])
    return sorted(set(found))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_words_are_marked_when_a_script_shows_them(path: Path) -> None:
    assert find_unmarked_in_script(path.read_text()) == [], "use gettext of words.js"


def test_words_are_found_when_a_script_does_not_mark_them() -> None:
    assert find_unmarked_in_script('note.textContent = "Saved";') == ['"Saved"']
    assert find_unmarked_in_script('show("It is on its way.");') == ['"It is on its way."']
    assert find_unmarked_in_script('show(gettext("It is on its way."));') == []
