"""`ordeal soak --sim` and the ledger of clean seeds."""

import json

import pytest
from test_cli import ordeal
from test_sim_cli import told
from tree import ROOT

from ordeal import ledger
from ordeal.errors import OrdealError

SIM = ("soak", "--sim", "--name", "s")


@pytest.mark.parametrize("words", [
    ["soak", "--seeds", "5"], ["soak", "--ledger"], ["soak", "--jobs", "2"], ["soak", "--sim", "--seeds", "0"], ["soak", "--sim", "--jobs", "0"],
    ["soak", "--sim", "--acks", "1"], ["soak", "--sim", "--durability", "fsync"], ["soak", "--sim", "--ledger"],
    ["soak", "--sim", "--ledger", "--mutate", "repl.truncate_to_hw"],
], ids=" ".join)
def test_what_makes_no_sense_is_refused(words, tmp_path):
    done = ordeal(*words, runs=tmp_path)
    assert done.returncode == 64 and "next:" in done.stderr, told(done)


def test_a_soak_of_worlds_resumes(tmp_path):
    done = ordeal(*SIM, "--seeds", "30", runs=tmp_path, ORDEAL_FAKE_CRASH="7")
    assert done.returncode == 3 and "30 worlds" in done.stdout and "29 passed, 1 harness failed" in done.stdout, told(done)
    done = ordeal(*SIM, "--seeds", "40", "--json", runs=tmp_path)
    assert done.returncode == 0 and "29 worlds of 40 are in" in done.stderr, told(done)
    said = json.loads(done.stdout)
    assert said["worlds"] == 40 and said["passed"] == 40 and said["marks"] == 3 and said["reached"] == 2


def test_a_violation_leads_to_its_replay(tmp_path):
    done = ordeal(*SIM, "--seeds", "10", runs=tmp_path, ORDEAL_FAKE_FAIL="6")
    assert done.returncode == 1 and "next: ./ordeal replay" in done.stdout and "seed-6" in done.stdout.splitlines()[-1], told(done)


def test_other_options_are_another_soak(tmp_path):
    ordeal(*SIM, "--seeds", "3", runs=tmp_path)
    assert "already" not in ordeal(*SIM, "--seeds", "3", "--time", "20s", runs=tmp_path).stdout


def row(first: int, last: int, commit: str = "abc", never: tuple = ("raft.x",), code: int = 0) -> dict:
    worlds = [{"seed": s, "exit": code if s == last else 0, "cpu_ms": 1000, "simulated_s": 60} for s in range(first, last + 1)]
    return ledger.entry(commit, [], worlds, {"raft.x": 0, "raft.y": 0, "log.z": 4} | {n: 0 for n in never}, 12.0, "2026-03-02")


def test_rows_of_one_commit_grow_and_others_stay():
    rows = ledger.add([], row(1, 200))
    rows = ledger.add(rows, row(201, 300, code=1))
    assert len(rows) == 1 and (rows[0]["first"], rows[0]["last"], rows[0]["worlds"], rows[0]["violations"], rows[0]["bad"]) == (1, 300, 300, 1, [300])
    assert ledger.next_seed(rows, "abc", []) == 301 and ledger.next_seed(rows, "abc", ["--time", "9s"]) == 1
    rows = ledger.add(rows, row(1, 100, commit="def"))
    assert [r["commit"] for r in rows] == ["def", "abc"], "the newest stands first"
    text = ledger.table(rows)
    assert "| 1 to 300 | 300 | 1 |" in text and "`./ordeal soak --sim --first 1 --seeds 100`" in text and "1 of 3" in text
    assert "`raft.x`" in text.splitlines()[-1]


def test_a_branch_reached_once_is_reached():
    assert ledger.add(ledger.add([], row(1, 2, never=("raft.x", "raft.q"))), row(3, 4, never=("raft.x",)))[0]["never"] == ["raft.x", "raft.y"]


def test_a_sweep_with_holes_is_not_entered():
    with pytest.raises(OrdealError, match="holes"):
        ledger.entry("abc", [], [{"seed": 1, "exit": 0}, {"seed": 3, "exit": 0}], {}, 1.0, "2026-03-02")


def test_the_ledger_is_for_programs_of_exactly_one_commit(monkeypatch):
    from ordeal import facts

    monkeypatch.delenv("ORDEAL_BIN", raising=False)
    monkeypatch.setattr(facts, "code_changes", lambda: ["broker/meta/raft.cpp"])
    with pytest.raises(OrdealError, match=r"differs from its commit \(broker/meta/raft.cpp\)"):
        ledger.refuse_unless_exact()
    monkeypatch.setattr(facts, "code_changes", lambda: [])
    assert ledger.refuse_unless_exact() == facts.commit()


def test_the_page_shows_the_ledger_as_it_is():
    text = (ROOT / "docs" / "simulation.md").read_text()
    assert ledger.inserted(text, ledger.read()) == text


def test_an_entry_changes_the_file_and_the_table_and_nothing_else(tmp_path):
    page, file = tmp_path / "simulation.md", tmp_path / "ledger.json"
    before = (ROOT / "docs" / "simulation.md").read_text()
    page.write_text(before)
    ledger.write([row(1, 50)], file, page)
    after = page.read_text()
    assert ledger.read(file)[0]["last"] == 50 and "| 1 to 50 | 50 | 0 |" in after
    assert after.split(ledger.BEGIN)[0] == before.split(ledger.BEGIN)[0] and after.split(ledger.END)[1] == before.split(ledger.END)[1]
    page.write_text("no place for it")
    with pytest.raises(OrdealError, match="lost the place"):
        ledger.write([row(1, 50)], file, page)
