"""The simulator through the command line: a seed repeats exactly, seeds differ, known bugs are caught by name."""

import json

import pytest
from harness import ordeal, told


def worlds(tmp_path, *words: str) -> list[dict]:
    done = ordeal(tmp_path, "sim", "--json", *words)
    assert done.returncode in (0, 1), told(done)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_a_seed_repeats_exactly_and_seeds_differ(tmp_path):
    first = worlds(tmp_path, "--seeds", "2", "--first", "11", "--time", "20s")
    again = worlds(tmp_path, "--seeds", "2", "--first", "11", "--time", "20s")
    assert [w["digest"] for w in first] == [w["digest"] for w in again]
    assert first[0]["digest"] != first[1]["digest"]


def test_several_seeds_hold_under_mixed_faults(tmp_path):
    found = worlds(tmp_path, "--seeds", "4", "--first", "100", "--time", "60s", "--plan", "mixed")
    assert len(found) == 4
    assert all(w["outcome"] == "pass" for w in found), found
    assert sum(w["faults"] for w in found) >= 8


def test_the_known_bugs_are_caught(tmp_path):
    done = ordeal(tmp_path, "corpus", "--json")
    assert done.returncode == 0, told(done)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    caught = {row["id"] for row in rows if row.get("caught")}
    assert {"A1", "A5", "A8", "A16", "B1", "E11"} <= caught


def test_a_bad_bug_name_is_bad_usage(tmp_path):
    assert ordeal(tmp_path, "sim", "--seeds", "1", "--mutate", "repl.no_such_bug").returncode == 64


@pytest.mark.slow
def test_many_seeds_hold(tmp_path):
    assert all(w["outcome"] == "pass" for w in worlds(tmp_path, "--seeds", "25", "--first", "1000", "--time", "60s"))
