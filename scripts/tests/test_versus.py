"""`bench versus`: the arithmetic of its claims, whole comparisons against pretended brokers, and the page."""

import json
import os
import re
import stat
import subprocess
import sys

import pytest
from tree import ROOT

from ordeal.bench import ratios, versus
from ordeal.targets import kafka_files
from reports import versus as page

# One process plays the fault injector, the brokers and the load generator; Kafka's nodes are those started by Java.
NEMESIS = r'''#!/usr/bin/env python3
import json, os, sys, time
from pathlib import Path

WRONG = os.environ.get("ORDEAL_FAKE", "").split(",")
theirs, spawned = False, []

def say(row):
    sys.stdout.write(json.dumps(row) + "\n"); sys.stdout.flush()

def quantiles(p50):
    return {"p50": p50, "p90": p50 * 2, "p99": p50 * 3, "p999": p50 * 4, "max": p50 * 5}

def load(words):
    slow, now = (4 if theirs else 1), time.monotonic_ns()
    rate = 100_000 / slow
    if words[1] == "ready":
        return {"ports_ns": now, "topic_ns": now, "acked_ns": now + (8_000_000_000 if theirs else 0)}
    if words[1] == "produce":
        lost = 5 if "lost" in WRONG and not theirs else 0
        return {"records": int(rate), "acked": int(rate), "stored": int(rate) - lost, "errors": 3 if "errors" in WRONG and theirs else 0, "seconds": 1.0,
                "cpu_s": 1.5 if "busy-client" in WRONG else 0.2, "records_per_s": rate, "mb_per_s": rate * 1024 / 1e6, "latency_us": quantiles(100)}
    if words[1] == "fetch":
        return {"records": 1000, "errors": 0, "seconds": 1.0, "cpu_s": 0.1, "records_per_s": rate, "mb_per_s": rate * 1024 / 1e6}
    if words[1] == "latency":
        received = 99 if "not-received" in WRONG else 100
        if "silent" in WRONG and theirs:
            return {"acked": 0, "received": 0, "errors": 0, "seconds": 1.0, "cpu_s": 0.1, "behind_us": 10, "ack_us": quantiles(0), "end_to_end_us": quantiles(0)}
        return {"acked": 100, "received": received, "errors": 0, "seconds": 1.0, "cpu_s": 0.1, "behind_us": 10, "ack_us": quantiles(300 * slow),
                "end_to_end_us": quantiles(400 * slow)}
    return {"topic": "made"}

def handle(m):
    global theirs
    if m["cmd"] == "spawn":
        words = m["argv"]
        if m["kind"] == "node":
            theirs = "kafka.Kafka" in words
        elif words[0].endswith("ordeal-load"):
            spawned.append((m, words))
        return {"pid": os.getpid(), "serving_ms": 1}
    if m["cmd"] == "wait":
        spawn, words = next(s for s in spawned if s[0]["id"] == m["id"])
        if words[1] == "probe":
            proven = handle.proven
            late = (9 if theirs else 1) * 1_000_000_000
            row = {"acks": [[proven - 5, proven - 4], [proven - 3, proven + late // 2], [proven + 1, proven + late]], "errors": 0}
        else:
            row = load(words)
        Path(spawn["stdout"]).write_text(json.dumps(row))
        return {"code": 0}
    if m["cmd"] == "status":
        return {"roles": {"controller": "n3" if "one-leads-all" in WRONG else "n1", "partitions": {"f/0": {"leader": "n3" if "one-leads-all" in WRONG else "n1"}, "f/1": {"leader": "n3"}, "f/2": {"leader": "n3"}, "t/0": {"leader": "n2"}}}}
    if m["cmd"] == "fault.begin":
        assert m["on"] == "n3", m
        handle.proven = time.monotonic_ns()
        for event, t in (("fault.invoke", handle.proven), ("fault.begin", handle.proven)):
            say({"event": event, "id": "x1", "t": t, "verified": True})
        once = "no-fault-once" in WRONG and not os.path.exists(os.environ["ORDEAL_ONCE"])
        if once:
            Path(os.environ["ORDEAL_ONCE"]).touch()
        return {"id": "x1", "verified": "no-fault" not in WRONG and not once, "evidence": "it lives"}
    return {}

for line in sys.stdin:
    m = json.loads(line)
    if m["cmd"] == "shutdown":
        break
    answer = handle(m)
    if "re" in m:
        say({"re": m["re"], "ok": True, **answer})
'''


