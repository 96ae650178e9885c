"""The container files as people use them, and whole trials of brokers in containers: cut, killed, paused and gone with us."""

import os
import signal
import subprocess

import pytest
from harness import ROOT, events, kill, ordeal, processes_of, row, start, told, until, until_driving, verdict

# Each kind once and certainly, so that a pass says something about all of them.
PLAN = """name: containers
min_faults: 4
steps:
  - {id: cut, when: 3s, do: net.partition, on: leader(t/0), hold: 4s, required: true}
  - {id: kill, when: {after: cut, delay: 2s}, do: proc.kill, on: leader(t/0), hold: 2s, required: true}
  - {id: pause, when: {after: kill, delay: 2s}, do: proc.pause, on: one(followers(t/0)), hold: 2s, required: true}
  - {id: again, when: {after: pause, delay: 1s}, do: proc.restart, on: one(up), hold: 1s, required: true}
"""


def containers(docker: dict) -> str:
    done = subprocess.run(["docker", "ps", "--all", "--filter", "label=ordeal.trial", "--format", "{{.Names}} {{.Status}}"], capture_output=True, text=True,
                          env={**os.environ, **docker}, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_three_brokers_in_containers(docker):
    done = subprocess.run([str(ROOT / "compose" / "smoke.sh")], capture_output=True, text=True, timeout=600, env={**os.environ, **docker})
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr


def test_containers_are_cut_killed_paused_and_restarted_by_the_same_code(docker, tmp_path):
    (tmp_path / "plan.yaml").write_text(PLAN)
    done = ordeal(tmp_path, "run", "--target", "compose", "--plan", str(tmp_path / "plan.yaml"), "--seed", "2", "--time", "45s", "--rate", "1000", **docker)
    assert done.returncode == 0, told(done)
    begun = {e["id"]: e["evidence"] for e in events(tmp_path) if e["event"] == "fault.begin" and e["verified"]}
    healed = {e["id"]: e["evidence"] for e in events(tmp_path) if e["event"] == "fault.heal" and e["verified"]}
    assert set(begun) == set(healed) == {"cut", "kill", "pause", "again"}
    assert "probe matrix equals the plan" in begun["cut"] and "gone and its launcher left" in begun["kill"]
    assert "in state T" in begun["pause"] and "port 9092 open" in healed["kill"] and "left cleanly" in begun["again"]
    found = verdict(tmp_path)
    assert found["counts"]["sends_ok"] > 1000 and row(found, "lost-write")["status"] == "held"
    assert any(e["event"] == "role.change" for e in events(tmp_path)), "the brokers' traces are read from outside"
    assert containers(docker) == ""


def test_a_container_that_somebody_else_kills_is_a_crash(docker, tmp_path):
    child = start(tmp_path, "run", "--target", "compose", "--plan", "none", "--seed", "2", "--time", "20s", "--rate", "500", **docker)
    run = until_driving(tmp_path)
    victim = next(line.split()[0] for line in containers(docker).splitlines() if line.split()[0].endswith("-n2"))
    subprocess.run(["docker", "kill", victim], check=True, capture_output=True, env={**os.environ, **docker}, timeout=60)
    said = child.communicate(timeout=300)[0]
    assert child.returncode not in (0, 64), said
    assert "broker n2 ended by itself with code 137" in said and not processes_of(run)


def test_when_the_harness_is_killed_the_brokers_end_too_and_the_next_trial_sweeps_up(docker, tmp_path):
    child = start(tmp_path, "run", "--target", "compose", "--plan", "none", "--seed", "2", "--time", "60s", "--rate", "500", **docker)
    run = until_driving(tmp_path)
    kill(child, signal.SIGKILL)
    until(lambda: "Up" not in containers(docker), 60, "every container to have ended")
    assert not processes_of(run)
    done = ordeal(tmp_path, "run", "--target", "compose", "--plan", "none", "--seed", "3", "--time", "3s", "--rate", "500", **docker)
    assert done.returncode == 0, told(done)
    assert containers(docker) == ""
