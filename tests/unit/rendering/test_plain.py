"""Both ways to write a message make the same octets. Values that the gaps can't hold go the general way."""

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from batches.rendering.compiled import CompiledTemplate
from batches.rendering.message import Message, MessageLayout
from batches.rendering.plain import MessageWriter, PlainLayout, find_plain_layout
from batches.rendering.template import TemplateFault
from tests.bench import messages

NAMES = ("name", "city", "straße")
LETTER = {"subject": "Hello {{ name }}", "text": "Dear {{ name }},\n{{ city }}\n", "html": "<p>{{ name }}</p>\n"}
FIELDS = {"name": "Ann", "city": "Berlin"}


def make_layout() -> MessageLayout:
    return MessageLayout(from_email="Die Schule <post@example.org>", job_id=7, key=b"k" * 32)


def find(**changes: str) -> PlainLayout | None:
    return find_plain_layout(CompiledTemplate(**LETTER | changes), make_layout())


def without_date(message: Message) -> Message:
    """The second may change between two messages; ``has_dots`` is compared separately."""
    return message._replace(content=re.sub(rb"\r\nDate: [^\r]+", b"", message.content, count=1), has_dots=True)


def assert_same_octets(
    template: CompiledTemplate, context: dict[str, str], *, address: str = "a@example.org", allow_8bit: bool = True
) -> None:
    layout = make_layout()
    try:
        rendered = template.render(context)
    except TemplateFault as fault:
        with pytest.raises(TemplateFault, match=f"^{re.escape(str(fault))}$"):
            MessageWriter(template, layout).write(email_id=3, address=address, context=context, allow_8bit=allow_8bit)
        return
    general = layout.build(email_id=3, address=address, rendered=rendered, allow_8bit=allow_8bit)
    written = MessageWriter(template, layout).write(email_id=3, address=address, context=context, allow_8bit=allow_8bit)
    assert without_date(written) == without_date(general)
    assert written.has_dots or b"\r\n." not in written.content
    if context.get("email", address) != address:
        return  # A row has no cell of this name: it is always the address.
    for cells_after in ([], [[["y"]]]):
        # In another order, with cells that no template names, and after them rows that went together.
        named = {name: value for name, value in context.items() if name != "email"}
        columns = {"other": "x", **dict(reversed(named.items())), "more": "\n"}
        cells = [*columns.values(), *cells_after]
        from_row = MessageWriter(template, layout, tuple(columns)).write_row(
            3, address, cells, allow_8bit=allow_8bit, digest=None
        )
        assert without_date(from_row) == without_date(general)


static = st.one_of(
    st.text(alphabet="ab %{}()#-&<'/\r\n\t.é漢\xa0=?", max_size=12),
    st.sampled_from(["\n", ".", "\n."]),
    st.text(max_size=12),
    st.integers(960, 1000).map(lambda size: "x" * size),
)
gap = st.sampled_from([*(f"{{{{ {name} }}}}" for name in NAMES), "{{name}}", "{{\tcity\n}}"])
source = st.lists(st.one_of(static, gap), max_size=8).map("".join)
ordinary = st.text(alphabet=".abc %s{}&<>\"'/=?é漢\xa0\u2028\x85", max_size=8)
hostile = st.one_of(
    ordinary,
    st.text(max_size=40),
    st.text(alphabet="\r\n.- \x00\x1f\x7f\t", max_size=8),
    st.integers(1, 1100).map(lambda size: "é" * size),
)


@given(subject=source, text=source, html=source, values=st.tuples(hostile, hostile, hostile), allow_8bit=st.booleans())
@example(
    subject="100% {{ name }}", text="{{ name }}%s\r", html="%(name)s{{ city }}", values=("", "\n", ""), allow_8bit=True
)
@example(subject="s", text="a\r{{ name }}\nb", html="", values=("", "", ""), allow_8bit=True)
@example(subject="s", text="{{ name }}", html="<p>", values=("", "", ""), allow_8bit=True)
@example(subject="s={{ name }}?", text="t", html="<p>", values=("", "", ""), allow_8bit=True)
@example(subject="a\n{{ name }}\nb", text="t", html="", values=("", "", ""), allow_8bit=True)
@example(subject="{{ name }}", text="t", html="{{ name }}", values=("\ud800", "", ""), allow_8bit=True)
def test_octets_are_the_same_when_they_are_written_both_ways(
    subject: str, text: str, html: str, values: tuple[str, str, str], allow_8bit: bool
) -> None:
    try:
        template = CompiledTemplate(subject=subject, text=text, html=html)
    except TemplateFault:
        assume(False)
    assert_same_octets(template, dict(zip(NAMES, values, strict=True)), allow_8bit=allow_8bit)


