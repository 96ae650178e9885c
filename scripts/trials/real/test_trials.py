"""Whole trials on real processes: what must pass, what must fail, and what must never be called a pass."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import threading
import time

import pytest
from harness import ROOT, environment, events, kill, command, ordeal, processes_of, row, start, told, until, until_driving, verdict

from ordeal import paths
from ordeal.options import plan_names

NOBODY = pwd.getpwnam("nobody")


def test_a_trial_with_kills_and_partitions_passes(tmp_path):
    done = ordeal(tmp_path, "run", "--seed", "1", "--time", "25s", "--keep")
    assert done.returncode == 0, told(done)
    found = verdict(tmp_path)
    assert found["counts"]["sends_ok"] > 1000 and found["counts"]["partitions_drained"] == found["counts"]["partitions"]
    assert row(found, "lost-write")["promised"] == "promised" and row(found, "lost-write")["status"] == "held"
    acted = [e for e in events(tmp_path) if e["event"] == "fault.begin" and e.get("verified")]
    assert len(acted) >= 3
    healed = {e["id"] for e in events(tmp_path) if e["event"] == "fault.heal" and e.get("verified")}
    assert {e["id"] for e in acted} <= healed
    assert not processes_of(tmp_path.resolve())
    for name in ("report.html", "junit.xml", "summary.md"):
        assert (tmp_path / "latest" / name).stat().st_size > 500


@pytest.fixture(scope="module")
def acks1(tmp_path_factory):
    runs = tmp_path_factory.mktemp("acks1")
    return runs, ordeal(runs, "run", "--plan", "acks1-loss", "--seed", "5", "--time", "30s")


def test_acks_1_loses_what_it_may_lose_and_names_it(acks1):
    runs, done = acks1
    assert done.returncode == 0, told(done)
    lost = row(verdict(runs), "lost-write")
    assert lost["status"] == "allowed" and lost["count"] > 0
    story = next(v for v in verdict(runs)["violations"] if v["property"] == "lost-write")
    assert story["operations"] and story["status"] == "allowed"


def test_the_same_history_breaks_a_durable_promise(acks1):
    runs, _ = acks1
    done = ordeal(runs, "check", "latest", "--promise", "durable")
    assert done.returncode == 1, told(done)
    assert "FAIL" in done.stdout


@pytest.mark.slow
def test_the_same_plan_with_a_durable_promise_exits_1(tmp_path):
    done = ordeal(tmp_path, "run", "--plan", "acks1-loss", "--seed", "6", "--time", "30s", "--promise", "durable")
    assert done.returncode == 1, told(done)


def test_a_broker_that_never_starts_is_a_harness_failure(tmp_path):
    done = ordeal(tmp_path, "run", "--seed", "1", "--time", "5s", "--set", "log.dirs=/proc/no-such-place")
    assert done.returncode == 3, told(done)
    assert "did not start" in done.stderr and "PASS" not in done.stdout


def test_a_fault_that_misses_its_target_is_no_pass(tmp_path):
    """Nobody was killed, so `killed` names nobody and the required step cannot act."""
    plan = tmp_path / "plan.yaml"
    plan.write_text("name: misses\nmin_faults: 1\nsteps:\n  - {id: s, when: 2s, do: proc.pause, on: killed, hold: 1s, required: true}\n")
    done = ordeal(tmp_path, "run", "--plan", str(plan), "--seed", "1", "--time", "6s")
    assert done.returncode == 2, told(done)
    assert "UNKNOWN" in done.stdout


@pytest.mark.parametrize("text", ["name: x\nsteps: [{id: a, when: 1s, do: net.explode, on: n1}]\n", "name: x\nsurprise: 1\n", "steps: [\n"])
def test_a_bad_plan_is_refused(tmp_path, text):
    plan = tmp_path / "plan.yaml"
    plan.write_text(text)
    done = ordeal(tmp_path, "run", "--plan", str(plan), "--time", "5s")
    assert done.returncode == 64, told(done)


def test_a_plan_that_needs_what_this_world_cannot_do_is_refused(tmp_path):
    assert "power" in plan_names()
    assert ordeal(tmp_path, "run", "--plan", "power", "--time", "5s").returncode == 64


@pytest.mark.parametrize("setting", ["log.flush.interval.mesages=1", "min.insync.replicas=many"])
def test_a_bad_broker_setting_is_refused(tmp_path, setting):
    done = ordeal(tmp_path, "run", "--time", "5s", "--set", setting)
    assert done.returncode == 64, told(done)


def test_ctrl_c_cleans_up(tmp_path):
    child = start(tmp_path, "run", "--seed", "1", "--time", "60s")
    run = until_driving(tmp_path)
    assert processes_of(run)
    said = kill(child, signal.SIGINT)
    assert child.returncode == 130, said
    until(lambda: not processes_of(run), 10, "no process left")


def test_a_harness_killed_at_once_leaves_nothing_behind(tmp_path):
    child = start(tmp_path, "run", "--seed", "1", "--time", "60s")
    run = until_driving(tmp_path)
    kill(child, signal.SIGKILL)
    until(lambda: not processes_of(run), 20, "no process left")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system")
def test_a_full_disk_is_a_harness_failure(tmp_path):
    """The run's folder is a file system of its own that something else fills up while the trial drives."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "none", str(small)], check=True)
    try:
        filler = threading.Thread(target=_fill, args=(small,), daemon=True)
        filler.start()
        done = ordeal(small, "run", "--seed", "1", "--time", "15s", "--plan", "none")
        filler.join(30)
        assert done.returncode in (2, 3), told(done)
        assert "PASS" not in done.stdout
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def _fill(folder) -> None:
    until_driving(folder)
    time.sleep(3)
    with open(folder / "filler", "wb") as file:
        try:
            while True:
                file.write(b"\0" * 65536)
        except OSError:
            return


