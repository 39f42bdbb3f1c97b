"""Whether a 421 is about one email or about everybody."""

from __future__ import annotations

from batches.delivery.strikes import EVERYBODY_COUNT, EVERYBODY_RECOGNISED_COUNT, Effect, Strikes


def strike(strikes: Strikes, email_id: int, *, is_retry: bool = False, is_recognised: bool = False) -> Effect:
    return strikes.add(email_id, is_retry=is_retry, is_recognised=is_recognised)


def test_email_is_deferred_at_its_third_strike() -> None:
    strikes = Strikes()
    assert [strike(strikes, 7) for _ in range(3)] == [Effect.BACK, Effect.BACK, Effect.DEFER]


def test_relay_is_paused_when_ten_different_emails_are_struck_in_a_row() -> None:
    strikes = Strikes()
    effects = [strike(strikes, number) for number in range(EVERYBODY_COUNT)]
    assert effects == [Effect.BACK] * (EVERYBODY_COUNT - 1) + [Effect.EVERYBODY]
    assert strike(strikes, 100) is Effect.EVERYBODY, "after the pause, the next one is enough"
    strikes.on_success()
    assert strike(strikes, 101) is Effect.BACK


def test_relay_is_paused_sooner_when_a_rule_says_that_the_421_is_about_us() -> None:
    strikes = Strikes()
    effects = [strike(strikes, number, is_recognised=True) for number in range(EVERYBODY_RECOGNISED_COUNT)]
    assert effects[-1] is Effect.EVERYBODY


def test_success_in_between_begins_the_row_again() -> None:
    strikes = Strikes()
    for number in range(5 * EVERYBODY_COUNT):
        assert strike(strikes, number) is Effect.BACK
        strikes.on_success()


def test_retries_are_nobody_else_than_those_that_were_struck_before() -> None:
    strikes = Strikes()
    effects = {strike(strikes, number, is_retry=True) for number in range(5 * EVERYBODY_COUNT)}
    assert effects == {Effect.BACK}


def test_strikes_are_clearly_an_emails_own_when_others_were_accepted_in_between() -> None:
    strikes = Strikes()
    strike(strikes, 7)
    assert not strikes.has_success_since(7)
    strikes.on_success()
    assert strikes.has_success_since(7)
    assert not strikes.is_clear(7), "one strike may be chance"
    strike(strikes, 7)
    assert strikes.is_clear(7)
    strikes.forget(7)
    assert not strikes.is_clear(7)
