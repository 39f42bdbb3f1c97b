"""What a user may do with an own batch and with another's, by the permissions that the user has."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from batches.permissions import GROUPS, NAMES, REFUSALS, Act, NotPermitted, Permission, find_missing, may, require_act

SEND, STEER = Permission.SEND_BATCH, Permission.STEER_ALL_BATCHES


@dataclass
class Person:
    """A user as the permissions see one."""

    pk: int = 1
    is_active: bool = True
    permissions: set[str] = field(default_factory=set)

    def has_perm(self, name: str) -> bool:
        return name in self.permissions


@dataclass
class Thing:
    created_by_id: int | None


OWN, OF_ANOTHER, OF_NOBODY = Thing(1), Thing(2), Thing(None)


@pytest.mark.parametrize(
    ("thing", "act", "permissions", "missing"),
    [
        (OWN, Act.STOP, set(), None),
        (OWN, Act.RESTART, set(), SEND),
        (OWN, Act.RESTART, {STEER}, SEND),
        (OWN, Act.RESTART, {SEND}, None),
        (OWN, Act.SEND, set(), SEND),
        (OWN, Act.SEND, {SEND}, None),
        (OF_ANOTHER, Act.STOP, {SEND}, STEER),
        (OF_ANOTHER, Act.STOP, {STEER}, None),
        (OF_ANOTHER, Act.RESTART, {STEER}, None),
        (OF_ANOTHER, Act.SEND, {SEND}, STEER),
        (OF_ANOTHER, Act.SEND, {STEER}, SEND),
        (OF_ANOTHER, Act.SEND, {SEND, STEER}, None),
        (OF_NOBODY, Act.STOP, {SEND}, STEER),
        (OF_NOBODY, Act.STOP, {STEER}, None),
    ],
)
def test_missing_permission_is_named(thing: Thing, act: Act, permissions: set[str], missing: Permission | None) -> None:
    person = Person(permissions=permissions)
    assert find_missing(person, thing, act) == missing
    if missing is None:
        require_act(person, thing, act)
    else:
        with pytest.raises(NotPermitted) as refused:
            require_act(person, thing, act)
        assert (str(refused.value), refused.value.permission) == (REFUSALS[missing], missing)


def test_operator_may_do_everything() -> None:
    assert all(may(None, permission) for permission in Permission)
    assert all(find_missing(None, OF_ANOTHER, act) is None for act in Act)


def test_inactive_user_may_do_nothing_with_what_is_not_stopped() -> None:
    person = Person(is_active=False, permissions=set(Permission))
    assert not any(may(person, permission) for permission in Permission)
    assert find_missing(person, OWN, Act.SEND) == SEND


def test_every_permission_has_a_name_and_a_refusal() -> None:
    assert set(NAMES) == set(REFUSALS) == set(Permission)
    assert {permission for group in GROUPS.values() for permission in group} <= set(Permission)
    assert all(len(sentence.split(". ")) == 2 for sentence in REFUSALS.values()), "what is wrong, and what to do"
