"""The command line: bad usage, help, and whole trials against pretended programs (scripts/tests/fakes)."""

import json
import os
import subprocess
import sys

import pytest
from tree import ROOT

from ordeal.cli import COMMANDS

FAKES = ROOT / "scripts" / "tests" / "fakes"


def ordeal(*words: str, runs=None, **environment: str) -> subprocess.CompletedProcess:
    """Runs `python -m ordeal` as the launcher does."""
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}", "ORDEAL_BIN": str(FAKES), "NO_COLOR": "1", **environment}
    if runs:
        env["ORDEAL_RUNS"] = str(runs)
    return subprocess.run([sys.executable, "-m", "ordeal", *words], capture_output=True, text=True, env=env, timeout=120)


@pytest.mark.parametrize("words", [
    ["no-such-command"], ["run", "--no-such-option"], ["run", "--seed", "x"], ["run", "--plan", "no-such-plan"], ["run", "--rf", "4"],
    ["run", "--acks", "1", "--idempotence"], ["run", "--set", "novalue"], ["run", "--time", "5x"], ["run", "--nodes", "0"],
    ["report", "no-such-run"], ["check", "no-such-run"], ["replay", "no-such-run"], ["run", "--promise", "gold"], [],
], ids=lambda w: " ".join(w) or "nothing")
def test_bad_usage_exits_64_and_says_what_next(words, tmp_path):
    done = ordeal(*words, runs=tmp_path)
    assert done.returncode == 64
    assert not words or "next:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_misspelt_option_is_suggested():
    assert "did you mean --promise?" in ordeal("run", "--promises", "durable").stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    done = ordeal(command, "--help")
    assert done.returncode == 0
    assert f"./ordeal {command}" in done.stdout.split("example:")[1]


def trial(tmp_path, *words: str, **environment: str):
    return ordeal("run", "--seed", "7", "--time", "1s", *words, runs=tmp_path, **environment)


def test_a_trial_leaves_a_complete_run_folder(tmp_path):
    done = trial(tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "latest"
    for name in ("plan.yaml", "trial.json", "topology.json", "faults.jsonl", "verdict.json", "aggregates.json", "report.html",
                 "junit.xml", "summary.md", "nodes/1/server.properties", "clients/c1/workload.json"):
        assert (run / name).is_file(), name
    assert not list(run.glob("nodes/*/data")), "node data is deleted after a pass"
    assert "PASS" in done.stdout and "latest/report.html" in done.stdout
    facts = json.loads((run / "trial.json").read_text())
    assert facts["effective"]["acks"] == "all" and set(facts["phases"]) == {"drive", "heal", "drain"}
    assert facts["command"] == "./ordeal run --seed 7 --time 1s"


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("fail", 1), ("unknown", 2)])
def test_the_verdict_is_the_exit_code(tmp_path, verdict, code):
    done = trial(tmp_path, "--json", ORDEAL_FAKE_VERDICT=verdict)
    assert done.returncode == code
    said = json.loads(done.stdout)
    assert said["exit"] == code and said["verdict"]["verdict"] == verdict
    assert bool(list((tmp_path / "latest").glob("nodes/*/data"))) == (code != 0), "node data is kept unless it passed"


@pytest.mark.parametrize(("wrong", "code", "words"), [
    ("broker-never-starts", 3, "broker n2 did not start"),
    ("client-crashes", 3, "No space left on device"),
    ("nemesis-dies", 3, "fault injector ended by itself"),
    ("missed-fault", 2, "faults took hold"),
])
def test_what_goes_wrong_around_the_cluster_is_never_a_pass(tmp_path, wrong, code, words):
    done = trial(tmp_path, ORDEAL_FAKE=wrong)
    assert done.returncode == code
    assert words in done.stdout + done.stderr
    assert "PASS" not in done.stdout and "Traceback" not in done.stderr


def test_a_client_that_never_connects_is_a_harness_failure(tmp_path, monkeypatch):
    from ordeal import build, options, runs, trial
    from ordeal.targets.ordeal import OrdealBroker
    from ordeal.cli import Parser
    from ordeal.errors import OrdealError
    from ordeal.terminal import Terminal

    for name, value in (("ORDEAL_BIN", str(FAKES)), ("ORDEAL_RUNS", str(tmp_path)), ("ORDEAL_FAKE", "client-never-connects")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(OrdealBroker, "connect_s", 0.5)
    parser = Parser("run", "", "")
    options.add_trial_options(parser)
    spec = options.resolve(parser.parse_args(["--seed", "7", "--time", "1s"]))
    build.ensure(Terminal())
    with pytest.raises(OrdealError, match="no write of c1, c2 was acknowledged") as caught:
        trial.Trial(spec, Terminal()).run()
    assert caught.value.code == 3
    assert runs.find("latest").is_dir()


def test_a_bad_plan_and_a_bad_setting_are_refused_before_anything_starts(tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text("name: x\nnonsense: 1\n")
    done = trial(tmp_path, "--plan", str(plan))
    assert done.returncode == 64 and "nonsense" in done.stderr
    done = trial(tmp_path, "--set", "log.flush.intervall=1")
    assert done.returncode == 64 and "did you mean log.flush.interval.messages" in done.stderr


def test_too_little_disk_space_is_said_before_the_start(tmp_path):
    done = ordeal("run", "--time", "24h", "--rate", "5000000", "--seed", "1", runs=tmp_path)
    assert done.returncode == 3 and "MiB are free" in done.stderr


def test_a_trial_can_be_replayed_with_its_resolved_plan(tmp_path):
    trial(tmp_path)
    done = ordeal("replay", "latest", runs=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_soak_resumes_from_its_ledger(tmp_path):
    words = ("soak", "--time", "1s", "--name", "s")
    assert ordeal(*words, "--trials", "1", runs=tmp_path).returncode == 0
    done = ordeal(*words, "--trials", "2", runs=tmp_path)
    assert done.returncode == 0 and done.stdout.count("from the ledger") == 1
    assert "2 trials: 2 passed, 0 failed" in done.stdout
    assert len((tmp_path / "soak-s" / "ledger.jsonl").read_text().splitlines()) == 2