@pytest.fixture(scope="module")
def pretended(tmp_path_factory):
    """A folder of programs and a cached Kafka with a Java that does nothing: the environment that has them."""
    tmp_path = tmp_path_factory.mktemp("pretended")
    cache = tmp_path / "cache" / "kafka" / kafka_files.DEFAULT_VERSION
    (cache / "libs").mkdir(parents=True)
    (cache / "libs" / f"kafka_2.13-{kafka_files.DEFAULT_VERSION}.jar").write_text("jar")
    for name, text in (("complete", "yes"), ("settings.txt", "\n".join(versus.EQUAL)), ("no-archive", "")):
        (cache / name).write_text(text)
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name, text in (("java", "#!/bin/sh\ncase \"$*\" in *-version*) echo 'openjdk version \"17.0.9\"' >&2 ;; esac\n"), ("ordeal-nemesis", NEMESIS),
                       *((name, "#!/bin/sh\n") for name in ("ordeal-broker", "ordeal-load", "ordeal-workload"))):
        (binaries / name).write_text(text)
        (binaries / name).chmod(stat.S_IRWXU)
    values = {"ORDEAL_CACHE": tmp_path / "cache", "ORDEAL_BIN": binaries, "NO_COLOR": "1", "PATH": f"{binaries}:{os.environ['PATH']}",
              "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}"}
    return {key: value for key, value in os.environ.items() if key != "JAVA_HOME"} | {key: str(value) for key, value in values.items()}


def ordeal(environment: dict, runs, *words: str, **more: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "ordeal", *words], capture_output=True, text=True, env=environment | {"ORDEAL_RUNS": str(runs)} | more, timeout=120)


def compare(environment: dict, runs, *words: str, **more: str) -> tuple[dict, str]:
    done = ordeal(environment, runs, "bench", "versus", "--target", "kafka", "--quick", "--json", *words, **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1]), done.stderr


@pytest.fixture(scope="module")
def compared(pretended, tmp_path_factory):
    """(document, what was said, folder) of a comparison of two turns."""
    folder = tmp_path_factory.mktemp("compared")
    document, said = compare(pretended, folder / "runs", "--rounds", "2", "--out", str(folder / "copy.json"))
    return document, said, folder


# ---- arithmetic ----

@pytest.mark.parametrize("value, said", [(2.0, "2.00"), (1.999999, "1.99"), (0.29, "0.29"), (19.9999, "19.99"), (1234.567, "1,234.56"), (0.005, "0.00"), (1.005, "1.00")])
def test_a_factor_is_cut_off_never_rounded_up(value, said):
    assert ratios.cut(value) == said


def test_no_factor_is_said_to_be_more_than_it_is():
    for i in range(1, 3000):
        value = i / 7
        assert float(ratios.cut(value).replace(",", "")) <= value


def test_a_row_takes_medians_and_says_what_is_better():
    more = ratios.row("a", "produce", "x", "MB/s", ratios.MORE, [300, 100, 200], [90, 110, 100])
    assert more["times"] == 2.0 and more["holds"] is True and more["pairs"] == [300 / 90, 100 / 110, 2.0]
    less = ratios.row("b", "failover", "x", "ms", ratios.LESS, [100.0], [499.0])
    assert less["times"] == 4.99 and less["holds"] is False
    assert (less["ours"]["min"], less["ours"]["max"]) == (100, 100)


def test_almost_is_not_enough():
    almost = ratios.row("a", "produce", "x", "MB/s", ratios.MORE, [199.9999], [100])
    assert almost["holds"] is False and ratios.shown(almost)["times"] == "1.99x" and ratios.shown(almost)["verdict"] == "falls short"


