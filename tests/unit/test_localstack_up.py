"""What ``manage.py up`` refuses before it starts anything."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_port_is_refused_when_there_is_none_of_that_number(port: int) -> None:
    with pytest.raises(CommandError, match=f"^{port} is not a port. Choose a number from 1 to 65535,"):
        call_command("up", port=port)


def test_number_of_workers_is_refused_when_it_is_negative() -> None:
    with pytest.raises(CommandError, match=r"^The number of workers cannot be negative\.$"):
        call_command("up", workers=-1)
