"""The simulator through the command line: seeds hold and repeat, what fails is stored, replayed and shrunk, known bugs are caught.

The scripts of all known bugs are also C++ tests (ordeal_sim_scenarios_test); here the commands around them are on trial.
"""

import json

import pytest
from harness import ordeal, told

BUG = "repl.truncate_to_hw"
SEEDS = range(1, 41)  # the fixed set
FEW = 8


def rows(done) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def worlds(tmp_path, *words: str) -> list[dict]:
    done = ordeal(tmp_path, "sim", "--json", *words)
    assert done.returncode in (0, 1), told(done)
    return rows(done)


def hold(tmp_path, first: int, last: int) -> None:
    done = ordeal(tmp_path, "sim", f"{first}-{last}", "--json")
    found = rows(done)
    assert sorted(w["seed"] for w in found) == list(range(first, last + 1))
    assert [w["seed"] for w in found if w["outcome"] != "pass"] == [] and done.returncode == 0, told(done)
    assert sum(w["faults"] for w in found) > len(found) and len({w["digest"] for w in found}) == len(found)


def test_the_first_seeds_of_the_fixed_set_hold(tmp_path):
    hold(tmp_path, SEEDS[0], SEEDS[FEW - 1])


@pytest.mark.slow
def test_the_rest_of_the_fixed_set_holds(tmp_path):
    hold(tmp_path, SEEDS[FEW], SEEDS[-1])


def test_a_seed_repeats_exactly_and_seeds_differ(tmp_path):
    first = worlds(tmp_path, "11-12", "--small")
    again = worlds(tmp_path, "11-12", "--small", "--jobs", "1")
    assert {w["seed"]: w["digest"] for w in first} == {w["seed"]: w["digest"] for w in again}
    assert first[0]["digest"] != first[1]["digest"]


def test_a_fixed_shape_holds_under_the_mixed_plan(tmp_path):
    found = worlds(tmp_path, "100-102", "--plain", "--time", "40s", "--plan", "mixed")
    assert all(w["outcome"] == "pass" for w in found), found
    assert sum(w["faults"] for w in found) >= 6


def test_a_caught_bug_is_stored_replayed_exactly_and_drawn_with_its_messages(tmp_path):
    done = ordeal(tmp_path, "sim", "--scenario", BUG, "--mutate", BUG, "--json")
    [row] = rows(done)
    assert done.returncode == 1 and row["caught"] and row["named"] == "lost-write", told(done)
    done = ordeal(tmp_path, "replay", row["folder"], "--json")
    [again] = rows(done)
    assert done.returncode == 1 and again["same"] and again["digest"] == row["digest"], told(done)
    with open(again["report"]) as page:
        text = page.read()
    assert 'data-verdict="fail"' in text and 'id="message-lanes"' in text and "./ordeal replay" in text
    done = ordeal(tmp_path, "replay", row["folder"], "--trace")
    assert "partition.leader" in done.stdout and "equal to the stored one" in done.stdout, told(done)


@pytest.mark.slow
def test_a_failing_world_shrinks_to_one_that_still_fails(tmp_path):
    found = worlds(tmp_path, "1-60", "--small", "--mutate", "disk.skip_crc", "--mutate", BUG, "--until-fail")
    failed = next(w for w in found if w["outcome"] == "fail")
    out = tmp_path / "smaller.yaml"
    done = ordeal(tmp_path, "shrink", failed["folder"], "--budget", "40s", "--out", str(out), "--json")
    [told_sizes] = rows(done)
    assert done.returncode == 0 and out.is_file(), told(done)
    assert sum(told_sizes["after"].values()) < sum(told_sizes["before"].values())
    done = ordeal(tmp_path, "sim", "--scenario", str(out), "--mutate", "disk.skip_crc", "--mutate", BUG, "--json")
    [row] = rows(done)
    names = {v.get("property") or v.get("invariant") for v in row["violations"]}
    assert done.returncode == 1 and told_sizes["property"] in names, told(done)


@pytest.mark.parametrize("bug", ["A1", "E11", "F5"])
def test_a_known_bug_of_each_layer_is_caught(tmp_path, bug):
    done = ordeal(tmp_path, "corpus", "--bug", bug, "--json")
    [row] = rows(done)
    assert done.returncode == 0 and row["code"] == "caught" and row["ran"] > 0, told(done)
    [folder] = tmp_path.glob("*-corpus")
    for name in ("corpus.json", "junit.xml", "corpus.html"):
        assert (folder / name).is_file(), name


@pytest.mark.slow
def test_every_known_bug_that_applies_is_caught(tmp_path):
    done = ordeal(tmp_path, "corpus", "--json")
    assert {row["id"]: row.get("why") for row in rows(done) if row["code"] == "MISSED"} == {}, told(done)
    assert done.returncode == 0 and len(rows(done)) > 40


def test_marks_are_counted_over_all_worlds(tmp_path):
    done = ordeal(tmp_path, "sim", "1-2", "--small", "--marks")
    assert "never reached" in done.stdout and "rare branches reached" in done.stdout, told(done)


def test_a_bad_bug_name_is_bad_usage(tmp_path):
    assert ordeal(tmp_path, "sim", "--seeds", "1", "--mutate", "repl.no_such_bug").returncode == 64
