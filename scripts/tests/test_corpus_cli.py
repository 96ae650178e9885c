"""`ordeal corpus` against a pretended simulator: codes, table, files, searches that resume, the record in docs."""

import json
from xml.etree import ElementTree

import pytest
from test_cli import ordeal
from test_sim_cli import rows, told
from tree import ROOT

from reports import corpus as pages
from reports import steps


@pytest.mark.parametrize("words", [["--bug", "A99"], ["--group", "Z"], ["--cap", "0s"], ["--cap", "long"], ["--jobs", "0"], ["--nonsense"], ["--budget", "5s"],
                                   ["--search", "--budget", "0s"]], ids=" ".join)
def test_bad_usage_is_refused(words, tmp_path):
    done = ordeal("corpus", *words, runs=tmp_path)
    assert done.returncode == 64 and "next:" in done.stderr, told(done)


def test_the_table_names_every_bug_with_its_code(tmp_path):
    done = ordeal("corpus", "--json", runs=tmp_path)
    assert done.returncode == 0, told(done)
    assert {r["id"]: r["code"] for r in rows(done)} == {"A1": "caught", "A2": "caught", "F5": "caught", "A20": "needs feature", "E12": "not applicable"}
    assert "3 of 3 known bugs caught · 1 need a feature · 1 not applicable" in done.stderr
    [folder] = tmp_path.glob("*-corpus")
    suite = ElementTree.parse(folder / "junit.xml").getroot().find("testsuite")
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("5", "0", "2")
    page = (folder / "corpus.html").read_text()
    assert "ALL CAUGHT" in page and "3 acknowledged records of t/0 are gone" in page
    assert "./ordeal sim --scenario repl.truncate_to_hw --mutate repl.truncate_to_hw" in page
    assert (folder / "A1-repl.truncate_to_hw" / "seed-4" / "report.html").is_file()
    assert len(json.loads((folder / "corpus.json").read_text())["bugs"]) == 5


def test_a_missed_bug_is_a_failure_of_the_harness_and_says_why(tmp_path):
    done = ordeal("corpus", "--group", "A", runs=tmp_path, ORDEAL_FAKE_MISSED="repl.truncate_to_hw")
    assert done.returncode == 3 and "missed: A1" in done.stdout and "nothing was found broken" in done.stdout, told(done)
    [folder] = tmp_path.glob("*-corpus")
    assert ElementTree.parse(folder / "junit.xml").getroot().find(".//failure") is not None


def test_a_script_that_fails_without_its_bug_accuses_the_broker(tmp_path):
    done = ordeal("corpus", "--bug", "repl.truncate_to_hw", runs=tmp_path, ORDEAL_FAKE_FAIL="4")
    assert done.returncode == 1 and "its script fails without it" in done.stdout, told(done)


def test_a_crash_of_a_script_is_no_catch(tmp_path):
    done = ordeal("corpus", "--bug", "A1", runs=tmp_path, ORDEAL_FAKE_CRASH="4")
    assert done.returncode == 3 and "ended with code -6" in done.stdout, told(done)


def test_searches_find_bugs_without_their_scripts_and_resume(tmp_path):
    words = ("corpus", "--group", "A", "--search", "--cap", "10s", "--json")
    done = ordeal(*words, runs=tmp_path, ORDEAL_FAKE_MISSED="repl.truncate_to_hw", ORDEAL_FAKE_HIDDEN="repl.fetch_without_epoch_lookup")
    found = {r["id"]: r.get("search") for r in rows(done)}
    assert found["A1"]["found"] == 3 and found["A1"]["named"] == ["lost-write"] and found["A20"] is None, told(done)
    assert (found["A1"]["first_seed"], found["A1"]["first_variant"]) == (3, 1), told(done)
    assert (found["A1"]["median_seeds"], found["A1"]["median_cpu_s"], found["A1"]["variants_tried"]) == (3, 3.5, 3), told(done)
    assert (found["A2"]["found"], found["A2"]["searches"], found["A2"]["seeds_tried"]) == (0, 3, 30), "a search ends at its cap"
    assert done.returncode == 3, "finding it by seed does not repair its script"
    done = ordeal(*words, runs=tmp_path)
    assert "6 of 6 searches are in" in done.stderr and done.returncode == 0, told(done)
    done = ordeal(*words[:-3], "--cap", "11s", runs=tmp_path)
    assert "are in" not in done.stdout, "another cap is another search"


