"""`sim`, `replay`, `shrink` and what they write, against a pretended simulator (scripts/tests/fakes/ordeal-sim)."""

import json

import pytest
from test_cli import FAKES, ordeal


def told(done) -> str:
    return f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"


def rows(done) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def sweep(runs) -> dict:
    [path] = runs.glob("*-sim*/sim.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize("words", [
    ["sim", "--seeds", "0"], ["sim", "x"], ["sim", "9-3"], ["sim", "7", "--seeds", "3"], ["sim", "--jobs", "0"], ["sim", "--limit", "soon"],
    ["sim", "--mutate", "no.such_bug"], ["sim", "--scenario", "no_such_scenario"], ["sim", "--no-such-option"],
    ["replay", "no-such-run"], ["shrink", "no-such-run"], ["shrink", "4", "--budget", "0s"], ["shrink", "4"],
    ["sim", "--scenario", "repl.truncate_to_hw", "--nodes", "5"], ["sim", "--scenario", "repl.truncate_to_hw", "--set", "a=1"],
    ["replay", "4", "--times", "3"], ["replay", "4", "--times", "0"],
], ids=" ".join)
def test_bad_usage_is_refused_with_what_next(words, tmp_path):
    done = ordeal(*words, runs=tmp_path)
    assert done.returncode == 64, told(done)
    assert "next:" in done.stderr and "Traceback" not in done.stderr


def test_worlds_that_pass_leave_a_summary_and_a_page(tmp_path):
    done = ordeal("sim", "--seeds", "40", "--jobs", "2", runs=tmp_path)
    assert done.returncode == 0, told(done)
    assert "40 worlds: 40 passed" in done.stdout and "marks: 2 of 3 rare branches reached" in done.stdout
    found = sweep(tmp_path)
    assert [w["seed"] for w in found["worlds"]] == list(range(1, 41))
    assert found["marks"] == {"raft.vote_refused": 40, "log.tail_cut": 80, "replica.never_seen": 0}, "summed over all processes"
    [page] = tmp_path.glob("*-sim/sim.html")
    assert "Every world passed" in page.read_text() and "replica.never_seen" in page.read_text()


def test_a_world_that_fails_is_stored_drawn_and_replayed_by_one_command(tmp_path):
    done = ordeal("sim", "5-12", runs=tmp_path, ORDEAL_FAKE_FAIL="9")
    assert done.returncode == 1, told(done)
    [folder] = tmp_path.glob("*-sim/seed-9")
    assert (folder / "report.html").is_file() and (folder / "junit.xml").is_file()
    assert "8 worlds: 7 passed, 1 failed" in done.stdout
    again = next(line for line in done.stdout.splitlines() if "next: ./ordeal replay" in line).split("./ordeal ")[1].split()
    assert again[1].endswith("seed-9")
    done = ordeal("replay", str(folder), runs=tmp_path)
    assert "digest" in done.stdout and "equal to the stored one" in done.stdout, told(done)


@pytest.mark.parametrize(("fake", "why"), [("ORDEAL_FAKE_CRASH", "ended with code -6"), ("ORDEAL_FAKE_HANG", "no sign of life")])
def test_a_crash_or_a_hang_is_that_seeds_harness_failure_and_the_others_are_played(tmp_path, fake, why):
    done = ordeal("sim", "--seeds", "12", "--jobs", "2", "--json", "--limit", "1500ms", runs=tmp_path, **{fake: "4"})
    assert done.returncode == 3, told(done)
    found = {row["seed"]: row for row in rows(done)}
    assert set(found) == set(range(1, 13)) and [s for s, row in found.items() if row["exit"]] == [4]
    assert why in found[4]["sentence"]
    assert "./ordeal replay 4" in done.stderr


def test_a_violation_outranks_a_crash_elsewhere(tmp_path):
    done = ordeal("sim", "--seeds", "12", runs=tmp_path, ORDEAL_FAKE_CRASH="4", ORDEAL_FAKE_FAIL="8")
    assert done.returncode == 1 and "10 passed, 1 failed, 1 harness failed" in done.stdout, told(done)