def test_a_row_without_an_aim_has_no_verdict_and_one_without_figures_none_that_holds():
    assert ratios.shown(ratios.row("a", "fetch", "x", "MB/s", ratios.MORE, [5], [1]))["verdict"] == ""
    missing = ratios.row("a", "produce", "x", "MB/s", ratios.MORE, [5], [])
    assert missing["holds"] is None and ratios.shown(missing)["verdict"] == "not measured" and ratios.aims_met([missing]) == []
    nothing = ratios.row("a", "produce", "x", "MB/s", ratios.MORE, [5], [0])
    assert nothing["times"] is None and nothing["holds"] is None


@pytest.mark.parametrize("maximum, rate", [(100_000, 20_000), (54_321, 10_000), (7_777, 1_500), (400, 100), (200, 60), (10, 3)])
def test_the_rate_of_latencies_is_at_most_three_tenths_of_the_maximum(maximum, rate):
    assert ratios.fixed_rate(maximum) == rate
    assert rate <= 0.3 * maximum


# ---- a whole comparison ----

def test_a_comparison_takes_turns_and_holds_each_row_against_its_aim(compared):
    document, said, tmp_path = compared
    figures = document["figures"]
    rows = {row["key"]: row for row in figures["rows"]}
    assert rows["produce.page-cache.acks-all.12.none"]["times"] == 4.0 and rows["produce.page-cache.acks-all.12.none"]["holds"]
    assert rows["p99.fsync.end-to-end"]["times"] == 4.0
    kill = rows["failover.page-cache.kill"]
    assert len(kill["ours"]["samples"]) == 2 and kill["ours"]["median"] == 1000 and kill["theirs"]["median"] == 9000 and kill["holds"]
    assert len(rows["start.first-write"]["ours"]["samples"]) == 4 and not rows["memory.idle"]["holds"]
    assert rows["start.first-write"]["theirs"]["median"] > 8000
    assert not any(row["remarks"] for row in figures["rows"])
    assert figures["rates"]["page-cache"]["records_per_s"] == 5000 and figures["rates"]["page-cache"]["share_of_their_maximum"] <= 0.3
    assert document["versions"]["kafka"] == kafka_files.DEFAULT_VERSION and document["machine"]["processors"]
    assert json.loads((tmp_path / "copy.json").read_text()) == document
    assert "aim: failover at least 5 times better: 1 of 1 rows hold" in said and "falls short" in said and "4.00x" in said
    folder = next((tmp_path / "runs").iterdir())
    assert sorted(p.name for p in folder.iterdir()) == ["figures.json", "report.html"]  # clusters leave nothing behind


def test_what_distorts_a_row_is_said_with_it(pretended, tmp_path):
    document, said = compare(pretended, tmp_path, ORDEAL_FAKE="lost,errors,not-received,busy-client")
    remarks = {row["key"]: row["remarks"] for row in document["figures"]["rows"]}
    produced = remarks["produce.page-cache.acks-all.12.none"]
    assert "ordeal: 5 acknowledged records are not in the log" in produced and "kafka: 3 writes failed" in produced
    assert "kafka: 0 errors, 99 of 100 records received" in remarks["p99.page-cache.end-to-end"]
    if (os.cpu_count() or 1) <= 2:
        assert any("ordeal: the load generator took 1.5 of" in text for text in produced)
    assert "5 acknowledged records are not in the log" in said


def test_of_no_records_there_is_no_latency(pretended, tmp_path):
    document, _ = compare(pretended, tmp_path, ORDEAL_FAKE="silent")
    rows = {row["key"]: row for row in document["figures"]["rows"]}
    row = rows["p99.page-cache.ack"]
    assert row["theirs"] is None and row["times"] is None and row["ours"]["median"] > 0
    assert "kafka: no record that was due in the window got through" in row["remarks"]