@pytest.mark.parametrize(
    ("text", "name", "has_dots"),
    [
        ("Dear {{ name }}.\nBye.", "Ann", False),
        ("Dear\n{{ name }}", ".Ann", True),
        ("Dear\n{{ name }}.", "Ann", True),
        ("Dear\n.{{ name }}", "Ann", True),
    ],
)
def test_dots_are_not_doubled_only_when_no_line_can_begin_with_one(text: str, name: str, has_dots: bool) -> None:
    plain = find(text=text, html="")
    assert plain is not None
    message = plain.fill(3, "a@example.org", dict.fromkeys(NAMES, name))
    assert message is not None and message.has_dots is has_dots
    empty = plain.fill(3, "a@example.org", dict.fromkeys(NAMES, ""))
    assert empty is not None and empty.has_dots >= (b"\r\n." in empty.content)


@given(
    values=st.tuples(ordinary, ordinary, ordinary),
    statics=st.lists(st.text(alphabet="ab\n%é&</ ", max_size=9), min_size=4, max_size=4),
)
def test_fast_way_is_taken_when_fields_are_ordinary(values: tuple[str, str, str], statics: list[str]) -> None:
    body = "-{{ name }}".join(statics) + ".{{ straße }}{{ city }}"
    template = CompiledTemplate(subject="{{ name }} 100% {{ city }}", text=body, html=f"<b>{body}")
    context = dict(zip(NAMES, values, strict=True))
    plain = find_plain_layout(template, make_layout())
    assert plain is not None
    assert plain.fill(3, "a@example.org", context) is not None
    assert_same_octets(template, context)


def test_fast_way_is_taken_when_the_template_is_that_of_the_benchmark() -> None:
    parts = {part: messages.TEMPLATE[part] for part in ("subject", "text", "html")}
    plain = find(**parts)
    assert plain is not None
    for address, *fields in messages.make_recipients(10):
        context = dict(zip(messages.MERGE_FIELDS, fields, strict=True)) | {"email": address}
        assert plain.fill(1, address, context) is not None
        assert_same_octets(CompiledTemplate(**parts), context, address=address)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"text": ""}, id="only HTML"),
        pytest.param({"html": " \n"}, id="only text"),
        pytest.param({"subject": "Hello", "text": "Hello", "html": "<p>Hello"}, id="no merge field"),
        pytest.param({"subject": "Bonjour {{ name }}\xa0!\n"}, id="space that does not break"),
        pytest.param({"html": "<style>a { b: c } @media x { a { b: c }}</style>{{ name }}"}, id="braces of CSS"),
        pytest.param({"text": "Dear\r\n{{ name }}\r\n"}, id="CRLF"),
    ],
)
def test_fast_way_is_taken_when_the_template_is_plain(changes: dict[str, str]) -> None:
    plain = find(**changes)
    assert plain is not None
    assert plain.fill(1, "a@example.org", FIELDS) is not None
    assert_same_octets(CompiledTemplate(**LETTER | changes), FIELDS)
    assert_same_octets(CompiledTemplate(**LETTER | changes), {"name": "", "city": ""}, address="zoë@example.org")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"text": "Dear {{ name|upper }}"}, id="filter"),
        pytest.param({"text": "Dear {{ name ~ city }}"}, id="expression"),
        pytest.param({"text": "Dear {{ 'name' }}"}, id="literal"),
        pytest.param({"text": "Dear {% if name %}{{ name }}{% endif %}"}, id="statement"),
        pytest.param({"html": "<p>{# name #}{{ name }}"}, id="comment"),
        pytest.param({"subject": "Hello {{- name }}"}, id="whitespace control"),
        pytest.param({"text": "{{ name }}{{ city }}"}, id="body of fields only"),
        pytest.param({"text": "a\r{{ name }}\nb"}, id="CR that a value may turn into a CRLF"),
        pytest.param({"subject": "Hello\n{{ name }}\nyou"}, id="line end in the subject"),
        pytest.param({"text": "x" * 999 + "\n{{ name }}"}, id="line too long"),
        pytest.param({"html": "x" * 999 + "{{ name }}"}, id="line too long with a field"),
        pytest.param({"text": "line\n" * 70_000}, id="output that may be too long"),
    ],
)
def test_general_way_is_taken_when_the_template_is_not_plain(changes: dict[str, str]) -> None:
    assert find(**changes) is None
    for name in ("Ann", "", "<\n"):
        assert_same_octets(CompiledTemplate(**LETTER | changes), FIELDS | {"name": name})


