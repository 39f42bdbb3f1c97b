"""Messages of a template that is not plain are asked for ahead, and taken in the order of their claims."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from batches.delivery.lane_renderer import LaneRenderer, open_renderer
from batches.delivery.rendered_outbox import RenderedOutbox
from batches.delivery.spec import LaneSpec
from batches.delivery.terms import ClaimedEmail
from batches.outcomes import Outcome
from batches.rendering.message import Message
from batches.rendering.template import TemplateFault
from batches.smtp.connection import Capabilities
from batches.smtp.verdicts import Verdict
from tests.unit.delivery.specs import SPEC, claim
from tests.unit.rendering.hostile import CHAINS, EXPENSIVE, only_for_evil

EIGHT_BIT = Capabilities.of({"pipelining": "", "8bitmime": "", "smtputf8": ""})
SEVEN_BIT = Capabilities.of({"pipelining": ""})
FANCY = replace(SPEC, merge_fields=("name", "mood"), text="{% if name %}Dear {{ name }}{% endif %}")
HOSTILE = replace(FANCY, text=only_for_evil(EXPENSIVE["replace"]))


class Harness:
    """An outbox and what it tells."""

    def __init__(self, spec: LaneSpec, *, is_paced: bool = False) -> None:
        renderer = open_renderer(spec)
        assert isinstance(renderer, LaneRenderer)
        self.renderer = renderer
        self.recorded: list[tuple[int, Verdict]] = []
        self.is_ready = asyncio.Event()
        self.outbox = RenderedOutbox(
            spec, record=self._record, renderer=renderer, on_ready=self.is_ready.set, is_paced=is_paced
        )

    def _record(self, claimed: ClaimedEmail, verdict: Verdict) -> None:
        self.recorded.append((claimed.id, verdict))

    async def take(self, count: int, capabilities: Capabilities = EIGHT_BIT) -> list[tuple[int, bytes]]:
        """Take messages until there are so many, or nothing is left."""
        taken: list[tuple[int, bytes]] = []
        while len(taken) < count and len(self.outbox):
            self.is_ready.clear()
            outgoing = self.outbox.take(capabilities)
            if outgoing is not None:
                taken.append((outgoing.tag.id, outgoing.content))
            elif len(self.outbox):
                await asyncio.wait_for(self.is_ready.wait(), 20)
        return taken


@pytest.fixture
async def harnesses() -> AsyncIterator[list[Harness]]:
    made: list[Harness] = []
    yield made
    for harness in made:
        await asyncio.wait_for(harness.renderer.close(), 5)


def test_no_renderer_is_opened_when_the_template_is_plain_or_faulty() -> None:
    assert open_renderer(SPEC) is None
    assert open_renderer(replace(SPEC, text="{{ name | }}")) is None


async def test_messages_are_taken_in_order(harnesses: list[Harness]) -> None:
    harnesses.append(harness := Harness(FANCY))
    harness.outbox.extend(claim(number, fields=(f"n{number}", "")) for number in range(150))
    taken = await harness.take(150)
    assert [number for number, _ in taken] == list(range(150))
    assert all(b"Dear n%d\r\n" % number in content for number, content in taken)
    assert (len(harness.outbox), harness.recorded) == (0, [])


async def test_nothing_is_held_in_memory_by_a_fault(harnesses: list[Harness]) -> None:
    """A fault that holds the frame in which it was raised holds the messages of that frame, too."""
    harnesses.append(harness := Harness(FANCY))
    fault = TemplateFault("no")
    held = weakref.ref(fault)
    harness.outbox.extend([claim(1), claim(2)])
    harness.outbox._made_for = EIGHT_BIT
    harness.outbox._written = {1: fault, 2: Message(b"two", False)}
    gc.disable()
    try:
        outgoing = harness.outbox.take(EIGHT_BIT)
        assert outgoing is not None and outgoing.content == b"two"
        assert [number for number, _ in harness.recorded] == [1]
        del fault
        assert held() is None
    finally:
        gc.enable()


async def test_message_is_written_again_when_it_was_put_back(harnesses: list[Harness]) -> None:
    harnesses.append(harness := Harness(FANCY))
    harness.outbox.extend(claim(number, fields=("Ann", "")) for number in range(3))
    while (outgoing := harness.outbox.take(EIGHT_BIT)) is None:
        await asyncio.wait_for(harness.is_ready.wait(), 20)
    harness.outbox.put_back(outgoing.tag)
    assert harness.outbox.first is outgoing.tag
    assert [number for number, _ in await harness.take(3)] == [0, 1, 2]


async def test_message_is_written_again_when_the_relay_offers_something_else(harnesses: list[Harness]) -> None:
    harnesses.append(harness := Harness(FANCY))
    harness.outbox.extend(claim(number, fields=("Zoë", "")) for number in range(2))
    [(_, first)] = await harness.take(1, EIGHT_BIT)
    [(_, second)] = await harness.take(1, SEVEN_BIT)
    assert not first.isascii() and second.isascii()


async def test_messages_are_given_out_when_two_connections_are_offered_different_things(
    harnesses: list[Harness],
) -> None:
    others = Capabilities.of({"pipelining": "", "8bitmime": "", "smtputf8": "", "size": "1000000"})
    harnesses.append(harness := Harness(FANCY))
    harness.outbox.extend(claim(number, fields=("Zoë", "")) for number in range(20))
    taken: list[tuple[int, bool]] = []
    while len(harness.outbox):  # as the pool does: each connection looks, and all wait
        harness.is_ready.clear()
        found = [harness.outbox.take(each) for each in (EIGHT_BIT, others, SEVEN_BIT)]
        taken += [(each.tag.id, each.content.isascii()) for each in found if each is not None]
        if found == [None] * 3:
            await asyncio.wait_for(harness.is_ready.wait(), 20)
    assert taken == [(number, True) for number in range(20)]


@pytest.mark.parametrize(("is_paced", "count"), [(True, 3), (False, 150)])
async def test_messages_go_on_when_one_is_put_back_before_many_that_are_ready(
    is_paced: bool, count: int, harnesses: list[Harness]
) -> None:
    harnesses.append(harness := Harness(FANCY, is_paced=is_paced))
    outbox = harness.outbox
    outbox.extend(claim(number, fields=("Ann", "")) for number in range(count))
    while (outgoing := outbox.take(EIGHT_BIT)) is None:
        await asyncio.wait_for(harness.is_ready.wait(), 20)
    while not outbox._has_enough():
        harness.is_ready.clear()
        outbox.is_ready_for(EIGHT_BIT)
        outbox._ask_ahead()
        await asyncio.wait_for(harness.is_ready.wait(), 20)
    outbox.put_back(outgoing.tag)
    assert [number for number, _ in await harness.take(count)] == list(range(count))


async def test_few_messages_are_kept_when_they_are_big(harnesses: list[Harness]) -> None:
    harnesses.append(harness := Harness(replace(FANCY, text="{{ 'x' * 1000000 }}")))
    harness.outbox.extend(claim(number, fields=("Ann", "")) for number in range(12))
    assert harness.outbox.take(EIGHT_BIT) is None
    for _ in range(12):  # a connection that can't take what is ready looks again and again
        await asyncio.wait_for(harness.is_ready.wait(), 20)
        harness.outbox._ask_ahead()
        if not harness.outbox._is_asking:
            break
        harness.is_ready.clear()
    assert len(harness.outbox._written) <= 2
    assert [number for number, _ in await harness.take(12)] == list(range(12))


async def test_each_email_comes_out_when_the_outbox_is_cleared_while_a_row_is_rendered(
    harnesses: list[Harness],
) -> None:
    harnesses.append(harness := Harness(HOSTILE))
    harness.outbox.extend(claim(number, fields=("xxxxxxxxxx", "evil")) for number in range(20))
    assert harness.outbox.take(EIGHT_BIT) is None
    await asyncio.sleep(0)
    assert [claimed.id for claimed in harness.outbox.clear()] == list(range(20))
    harness.outbox.extend([claim(50, fields=("Ann", "good"))])
    assert [number for number, _ in await harness.take(1)] == [50]
    assert harness.recorded == []


async def test_loop_goes_on_when_a_row_takes_too_much(harnesses: list[Harness]) -> None:
    harnesses.append(harness := Harness(HOSTILE))
    harness.outbox.extend(
        [claim(0, fields=("A", "good")), claim(1, fields=("xxxxxxxxxx", "evil")), claim(2, fields=("B", "good"))]
    )
    loop, longest = asyncio.get_running_loop(), 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            before = loop.time()
            await asyncio.sleep(0.01)
            longest = max(longest, loop.time() - before)

    watching = asyncio.ensure_future(watch())
    assert [number for number, _ in await harness.take(3)] == [0, 2]
    watching.cancel()
    assert longest < 0.25
    assert [(number, verdict.outcome) for number, verdict in harness.recorded] == [(1, Outcome.FAILED)]
    assert "too much time or memory" in harness.recorded[0][1].reply


async def test_there_is_obstacle_when_the_template_ends_the_child(harnesses: list[Harness]) -> None:
    harnesses.append(harness := Harness(replace(FANCY, text=CHAINS["tilde"](20_000))))
    harness.outbox.extend([claim(1, fields=("Ann", ""))])
    assert harness.outbox.take(EIGHT_BIT) is None
    await asyncio.wait_for(harness.is_ready.wait(), 20)
    assert harness.renderer.obstacle and harness.outbox.take(EIGHT_BIT) is None
    assert [claimed.id for claimed in harness.outbox.clear()] == [1]


async def test_one_is_asked_for_at_a_time_when_a_rate_limits_them(harnesses: list[Harness]) -> None:
    harnesses.append(harness := Harness(FANCY, is_paced=True))
    harness.outbox.extend(claim(number, fields=("Ann", "")) for number in range(5))
    assert not harness.outbox.is_ready_for(EIGHT_BIT)
    await asyncio.wait_for(harness.is_ready.wait(), 20)
    assert harness.outbox.is_ready_for(EIGHT_BIT) and len(harness.outbox._written) == 1


async def test_all_rows_of_an_email_are_shown_when_the_template_uses_them(harnesses: list[Harness]) -> None:
    text = "{% for row in rows %}<{{ row.Name }}>{% endfor %}{{ NAME }}"
    harnesses.append(harness := Harness(replace(SPEC, text=text, html="", subject="S")))
    harness.outbox.extend([claim(1, fields=("Ann", [["Ann"], ["Bo"]])), claim(2, fields=("Cy",))])
    bodies = [content.partition(b"\r\n\r\n")[2].strip() for _, content in await harness.take(2)]
    assert bodies == [b"<Ann><Bo>Ann", b"<Cy>Cy"]


async def test_each_email_fails_with_the_reason_when_the_template_is_no_longer_accepted(
    harnesses: list[Harness],
) -> None:
    harnesses.append(harness := Harness(replace(FANCY, text="{% if name == true %}x{% endif %}")))
    harness.outbox.extend([claim(1, fields=("Ann", "")), claim(2, fields=("Bob", ""))])
    assert await harness.take(2) == []
    assert [(number, verdict.outcome) for number, verdict in harness.recorded] == [
        (1, Outcome.FAILED),
        (2, Outcome.FAILED),
    ]
    assert "A value is never true." in harness.recorded[0][1].reply
