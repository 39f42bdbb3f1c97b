"""Compile and render a template of any kind with minijinja. Only the child processes import this module.

minijinja's compiler recurses without a limit and works out constants without fuel, and its fuel counts instructions
and not work. So a hostile template can end the process that compiles it, or take all of its memory and time
(decision 43). The process has to have limits of its own: ``child_program`` sets them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from typing import Any

from minijinja import Environment, Markup, TemplateError

from batches.rendering.language import ReadSource
from batches.rendering.numbers import ValueFault
from batches.rendering.read_template import ReadTemplate, refuse_output
from batches.rendering.template import OUTPUT_MAX_CHARS, UNSUBSCRIBE_URL, MessageParts, TemplateFault
from batches.rendering.vocabulary import add_numbers, check_names
from batches.rendering.wording import say_error, say_letter_fault

FUEL = 100_000
"""How many instructions of minijinja's machine one render may use. A long newsletter takes some hundreds."""

_PANIC = "A tag can't be worked out. Remove what takes a text backwards, such as [::-1], or give it a value."


def compile_parts(
    parts: MessageParts, merge_fields: Collection[str] | None = None, *, address_heading: str = ""
) -> CompiledTemplate:
    """Make a template of message parts that is ready to render many times.

    Args:
        merge_fields: Those of the list. The fields of the template are bound to them as ``bind_fields`` says.
        address_heading: The heading of the list's address column, which may be written for ``email``.

    Raises:
        TemplateFault: A part has a syntax error, the subject is empty, or there is no body.
    """
    return CompiledTemplate(
        subject=parts.subject,
        html=parts.html,
        text=parts.text,
        columns=merge_fields,
        address_heading=address_heading,
        is_news=parts.is_news,
        footer=parts.footer,
    )


class CompiledTemplate(ReadTemplate):
    """A template that minijinja has compiled."""

    def __init__(self, **arguments: Any) -> None:
        self._environment = make_environment()
        super().__init__(**arguments)

    def _take_in(self, part: str, read: ReadSource, *, is_first: bool) -> None:
        try:
            if is_first:
                check_names(self._environment, read.uses)
            self._environment.add_template(part, read.code)
        except TemplateError as exc:
            raise TemplateFault(say_error(part, exc, self._typed[part])) from exc

    def _find_undeclared(self, part: str, read: ReadSource) -> Set[str]:
        undeclared: Set[str] = self._environment.undeclared_variables_in_template(part)
        return undeclared

    def _render(self, part: str, context: Mapping[str, Any]) -> str:
        if self.is_news:  # our own link has no sign that HTML needs escaped
            context = {**context, UNSUBSCRIBE_URL: Markup(context[UNSUBSCRIBE_URL])}
        try:
            output: str = self._environment.render_template(part, **context)
        except ValueFault as exc:
            missing = self._fields.say_missing(context) if exc.is_absent else ""
            group = missing or say_letter_fault(part, exc.group)
            raise TemplateFault(missing or say_letter_fault(part, str(exc)), group=group) from exc
        except TemplateError as exc:
            is_absent = exc.kind == "UndefinedError" or "undefined" in (exc.detail or "")
            missing = self._fields.say_missing(context) if is_absent else ""
            raise TemplateFault(missing or say_error(part, exc, self._typed[part])) from exc
        except BaseException as exc:
            if type(exc).__name__ != "PanicException":  # no Exception, and no module exports it
                raise
            # minijinja ends so for a slice backwards of a blank value. It must not end the process.
            raise TemplateFault(say_letter_fault(part, _PANIC)) from exc
        if len(output) > OUTPUT_MAX_CHARS:
            raise refuse_output(part)
        return output


def make_environment() -> Environment:
    """Make the environment of one template: without a loader, with a fuel limit, and with our reading of numbers."""
    # semi_strict: a misspelt {{ nmae }} is an error, but {% if nickname %} and |default(…) work.
    environment = Environment(  # type: ignore[call-overload]
        fuel=FUEL,
        debug=True,  # without this, an error does not name the merge field
        undefined_behavior="semi_strict",  # missing in the package's stub
        auto_escape_callback=lambda name: "html" if name == "html" else None,
        pycompat=False,
    )
    add_numbers(environment)
    return environment  # type: ignore[no-any-return]