@pytest.mark.skipif(os.geteuid() != 0, reason="already unprivileged: every other test here shows it")
def test_without_root_the_same_trial_runs_in_a_user_namespace(tmp_path):
    """Drops to nobody; the binaries are copied to where nobody may read them."""
    home = tmp_path / "home"
    shutil.copytree(paths.binary("ordeal-broker").parent, home / "bin")
    shutil.copytree(ROOT / "scripts" / "ordeal", home / "scripts" / "ordeal", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "reports", home / "reports", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "faults" / "plan" / "plans", home / "faults" / "plan" / "plans")
    (home / "runs").mkdir()
    for folder in (tmp_path, home, home / "runs"):
        os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
    for parent in [p for p in home.parents if p != p.parent]:
        if parent.stat().st_uid == os.geteuid() and str(parent).startswith("/tmp/pytest"):
            parent.chmod(parent.stat().st_mode | 0o011)
    env = environment(home / "runs", ORDEAL_BIN=str(home / "bin"), HOME=str(home), PYTHONDONTWRITEBYTECODE="1",
                      PYTHONPATH=f"{home / 'scripts'}:{home}:{_site_packages()}")
    words = ["setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups", "/usr/bin/python3", *command()[1:], "run",
             "--seed", "2", "--time", "25s", "--plan", "partitions"]
    done = subprocess.run(words, capture_output=True, text=True, env=env, cwd=home, timeout=200)
    assert done.returncode == 0, told(done)
    assert any(e["event"] == "fault.begin" and e.get("verified") for e in events(home / "runs"))


def _site_packages() -> str:
    """Python packages where the unprivileged user can read them: the environment's own folder, if it may."""
    import jinja2

    return str(os.path.dirname(os.path.dirname(jinja2.__file__)))


def test_json_output_is_one_document(tmp_path):
    done = ordeal(tmp_path, "run", "--seed", "3", "--time", "5s", "--plan", "none", "--json")
    assert done.returncode == 0, told(done)
    assert json.loads(done.stdout)["verdict"]["verdict"] == "pass"