def test_worlds_that_do_not_repeat_are_never_a_pass(tmp_path):
    done = ordeal("sim", "18-22", runs=tmp_path, ORDEAL_FAKE_DIFFERS="20")
    assert done.returncode == 3 and "seed 20 gave digest" in done.stderr, told(done)
    assert ordeal("sim", "19", "--twice", runs=tmp_path, ORDEAL_FAKE_DIFFERS="19").returncode == 3


def test_the_first_failure_can_end_a_sweep(tmp_path):
    done = ordeal("sim", "--seeds", "400", "--jobs", "1", "--until-fail", "--json", runs=tmp_path, ORDEAL_FAKE_FAIL="2")
    assert done.returncode == 1 and len(rows(done)) < 40, told(done)


def test_marks_are_listed_when_asked_for(tmp_path):
    done = ordeal("sim", "--seeds", "2", "--marks", runs=tmp_path)
    assert "never reached (1 mark): replica.never_seen" in done.stdout and "raft: vote_refused 2" in done.stdout, told(done)


def test_a_scenario_runs_with_its_own_seed_or_with_given_ones(tmp_path):
    done = ordeal("sim", "--scenario", "repl.truncate_to_hw", "--json", runs=tmp_path)
    assert done.returncode == 0 and [row["seed"] for row in rows(done)] == [4], told(done)
    done = ordeal("sim", "1-3", "--scenario", "repl.truncate_to_hw", "--mutate", "repl.truncate_to_hw", "--json", runs=tmp_path)
    assert done.returncode == 1 and [row["caught"] for row in rows(done)] == [True] * 3, told(done)


def test_a_seed_is_compared_with_a_second_run_when_nothing_is_stored(tmp_path):
    done = ordeal("replay", "11", "--json", runs=tmp_path)
    [row] = rows(done)
    assert done.returncode == 0 and row["same"] and row["report"].endswith("report.html"), told(done)
    assert ordeal("replay", "11", runs=tmp_path, ORDEAL_FAKE_DIFFERS="11").returncode == 3


def test_a_seed_is_compared_with_the_newest_sweep_that_had_it(tmp_path):
    ordeal("sim", "9-11", runs=tmp_path)
    [path] = tmp_path.glob("*-sim/sim.json")
    path.write_text(path.read_text().replace('"commit": "', '"commit": "another '))
    done = ordeal("replay", "11", runs=tmp_path)
    assert done.returncode == 0 and "equal to the one stored by another build" in done.stdout and "played twice, the same" in done.stdout, told(done)
    done = ordeal("replay", "11", runs=tmp_path, ORDEAL_FAKE_DRIFT="11")
    assert done.returncode == 0 and ", the one stored by another build" in done.stdout, "another build may differ: " + told(done)
    assert "no earlier one is stored" in ordeal("replay", "11", "--time", "9s", runs=tmp_path).stdout, "other options are another world"


def test_a_replay_that_differs_from_what_is_stored_says_so(tmp_path):
    ordeal("sim", "9", runs=tmp_path, ORDEAL_FAKE_FAIL="9")
    [folder] = tmp_path.glob("*-sim/seed-9")
    done = ordeal("replay", str(folder), runs=tmp_path, ORDEAL_FAKE_FAIL="9", ORDEAL_FAKE_DRIFT="9")
    assert done.returncode == 3 and "NOT the stored one" in done.stdout, told(done)


def test_a_trace_is_readable(tmp_path):
    done = ordeal("replay", "11", "--trace", runs=tmp_path)
    assert done.returncode == 0 and "0.001500  n2  partition.leader" in done.stdout, told(done)


