"""Trials of brokers that the harness knows nothing of: a cluster that runs already on the loopback, and the documented example."""

import json

import pytest
from cluster import Cluster
from harness import ROOT, events, ordeal, row, told, verdict

from ordeal import paths

EXAMPLE = ROOT / "docs" / "examples" / "command_target.py"
# Our own broker as if it were somebody else's: no trace, no configuration file of ours, roles by asking.
FOREIGN = ("{program} --config /dev/null --set node.id={{node}} --set cluster.id=mine --set broker.rack=r{{node}} "
           "--set listeners=CLIENT://{{address}}:{{client}},REPLICATION://{{address}}:{{replication}},CONTROLLER://{{address}}:{{control}} "
           "--set controller.quorum.voters={{voters}} --set log.dirs={{data}} --set min.insync.replicas={{min_isr}} --set log.flush.interval.messages=1")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("external"), settings={"log.flush.interval.messages": 1}).start()
    yield cluster
    cluster.stop()


def acted(runs) -> list[dict]:
    return [e for e in events(runs) if e["event"] == "fault.begin" and e.get("verified")]


def test_a_cluster_that_runs_already_is_tried_with_pauses_of_clients(running, tmp_path):
    done = ordeal(tmp_path, "run", "--target", "external", "--bootstrap", running.bootstrap.split(",")[1], "--seed", "3", "--time", "25s", "--rate", "1000")
    assert done.returncode == 0, told(done)
    assert {e["kind"] for e in acted(tmp_path)} == {"proc.pause"} and all(t.startswith("c") for e in acted(tmp_path) for t in e["targets"])
    found = verdict(tmp_path)
    assert found["counts"]["sends_ok"] > 1000 and row(found, "lost-write")["status"] == "held"
    trial = json.loads((tmp_path / "latest" / "trial.json").read_text())
    assert [n["id"] for n in trial["nodes"]] == [1, 2, 3], "one address is enough to know all of them"
    assert trial["effective"]["log.flush.interval.messages"] == "1", "what the cluster says it is set to, not what we would like"
    assert any("not ours" in line for line in trial["not_covered"])
    assert all(running.alive(n) for n in (1, 2, 3))


def test_the_documented_example_tries_a_broker_by_its_command_line(tmp_path):
    done = ordeal(tmp_path, "run", "--target", str(EXAMPLE), "--seed", "5", "--time", "25s", "--rate", "1000",
                  ORDEAL_BROKER=FOREIGN.format(program=paths.binary("ordeal-broker")))
    assert done.returncode == 0, told(done)
    assert len({e["kind"] for e in acted(tmp_path)}) >= 2 and any(t.startswith("n") for e in acted(tmp_path) for t in e["targets"])
    assert any(e["event"] == "role.change" and e["role"].startswith("leader(") for e in events(tmp_path)), "roles were seen from outside"
    assert verdict(tmp_path)["counts"]["partitions_drained"] == 6