def test_a_fault_that_is_not_proven_is_no_measurement(pretended, tmp_path):
    done = ordeal(pretended, tmp_path, "bench", "versus", "--target", "kafka", "--quick", ORDEAL_FAKE="no-fault")
    assert done.returncode == 3 and "the fault did not take hold: it lives" in done.stderr and "Traceback" not in done.stderr


def test_of_several_turns_one_may_fail_and_is_named(pretended, tmp_path):
    document, said = compare(pretended, tmp_path, "--rounds", "2", ORDEAL_FAKE="no-fault-once", ORDEAL_ONCE=str(tmp_path / "once"))
    assert document["figures"]["failures"] == ["turn 1, kafka, page cache: the fault did not take hold: it lives"]
    kill = next(r for r in document["figures"]["rows"] if r["key"] == "failover.page-cache.kill")
    assert len(kill["ours"]["samples"]) == 2 and len(kill["theirs"]["samples"]) == 1
    assert "failed: turn 1, kafka" in said


def test_when_every_leader_is_the_controller_its_row_says_so(pretended, tmp_path):
    document, _ = compare(pretended, tmp_path, ORDEAL_FAKE="one-leads-all")
    kill = next(r for r in document["figures"]["rows"] if r["key"] == "failover.page-cache.kill")
    assert "ordeal: every leader was the active controller too" in kill["remarks"]


@pytest.mark.parametrize("words, said", [
    (["broker", "--target", "kafka"], "--target is an option of `bench versus`"),
    (["sim", "--full"], "--full is an option of `bench versus`"),
    (["versus", "--target", "ordeal"], "there is nothing to compare"),
    (["versus", "--target", "kafak"], "did you mean kafka?"),
    (["versus", "--target", "kafka", "--quick", "--full"], "exclude each other"),
    (["versus", "--target", "kafka", "--rounds", "0"], "--rounds must be at least 1"),
])
def test_bad_usage_is_refused(words, said, tmp_path, pretended):
    done = ordeal(pretended, tmp_path / "runs", "bench", *words)
    assert done.returncode == 64 and said in done.stderr, done.stderr
    assert not (tmp_path / "runs").exists()


# ---- the page ----

def test_the_page_says_every_row_and_draws_every_factor(compared, tmp_path):
    document, _, _ = compared
    text = page.render(tmp_path, document).read_text()
    assert text.count("<rect ") == sum(1 for r in document["figures"]["rows"] if r["times"])
    for row in document["figures"]["rows"]:
        assert row["title"] in text and row["shown"]["times"] in text
    assert "falls short" in text and "holds" in text and f"Apache Kafka {kafka_files.DEFAULT_VERSION}" in text
    assert not re.search(r'(src|href)="https?:', text)


def test_the_axis_takes_in_every_factor_and_aim():
    rows = [{"times": 0.3, "aim": 10.0}, {"times": 37.0, "aim": None}]
    assert page.span(rows) == (0.2, 50)
    assert page.span([{"times": 1.0, "aim": None}]) == (0.5, 2)


def test_the_table_for_the_document_is_the_rows_words(compared):
    document, _, _ = compared
    lines = page.markdown(document).splitlines()
    assert len(lines) == len(document["figures"]["rows"]) + 2
    assert any("| 4.00x | 2x: holds |" in line for line in lines)


def test_the_plans_measure_what_they_promise():
    assert versus.MAIN in versus.DEFAULT.rows["page-cache"] and versus.MAIN in versus.DEFAULT.rows["fsync"]
    assert {(r.acks, r.partitions, r.codec) for r in versus.FULL.rows["fsync"]} == {(a, p, c) for a in ("1", "all") for p in (1, 12, 100) for c in ("none", "lz4")}
    assert versus.DEFAULT.faults == {"page-cache": ("kill", "cut"), "fsync": ("kill", "cut")}
    for plan in (versus.DEFAULT, versus.FULL, versus.QUICK):  # the rate of latencies comes from the main row
        assert all(rows[0] == versus.MAIN for rows in plan.rows.values())