def test_options_of_a_drawn_world_are_refused_for_a_stored_one_and_a_real_one(tmp_path):
    ordeal("sim", "9", runs=tmp_path, ORDEAL_FAKE_FAIL="9")
    [folder] = tmp_path.glob("*-sim/seed-9")
    assert ordeal("replay", str(folder), "--nodes", "5", runs=tmp_path).returncode == 64
    assert ordeal("shrink", str(folder), "--nodes", "5", runs=tmp_path).returncode == 64
    ordeal("run", "--seed", "7", "--time", "1s", runs=tmp_path)
    assert ordeal("replay", "latest", "--trace", runs=tmp_path).returncode == 64


def test_pages_of_sweeps_worlds_and_the_corpus_can_be_drawn_again(tmp_path):
    ordeal("sim", "9", runs=tmp_path, ORDEAL_FAKE_FAIL="9")
    ordeal("corpus", "--bug", "A1", runs=tmp_path)
    for pattern, page in (("*-sim", "sim.html"), ("*-sim/seed-9", "report.html"), ("*-corpus", "corpus.html")):
        [folder] = tmp_path.glob(pattern)
        (folder / page).unlink()
        done = ordeal("report", str(folder), runs=tmp_path)
        assert done.returncode == 0 and (folder / page).is_file(), told(done)


def test_a_stored_world_is_not_judged_by_its_history_alone(tmp_path):
    ordeal("sim", "9", runs=tmp_path, ORDEAL_FAKE_FAIL="9")
    [folder] = tmp_path.glob("*-sim/seed-9")
    done = ordeal("check", str(folder), runs=tmp_path)
    assert done.returncode == 64 and "./ordeal replay" in done.stderr, told(done)


def test_shrinking_a_stored_world_a_seed_and_a_file(tmp_path):
    ordeal("sim", "9", "--mutate", "repl.truncate_to_hw", runs=tmp_path)
    [folder] = tmp_path.glob("*-sim/seed-9")
    done = ordeal("shrink", str(folder), runs=tmp_path)
    assert done.returncode == 0 and (folder / "shrunk.yaml").is_file(), told(done)
    assert "faults" in done.stdout and "9 -> 2" in done.stdout and "all of it is needed" in done.stdout
    assert "--mutate repl.truncate_to_hw" in done.stdout.splitlines()[-1]
    out = tmp_path / "s.yaml"
    assert ordeal("shrink", "9", "--mutate", "repl.truncate_to_hw", "--out", str(out), runs=tmp_path).returncode == 0 and out.is_file()
    done = ordeal("shrink", str(folder / "scenario.yaml"), "--json", "--out", str(tmp_path / "t.yaml"), runs=tmp_path)
    assert done.returncode == 1 and "the world passes" in done.stderr, told(done)
    assert ordeal("shrink", str(out), "--out", str(out), runs=tmp_path).returncode == 64, "the file to shrink is not overwritten"


def test_bench_prints_the_medians_of_its_repetitions(tmp_path):
    done = ordeal("bench", "sim", "--json", runs=tmp_path)
    assert done.returncode == 0, told(done)
    figures = json.loads(done.stdout)["figures"]
    assert len(figures["repetitions"]) == 3 and figures["median"]["worlds_per_minute"] == 41.5
    assert "worlds a minute and core" in done.stderr and "610,000" in done.stderr


def test_a_sweep_that_fails_everywhere_does_not_fill_the_disk(tmp_path, monkeypatch):
    from ordeal import simulator
    from ordeal.commands import sim
    from ordeal.terminal import Terminal

    for name, value in (("ORDEAL_BIN", str(FAKES)), ("ORDEAL_FAKE_FAIL", "1,2,3,4,5")):
        monkeypatch.setenv(name, value)
    found = sim.play(simulator.Sweep([], [1, 2, 3, 4, 5], jobs=1, out=tmp_path), Terminal(), most=2)
    assert [row["exit"] for row in found] == [1] * 5 and len(list(tmp_path.glob("seed-*"))) == 2
    assert [bool(row.get("folder")) for row in found] == [True, True, False, False, False]
    assert sim.replay_of(found[4], []) == "./ordeal replay 5"
