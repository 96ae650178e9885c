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


@pytest.mark.parametrize("plan,time", sorted({(real.plan, real.time) for real in PLANS.values()}))
def test_the_plans_hold_without_a_bug(tmp_path, plan, time):
    done = ordeal(tmp_path, "run", "--plan", plan, "--seed", "1", "--time", time)
    assert done.returncode == 0, told(done)


@pytest.mark.parametrize("bug", PLANS)
def test_a_bug_is_caught_on_real_processes(tmp_path, bug):
    """A second and a third seed may try where the first had no luck: the machine plays its own schedule."""
    done = ordeal(tmp_path, "corpus", "--real", "--bug", bug, "--json")
    [row] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert row["real"]["caught"] and row["real"]["ran"] > 0 and row["real"]["expected"] in row["real"]["named"], told(done)