def test_the_searches_of_a_bug_share_no_seed(tmp_path):
    done = ordeal("corpus", "--bug", "A1", "--search", "--cap", "10s", runs=tmp_path)
    found = json.loads((tmp_path / "corpus-search.json").read_text())
    assert sorted(r["seed"] for r in found.values()) == [3, 1_000_003, 2_000_003], told(done)


def test_a_search_goes_on_behind_a_world_that_kills_the_simulator(tmp_path):
    done = ordeal("corpus", "--bug", "A1", "--search", "--cap", "10s", runs=tmp_path, ORDEAL_FAKE_CRASH="2")
    found = json.loads((tmp_path / "corpus-search.json").read_text())
    [first] = [r for slot, r in found.items() if " 1 " in slot]
    assert (first["crashed"], first["seed"], first["seeds"], first["cpu_s"]) == (1, 5, 4, 4.5), told(done)
    assert "1 crashed" in done.stdout + done.stderr, told(done)


def test_a_search_can_stop_early_and_go_on(tmp_path):
    words = ("corpus", "--bug", "A1", "--search", "--jobs", "1", "--json")
    done = ordeal(*words, "--budget", "1ms", runs=tmp_path)
    assert done.returncode == 0 and "searches are left" in done.stderr, told(done)
    done = ordeal(*words, runs=tmp_path)
    assert rows(done)[0]["search"]["searches"] == 3, told(done)


def test_the_record_keeps_what_was_not_run_again(tmp_path):
    def document(commit, **more):
        row = {"id": "A1", "group": "A", "name": "repl.x", "source": "KIP", "summary": "s", "property": "lost-write", "code": "caught", "named": "lost-write"}
        return {"versions": {"commit": commit}, "bugs": [row | more]}

    search = {"searches": 3, "found": 2, "cap_s": 120, "named": ["lost-write"], "seeds_tried": 9, "exercised": 3, "median_seeds": 4, "median_cpu_s": 7.5}
    first = pages.merge({}, document("aaa", search=search))
    second = pages.merge(first, document("bbb", code="MISSED", why="its branch never ran"))
    [row] = second["bugs"]
    assert row["commit"] == "bbb" and row["search"]["commit"] == "aaa"
    text = pages.markdown(second)
    assert "**MISSED**: its branch never ran" in text and "2 of 3: 4 seeds, 7.5 s" in text and "0 of 1 known bugs" in text


def test_the_page_in_the_documents_says_what_was_recorded():
    record = json.loads((ROOT / "docs" / "corpus.json").read_text())
    assert (ROOT / "docs" / "corpus.md").read_text() == pages.markdown(record)


def test_steps_are_told_in_words():
    script = [{"let": {"old": "leader(t/0)"}}, {"kill": "old"}, {"wait": "leader(t/0) != old", "within": "20s", "every": "step"},
              {"delay": {"api": "Fetch", "reply": True, "from": "n1", "to": "n2", "by": "2s"}}, {"crash": "n2", "call": 3, "kind": "power", "path": "checkpoint"},
              {"cut": {"from": "n1", "to": "others", "listener": "replication"}}, {"repeat": {"times": 3, "do": [{"power_cut": "nodes()"}]}},
              {"if": "x", "then": [{"run": "2s"}], "else": [{"clients": False}]}, {"something_new": {"a": 1}}]
    told_steps = steps.words(script)
    assert [line for _, line in told_steps] == [
        "old stands for leader(t/0)", "kill old", "wait until leader(t/0) != old, for at most 20s, looking between single steps",
        "delay the next Fetch reply from n1 to n2 by 2s", "n2 dies in a power cut inside its 3rd changing file call on checkpoint",
        "cut the link between n1 and others (replication listener)", "3 times:", "cut the power of nodes(): what was not synced is gone",
        "if x:", "2s pass", "else:", "producers stop sending new records", "something_new: a 1"]
    assert [depth for depth, _ in told_steps] == [0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0]