@pytest.mark.parametrize("character", ["\n", "\r", "\t", "\x00", "\x1f", "\x7f", "\ud800"])
@pytest.mark.parametrize("field", ["name", "city"])
def test_general_way_is_taken_when_a_value_has_a_character_that_a_gap_can_not_hold(field: str, character: str) -> None:
    context = FIELDS | {field: f"A{character}n"}
    plain = find()
    assert plain is not None
    assert plain.fill(1, "a@example.org", context) is None
    assert_same_octets(CompiledTemplate(**LETTER), context)


@pytest.mark.parametrize("body", ["text", "html"])
@pytest.mark.parametrize(
    ("line", "name"),
    [("{}", "x" * 999), ("x" * 900 + "{}", "é" * 50), ("é" * 450 + "{}", "é" * 50), ("{} and {}", "x" * 498)],
)
def test_general_way_is_taken_when_a_line_may_be_too_long(body: str, line: str, name: str) -> None:
    changes = {"text": "", "html": ""} | {body: f"first\n{line.replace('{}', '{{ name }}')}\nlast"}
    plain = find(**changes)
    assert plain is not None
    longest = {"name": name[: -4 if name[0] == "x" else -1]}
    assert plain.fill(1, "a@example.org", longest) is not None
    assert plain.fill(1, "a@example.org", {"name": name}) is None
    for context in (longest, {"name": name}):
        assert_same_octets(CompiledTemplate(**LETTER | changes), context)


def test_general_way_is_taken_when_a_line_is_too_long_only_after_escaping() -> None:
    changes = {"text": "", "html": "x" * 900 + "{{ name }}"}
    plain = find(**changes)
    assert plain is not None
    assert plain.fill(1, "a@example.org", {"name": "<" * 24}) is not None
    assert plain.fill(1, "a@example.org", {"name": "<" * 25}) is None
    assert_same_octets(CompiledTemplate(**LETTER | changes), {"name": "<" * 25})


@pytest.mark.parametrize("name", ["self", "true", "none", "loop", "range", "debug", "not", "email", "template_name"])
def test_octets_are_the_same_when_a_merge_field_has_a_name_of_the_template_language(name: str) -> None:
    try:
        template = CompiledTemplate(**LETTER | {"text": f"Dear {{{{ {name} }}}}"})
    except TemplateFault:
        assert name == "not"
        return
    assert_same_octets(template, FIELDS)
    assert_same_octets(template, FIELDS | {name: "value"})


def test_fault_names_the_merge_field_when_it_is_missing() -> None:
    plain = find()
    assert plain is not None
    assert plain.fill(1, "a@example.org", {"city": "Berlin"}) is None
    with pytest.raises(TemplateFault, match="name"):
        MessageWriter(CompiledTemplate(**LETTER), make_layout()).write(
            email_id=1, address="a@example.org", context={"city": "Berlin"}, allow_8bit=True
        )


@pytest.mark.parametrize("cells", [[], ["Berlin"]])
def test_no_cell_is_taken_for_another_when_the_row_is_too_short(cells: list[str]) -> None:
    writer = MessageWriter(CompiledTemplate(**LETTER), make_layout(), ("city", "name"))
    with pytest.raises(TemplateFault, match=r"name|city"):
        writer.write_row(1, "a@example.org", cells, allow_8bit=True, digest=None)


@pytest.mark.parametrize("text", ["{{ email }}", "{{ email }} {{ name }}", "Hello"])
def test_email_is_the_address_also_when_a_column_has_its_name(text: str) -> None:
    template = CompiledTemplate(subject="Hello {{ email }}", text=f"Dear {text}", html="")
    writer = MessageWriter(template, make_layout(), ("email", "name"))
    written = writer.write_row(1, "a@example.org", ["other@example.org", "Ann"], allow_8bit=True, digest=None)
    assert b"Subject: Hello a@example.org\r\n" in written.content
    assert b"other" not in written.content


def test_message_is_quoted_when_the_relay_does_not_accept_8bit() -> None:
    written = MessageWriter(CompiledTemplate(**LETTER), make_layout()).write(
        email_id=1, address="a@example.org", context=FIELDS | {"name": "Zoë"}, allow_8bit=False
    )
    assert not written.is_8bit
    assert b"Zo=C3=AB" in written.content


@pytest.mark.parametrize("character", [chr(code) for code in range(0x20, 0x7F)])
def test_value_is_escaped_as_by_minijinja_when_it_is_in_html(character: str) -> None:
    assert_same_octets(CompiledTemplate(**LETTER), FIELDS | {"name": character * 2})
