"""What counts as shown on real processes: plans that exist, a reason for each bug without one, and branches that did run."""

import json

from ordeal import corpus_real, options

BUG = "repl.count_diverging_fetch"


def _trace(folder, node, *events):
    path = folder / "nodes" / str(node) / "trace.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events))


def _ran(count, name=BUG):
    return {"k": "mutation.ran", "name": name, "count": count}


def test_a_broker_that_was_killed_counts_by_its_first_use_and_one_that_stopped_by_its_sum(tmp_path):
    start = {"k": "broker.start"}
    _trace(tmp_path, 1, start, _ran(1), start, _ran(1), _ran(7))  # killed after its first use; then stopped in order
    _trace(tmp_path, 2, start, _ran(0))
    _trace(tmp_path, 3, start, _ran(5, "repl.truncate_to_hw"))
    assert corpus_real.ran(tmp_path, BUG) == 8


def test_a_line_cut_short_by_a_kill_is_no_event(tmp_path):
    _trace(tmp_path, 1, {"k": "broker.start"}, _ran(2))
    with open(tmp_path / "nodes" / "1" / "trace.jsonl", "a") as trace:
        trace.write('{"k":"mutation.ran","name":"' + BUG)
    assert corpus_real.ran(tmp_path, BUG) == 2


def test_a_bug_has_a_built_in_plan_or_a_reason_why_not():
    assert {real.plan for real in corpus_real.PLANS.values()} <= set(options.plan_names())
    assert not set(corpus_real.PLANS) & set(corpus_real.NO_PLAN)
