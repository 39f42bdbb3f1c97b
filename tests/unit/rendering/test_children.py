"""Templates that may be hostile are looked at in child processes, and end those at most."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable

import pytest

from batches.rendering import children, places
from batches.rendering.child import Child, ChildEnded
from batches.rendering.children import RenderingBusy, analyse, analyse_for, analyse_sound, render
from batches.rendering.template import PART_MAX_CHARS, MessageParts, TemplateFault
from tests.unit.rendering.hostile import CHAINS, EXPENSIVE, FOLDED

CONDITION = "{% if name %}Dear {{ name }}{% endif %}"


class NewList:
    """The names of a list."""

    address_heading = "Mail"

    def __init__(self, *merge_fields: str) -> None:
        self.merge_fields = merge_fields


def text(source: str) -> MessageParts:
    return MessageParts(subject="S", html="", text=source)


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    children._known.clear()


def test_message_is_rendered_when_the_template_is_plain() -> None:
    parts = MessageParts(subject="Hello {{ name }}", html="<p>{{ name }}", text="Dear {{ First Name }}")
    assert render(parts, {"name": "Zoë", "First Name": "Ann"}) == ("Hello Zoë", "<p>Zoë", "Dear Ann")


def test_message_is_rendered_by_a_child_when_the_template_has_a_condition() -> None:
    assert render(text(CONDITION), {"name": "Zoë"}) == ("S", "", "Dear Zoë")


@pytest.mark.parametrize("source", ["{{ name }}", CONDITION + "{{ name|upper }}"])
def test_fault_is_told_when_a_merge_field_is_missing(source: str) -> None:
    with pytest.raises(TemplateFault, match="The list has no column for: name"):
        render(text(source), {})


@pytest.mark.parametrize("source", ["Dear {{ Vor Name }}, {{ Tel. }}", "{% if Vor Name %}{{ Tel. }}{% endif %}"])
def test_fields_are_found_when_a_template_is_analysed(source: str) -> None:
    alone, bound = analyse_for(text(source), [None, NewList("vorname", "city")])
    assert alone.written_fields == ["Tel.", "Vor Name"]
    assert bound.merge_fields == {"vorname", "tel"} and bound.binding.missing == ("tel",)
    assert bound.columns == ("vorname", "city")
    assert not alone.fault and not alone.uses_rows and alone.number_fields == frozenset()


def test_number_fields_and_rows_are_known_when_a_child_has_analysed() -> None:
    analysis = analyse(text("{% for row in rows %}{{ row.Fee * 2 }}{% endfor %}{{ Age + 1 }}"))
    assert analysis.uses_rows and "Age" in analysis.number_fields


@pytest.mark.parametrize("source", ["{{ name", "{% if name %}", "{{ name|shout }}"])
def test_fault_is_part_of_the_analysis_when_a_template_cant_be_used(source: str) -> None:
    assert analyse(text(source)).fault.endswith((".", "?"))
    with pytest.raises(TemplateFault):
        analyse_sound(text(source))


@pytest.mark.parametrize(
    ("chain", "count"),
    [*((chain, 20_000) for chain in CHAINS), *((chain, 200_000) for chain in ("tilde", "filter", "power", "elif"))],
)
def test_process_lives_when_a_chain_is_long(chain: str, count: int) -> None:
    began_at, before = time.monotonic(), peak_bytes()
    analysis = analyse(text(CHAINS[chain](count)))
    assert not analysis.fault or analysis.fault.endswith((".", "?"))
    assert time.monotonic() - began_at < 15
    assert peak_bytes() - before < 100 << 20


def test_memory_is_not_taken_when_constants_are_folded() -> None:
    before = peak_bytes()
    assert "too much time or memory" in analyse(text(FOLDED)).fault
    with pytest.raises(TemplateFault, match="too much time or memory"):
        render(text(FOLDED), {})
    assert peak_bytes() - before < 50 << 20


@pytest.mark.parametrize("kind", EXPENSIVE)
def test_fault_is_told_when_a_message_is_expensive(kind: str) -> None:
    began_at, before = time.monotonic(), peak_bytes()
    with pytest.raises(TemplateFault):
        render(text("{{ name[:1] }}" + EXPENSIVE[kind]), {"name": "xxxxxxxxxx"})
    assert time.monotonic() - began_at < 8
    assert peak_bytes() - before < 100 << 20


def test_analysis_is_kept_when_a_template_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = analyse(text(CONDITION))
    monkeypatch.setattr(children, "hold_place", None)  # a second child could not be started
    assert analyse(text(CONDITION)) == first


def test_part_is_refused_when_it_is_longer_than_a_form_accepts() -> None:
    text("x" * PART_MAX_CHARS).check_lengths()
    with pytest.raises(TemplateFault, match="The text body has more than 262,144 characters"):
        text("x" * (PART_MAX_CHARS + 1)).check_lengths()


def test_fault_is_told_when_a_text_has_half_of_a_character() -> None:
    with pytest.raises(TemplateFault, match="can't be sent"):
        render(text(CONDITION + "\ud800"), {"name": "Ann"})


def test_child_ends_when_nobody_asks_it_any_more() -> None:
    child = Child()
    assert child._process.stdin is not None
    child._process.stdin.close()
    assert child._process.wait(5) == 0
    child.close()


def test_reason_is_the_requests_own_when_the_kernel_ends_the_child() -> None:
    child = Child()
    child.write(
        action="analyse", parts={"subject": "S", "html": "", "text": CHAINS["tilde"](20_000)}, lists=[(None, "")]
    )
    with pytest.raises(ChildEnded) as ended:
        child.read()
    assert ended.value.is_by_request
    child.close()


def test_reason_is_not_the_requests_when_somebody_kills_the_child() -> None:
    child = Child()
    child.kill()
    with pytest.raises(ChildEnded) as ended:
        child.read()
    assert not ended.value.is_by_request
    child.close()


# --- How many at once ----------------------------------------------------------------------------------


def hold_in_thread(user_id: int | None) -> tuple[threading.Event, threading.Thread]:
    """Hold a place in another thread until the event is set."""
    is_held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        with places.hold_place(user_id):
            is_held.set()
            is_over.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_held.wait(10)
    return is_over, thread


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "WAIT_SECONDS", 0.1)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("other", "is_busy"), [(1, True), (2, False), (None, False)])
def test_second_child_is_refused_when_it_is_the_same_users(other: int | None, is_busy: bool) -> None:
    is_over, thread = hold_in_thread(1)
    try:
        if is_busy:
            with pytest.raises(RenderingBusy, match="Wait a few seconds"):
                render(text(CONDITION), {"name": "Ann"}, user_id=other)
        else:
            assert render(text(CONDITION), {"name": "Ann"}, user_id=other).text == "Dear Ann"
        assert render(text("{{ name }}"), {"name": "Ann"}, user_id=other).text == "Ann"  # it needs no child
    finally:
        is_over.set()
        thread.join()
    assert render(text(CONDITION), {"name": "Ann"}, user_id=1).text == "Dear Ann"


@pytest.mark.usefixtures("impatient")
def test_child_is_refused_when_all_places_of_the_machine_are_taken(settings, monkeypatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    settings.RENDER_CHILDREN = 2
    held = [hold_in_thread(1), hold_in_thread(2)]
    try:
        with pytest.raises(RenderingBusy):
            render(text(CONDITION), {"name": "Ann"}, user_id=3)
    finally:
        for is_over, thread in held:
            is_over.set()
            thread.join()
    assert render(text(CONDITION), {"name": "Ann"}, user_id=3).text == "Dear Ann"


def test_few_wait_within_transactions_when_many_users_ask(settings, monkeypatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(places, "HURRIED_SECONDS", 30.0)
    settings.RENDER_CHILDREN = 1
    is_over, thread = hold_in_thread(0)
    outcomes: list[str] = []

    def ask(user_id: int) -> None:
        try:
            with places.hold_place(user_id, is_hurried=True):
                outcomes.append("held")
        except RenderingBusy:
            outcomes.append("busy")

    threads = [threading.Thread(target=ask, args=[user_id]) for user_id in range(1, 11)]
    for each in threads:
        each.start()
    until = time.monotonic() + 10
    while len(outcomes) < 10 - places.HURRIED_FACTOR and time.monotonic() < until:
        time.sleep(0.01)
    assert outcomes == ["busy"] * (10 - places.HURRIED_FACTOR)
    is_over.set()
    for each in [thread, *threads]:
        each.join()
    assert outcomes[10 - places.HURRIED_FACTOR :] == ["held"] * places.HURRIED_FACTOR
    assert not places._hurried


def test_another_place_is_used_when_the_file_of_one_cannot_be_opened(settings, monkeypatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"emailbatch-{os.getuid()}-render-0.lock").mkdir()
    assert render(text(CONDITION), {"name": "Ann"}, user_id=1).text == "Dear Ann"
    settings.RENDER_CHILDREN = 1
    monkeypatch.setattr(places, "WAIT_SECONDS", 0.1)
    with pytest.raises(RenderingBusy):
        render(text(CONDITION), {"name": "Ann"}, user_id=1)


def test_many_are_refused_at_once_when_one_user_asks_for_them() -> None:
    is_over, thread = hold_in_thread(1)
    outcomes: list[str] = []

    def ask(act: Callable[[], object]) -> None:
        try:
            act()
            outcomes.append("answered")
        except RenderingBusy:
            outcomes.append("busy")

    def show() -> object:
        return render(text(CONDITION), {"name": "Ann"}, user_id=1)

    threads = [threading.Thread(target=ask, args=[show]) for _ in range(24)]
    for each in threads:
        each.start()
    until = time.monotonic() + 5
    while len(outcomes) < 24 - places.WAITING_MAX and time.monotonic() < until:
        time.sleep(0.01)
    assert outcomes == ["busy"] * (24 - places.WAITING_MAX)
    is_over.set()
    for each in [thread, *threads]:
        each.join()
    assert outcomes[24 - places.WAITING_MAX :] == ["answered"] * places.WAITING_MAX
    assert not places._turns
