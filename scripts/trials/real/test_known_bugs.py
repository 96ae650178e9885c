"""Known bugs switched on in real brokers under real faults: each must be caught, and named as what it is.

Which bugs real processes can show, and by which plan, is a table of the corpus (ordeal/corpus_real.py); the others need faults that
real processes do not have yet (power cuts, flipped bits) or schedules too narrow to hit in real time. The simulator plays all of
them (scripts/trials/sim).
"""

import json

import pytest
from harness import ordeal, told

from ordeal.corpus_real import PLANS

pytestmark = pytest.mark.slow


# One of each kind; all of them take half an hour: ./ordeal corpus --real.
SAMPLE = ("repl.truncate_to_hw", "repl.ignore_fetch_leader_epoch", "isr.hw_below_min_isr", "idem.dup_is_out_of_order")


@pytest.mark.parametrize("bug", SAMPLE)
def test_its_plan_holds_without_the_bug(tmp_path, bug):
    real = PLANS[bug]
    done = ordeal(tmp_path, "run", "--plan", real.plan, "--seed", "1", *real.words)
    assert done.returncode == 0, told(done)


@pytest.mark.parametrize("bug", SAMPLE)
def test_a_bug_is_caught_on_real_processes(tmp_path, bug):
    """A second and a third seed may try where the first had no luck: the machine plays its own schedule."""
    done = ordeal(tmp_path, "corpus", "--real", "--bug", bug, "--json")
    [row] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert row["real"]["caught"] and row["real"]["ran"] > 0 and row["real"]["expected"] in row["real"]["named"], told(done)
