"""A trial of a real Apache Kafka cluster: roles by the watcher, faults by role, and a verdict.

Needs Java, and the network once (Maven fetches Kafka). Where they cannot be had the tests are skipped, which the summary shows;
in CI they fail instead.
"""

import json
import os

import pytest
from harness import events, ordeal, row, told, verdict

from ordeal.errors import OrdealError
from ordeal.targets import kafka_files
from ordeal.terminal import Terminal

PLAN = """
name: two-leaders
min_faults: 2
steps:
  - {id: kill, when: 4s, do: proc.kill, on: leader(t/0), hold: 1s, required: true}
  - {id: cut, when: 14s, do: net.partition, on: leader(t/1), params: {shape: brokers-not-clients}, hold: 4s, required: true}
"""
SETTINGS = ("--set", "broker.session.timeout.ms=3000", "--set", "broker.heartbeat.interval.ms=500")


@pytest.fixture(scope="module", autouse=True)
def kafka():
    try:
        kafka_files.find_java()
        kafka_files.from_maven(kafka_files.DEFAULT_VERSION, Terminal())
    except OrdealError as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{error.message}; {error.hint}")


def rows(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def leaders(trace: list[dict]) -> dict:
    """The last word on every partition: leader, epoch, in-sync replicas."""
    told_last = {}
    for event in trace:
        if event["k"] in ("partition.leader", "partition.isr"):
            told_last[event["topic"], event["partition"]] = (event["n"], event["leader_epoch"], event["isr"])
    return told_last


def test_kafka_survives_a_killed_and_a_cut_off_leader_and_is_seen_to(tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    runs = tmp_path / "runs"
    done = ordeal(runs, "run", "--target", "kafka", "--plan", str(plan), "--seed", "4", "--time", "25s", *SETTINGS)
    assert done.returncode == 0, told(done)
    found, run = verdict(runs), (runs / "latest").resolve()
    assert found["counts"]["sends_ok"] > 1000 and found["counts"]["partitions_drained"] == found["counts"]["partitions"]
    assert row(found, "lost-write")["promised"] == "promised" and row(found, "lost-write")["status"] == "held"
    trial = json.loads((run / "trial.json").read_text())
    assert trial["broker"] == f"Apache Kafka {kafka_files.DEFAULT_VERSION}" and trial["versions"]["kafka"] == kafka_files.DEFAULT_VERSION
    assert trial["effective"]["min.insync.replicas"] == "2" and int(trial["effective"]["log.flush.interval.messages"]) > 1
    assert not any("could not be read" in line for line in trial["not_covered"])
    trace, seen = rows(run / "nodes" / "watch" / "trace.jsonl"), rows(run / "nodes" / "watch" / "seen.jsonl")
    assert leaders(trace) == leaders(seen), "the watcher's last look and the metadata log agree once all is healed"
    assert not any(event["k"] == "trace.dropped" for event in trace)
    assert any(event["k"] == "controller.active" for event in trace)
    victim = next(e for e in events(runs) if e["event"] == "fault.begin" and e["id"] == "kill")["targets"]
    first = next(event for event in trace if event["k"] == "partition.leader" and event["partition"] == 0)
    assert victim == [f"n{first['n']}"]


@pytest.mark.slow
def test_the_native_client_speaks_with_kafka(tmp_path):
    done = ordeal(tmp_path, "run", "--target", "kafka", "--client", "native", "--plan", "none", "--seed", "5", "--time", "8s")
    assert done.returncode == 0, told(done)
    found = verdict(tmp_path)
    assert found["counts"]["sends_ok"] > 1000 and found["counts"]["reads"] > 1000
