"""A site's own reply rules in a running worker: a changed file is read, and one with a fault changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.scripted_relay import scripted
from tests.chaos.stack import Golden, run_command
from tests.smtpserver import Rule

ZORK = Rule(stage="rcpt", action="550 5.9.9 Zork")

OF_THE_RECIPIENT = "[[rule]]\npattern = 'zork'\nmeaning = 'recipient'\n"
OF_THE_RELAY = "[[rule]]\npattern = 'zork'\nmeaning = 'relay'\nwait = '10m'\n"


def test_running_worker_reads_a_changed_file_and_survives_a_broken_one(golden: Golden) -> None:
    with scripted(golden, ZORK, reply_rules=OF_THE_RECIPIENT) as script:
        environment = script.stack.environment.copy()
        rules = Path(script.stack.environment.pop("SEND_REPLY_RULES"))  # The commands below need no rules.
        script.load(20)
        script.wait_for_end(seconds=30)
        assert script.statuses() == {"failed": 20}

        rules.write_text("[[rule]]\nmeaning = 'rate'\n")
        with pytest.raises(RuntimeError, match=f"{rules}, line 1: the rule fits every reply"):
            run_command(["check"], environment=environment)
        script.load(20)
        script.wait_for_end(seconds=30)
        assert script.statuses() == {"failed": 20}

        rules.write_text(OF_THE_RELAY)
        script.load(20)
        script.wait_for_error("Zork")
        assert script.statuses() == {"pending": 20}
        assert {row.attempts for row in script.rows()} == {0}
