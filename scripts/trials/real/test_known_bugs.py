"""Known bugs switched on in real brokers under real faults: each must be caught, and named as what it is.

The other switches need faults that real processes do not have yet (flipped bits) or schedules too narrow to hit in real
time; the simulator plays all of them (scripts/trials/sim).
"""

import json

import pytest
from harness import ordeal, row, told, verdict

pytestmark = pytest.mark.slow


def ran(runs, bug: str) -> int:
    """How often the switched-on branch decided, over all brokers."""
    total = 0
    for trace in (runs / "latest" / "nodes").glob("*/trace.jsonl"):
        for line in trace.read_text().splitlines():
            if '"mutation.ran"' in line and (event := json.loads(line)).get("name") == bug:
                total += event["count"]
    return total


@pytest.mark.parametrize("plan", ["double-failover", "lost-replies"])
def test_the_plans_hold_without_a_bug(tmp_path, plan):
    done = ordeal(tmp_path, "run", "--plan", plan, "--seed", "1", "--time", "24s")
    assert done.returncode == 0, told(done)


@pytest.mark.parametrize("bug, plan, anomaly", [
    ("repl.truncate_to_hw", "double-failover", "lost-write"),
    ("repl.list_offsets_before_leso", "double-failover", "end-offset-regression"),
    ("idem.dup_is_out_of_order", "lost-replies", "duplicate"),
])
def test_a_bug_is_caught_on_real_processes(tmp_path, bug, plan, anomaly):
    """Which schedule the machine plays is its own affair, so a second seed may try where the first had no luck."""
    for seed in ("1", "2", "3"):
        done = ordeal(tmp_path, "run", "--plan", plan, "--seed", seed, "--time", "24s", "--mutate", bug)
        assert done.returncode in (0, 1), told(done)
        if done.returncode == 1:
            break
    assert done.returncode == 1, told(done)
    assert row(verdict(tmp_path), anomaly)["status"] == "violated"
    assert ran(tmp_path, bug) > 0
