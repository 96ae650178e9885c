"""Brokers that are not ours, or not ours to parent: a cluster that runs already, containers, a target in somebody's own file."""

import json
import os
import socket
import stat
import struct
import subprocess
import sys
import threading

import pytest
from tree import ROOT

from ordeal import build, options
from ordeal.cli import Parser
from ordeal.errors import HARNESS, USAGE, OrdealError
from ordeal.targets import compose, external
from ordeal.terminal import Terminal
from ordeal.trial import Trial

FAKES = ROOT / "scripts" / "tests" / "fakes"
EXAMPLE = ROOT / "docs" / "examples" / "command_target.py"


def ordeal(runs, *words: str, **environment: str) -> subprocess.CompletedProcess:
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}", "ORDEAL_BIN": str(FAKES), "ORDEAL_RUNS": str(runs), "NO_COLOR": "1", **environment}
    return subprocess.run([sys.executable, "-m", "ordeal", *words], capture_output=True, text=True, env=env, timeout=120)


def metadata(brokers: dict) -> bytes:
    body = struct.pack(">ii", 1, len(brokers))
    for node, (host, port) in brokers.items():
        body += struct.pack(">ih", node, len(host)) + host.encode() + struct.pack(">ih", port, -1)
    body += struct.pack(">ii", 4, 0)
    return struct.pack(">i", len(body)) + body


@pytest.fixture
def cluster():
    """Answers every connection's first request with what `answers` holds; the request is kept."""
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    state = {"port": port, "asked": [], "answer": metadata({4: ("127.0.0.1", port), 7: ("127.0.0.1", 9), 101: ("127.0.0.1", 10)})}

    def serve():
        while True:
            try:
                link, _ = server.accept()
            except OSError:
                return
            with link:
                state["asked"].append(link.recv(1000))
                link.sendall(state["answer"])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield state
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(5)


# ---- a cluster that runs already ----

def test_the_brokers_are_those_that_the_cluster_tells(cluster):
    assert external.ask("127.0.0.1", cluster["port"]) == {4: ("127.0.0.1", cluster["port"]), 7: ("127.0.0.1", 9), 101: ("127.0.0.1", 10)}
    size, key, version, correlation = struct.unpack_from(">ihhi", cluster["asked"][0])
    assert (size, key, version, correlation) == (len(cluster["asked"][0]) - 4, 3, 1, 1)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", struct.pack(">iii", 8, 2, 0), struct.pack(">iii", 8, 1, 0)])
def test_what_is_no_broker_is_a_harness_failure_with_its_address(cluster, answer):
    cluster["answer"] = answer
    with pytest.raises(OrdealError, match="no broker of the cluster answers") as caught:
        external.ask_any([("127.0.0.1", cluster["port"])])
    assert f"127.0.0.1:{cluster['port']}" in caught.value.detail and caught.value.code == HARNESS


def test_the_first_address_that_answers_is_enough(cluster):
    assert 7 in external.ask_any([("127.0.0.1", 1), ("127.0.0.1", cluster["port"])])


PLAN = """name: p
steps:
  - {id: calm, when: 3s, do: proc.pause, on: c1, hold: 3s}
  - {id: dead, when: {after: calm}, do: proc.kill, on: leader}
  - {id: late, when: {after: dead}, do: proc.pause, on: client}
  - {id: more, when: {after: calm}, do: proc.pause, on: same(calm) | c2}
  - {id: them, when: 5s, do: proc.pause, on: same(dead)}
random:
  choose:
    - {do: proc.kill, on: leader, weight: 3}
    - {do: proc.pause, on: one(clients), weight: 1}
    - {do: proc.pause, on: all | clients}
    - {name: both, steps: [{id: a, do: proc.pause, on: client}, {id: b, when: {after: a}, do: net.partition, on: leader}]}
    - {name: calm, steps: [{id: a, do: proc.pause, on: client}, {id: b, when: {after: a}, do: proc.pause, on: clients}]}
"""


def test_of_a_plan_only_pauses_of_clients_are_left_and_the_rest_is_named():
    import yaml

    text, left_out = external.possible_part("p", PLAN, 2)
    plan = yaml.load(text, yaml.BaseLoader)
    assert [s["id"] for s in plan["steps"]] == ["calm", "more"]
    assert [c.get("name") or c["on"] for c in plan["random"]["choose"]] == ["one(clients)", "calm"]
    assert left_out == ["step dead, proc.kill on leader", "step late, proc.pause on client", "step them, proc.pause on same(dead)", "proc.kill on leader",
                        "proc.pause on all | clients", "the manoeuvre both"]


def test_a_plan_that_is_possible_stays_as_it_was_written():
    for name in ("clients", "none"):
        text = (ROOT / "faults" / "plan" / "plans" / f"{name}.yaml").read_text()
        assert external.possible_part(name, text, 0) == (text, [])


@pytest.mark.parametrize("words, said", [
    ([], "--bootstrap host:port"),
    (["--bootstrap", "localhost"], "--bootstrap localhost: not host:port"),
    (["--bootstrap", "a:1,b:70000"], "--bootstrap b:70000: not host:port"),
    (["--bootstrap", "a:1", "--set", "x=1"], "--set x: the brokers run already"),
    (["--bootstrap", "a:1", "--mutate", "hw-early"], "has no bugs that can be switched on"),
    (["--bootstrap", "a:1", "--plan", "mixed"], "none of its faults is possible"),
])
def test_bad_usage_is_refused_before_anything_is_asked(words, said, tmp_path):
    done = ordeal(tmp_path / "runs", "run", "--target", "external", "--time", "1s", *words)
    assert done.returncode == USAGE and said in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not (tmp_path / "runs").exists()


def test_bootstrap_is_an_option_of_that_target_only(tmp_path):
    done = ordeal(tmp_path / "runs", "run", "--bootstrap", "a:1")
    assert done.returncode == USAGE and "--bootstrap needs --target external" in done.stderr


def test_a_required_step_that_is_not_possible_is_refused(cluster, tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text("name: must\nsteps:\n  - {id: dead, when: 2s, do: proc.kill, on: leader, required: true}\n")
    done = ordeal(tmp_path / "runs", "run", "--target", "external", "--bootstrap", f"127.0.0.1:{cluster['port']}", "--plan", str(plan))
    assert done.returncode == USAGE and "its step dead is required and not possible" in done.stderr, done.stderr


@pytest.mark.parametrize("answer, words, said", [
    (metadata({1: ("kafka-1.example", 9092)}), [], "advertised as kafka-1.example:9092"),
    (metadata({1: ("127.0.0.1", 9092)}), [], "--rf 3: the cluster has 1 broker"),
])
def test_a_cluster_that_cannot_be_tried_is_refused(cluster, tmp_path, answer, words, said):
    cluster["answer"] = answer
    done = ordeal(tmp_path / "runs", "run", "--target", "external", "--bootstrap", f"127.0.0.1:{cluster['port']}", *words)
    assert done.returncode == USAGE and said in done.stderr, done.stderr


def test_a_trial_says_what_was_not_possible_and_writes_to_a_topic_of_its_own(cluster, tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text("name: some\nmin_faults: 1\nrandom:\n  choose:\n    - {do: proc.kill, on: leader}\n    - {do: proc.pause, on: client}\n")
    done = ordeal(tmp_path / "runs", "run", "--target", "external", "--bootstrap", f"127.0.0.1:{cluster['port']}", "--seed", "7", "--time", "1s", "--plan", str(plan))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not possible here: proc.kill on leader" in done.stdout and "3/3 brokers answer" in done.stdout
    run = (tmp_path / "runs" / "latest").resolve()
    trial = json.loads((run / "trial.json").read_text())
    assert [n["id"] for n in trial["nodes"]] == [4, 7, 101] and trial["nodes"][0]["address"] == f"127.0.0.1:{cluster['port']}"
    assert trial["spec"]["topic"].startswith("ordeal-7-") and trial["spec"]["topic"] in trial["versions"]["cluster"]
    assert any("not ours" in line for line in trial["not_covered"]) and any("proc.kill on leader" in line for line in trial["not_covered"])
    assert "proc.kill" not in (run / "plan.yaml").read_text()
    workload = json.loads((run / "clients" / "c1" / "workload.json").read_text())
    assert workload["topics"][0]["name"] == trial["spec"]["topic"] and workload["bootstrap"].startswith("127.0.0.1:")
    assert json.loads((run / "topology.json").read_text())["nodes"] == []
    assert "proc.kill on leader" in (run / "report.html").read_text()
    assert [e for e in (run / "faults.jsonl").read_text().splitlines() if "node.start" in e] == []


# ---- containers ----

DOCKER = """#!/bin/sh
echo "$@" >> {log}
[ "$1" != run ] && [ -f {down} ] && {{ echo "Cannot connect to the Docker daemon" >&2; exit 1; }}
case "$1" in
  version) echo 20.10.24 ;;
  image) exit 0 ;;
  run) while [ "$1" != --name ]; do shift; done; echo $$ > {folder}/$2.pid; exec cat ;;
  inspect) cat {folder}/$4.pid ;;
  ps) cat {folder}/ps ;;
esac
"""


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A pretended Docker: it has every image, and `run` is a `cat` as in the real one."""
    folder = tmp_path / "docker"
    folder.mkdir()
    program = folder / "docker"
    program.write_text(DOCKER.format(log=folder / "log", down=folder / "down", folder=folder))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (folder / "ps").write_text("")
    for name, value in (("PATH", f"{folder}:{os.environ['PATH']}"), ("ORDEAL_BIN", str(FAKES)), ("ORDEAL_RUNS", str(tmp_path / "runs"))):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    return folder


def trial_of(*words: str) -> Trial:
    parser = Parser("run", "", "")
    options.add_trial_options(parser)
    given = options.resolve(parser.parse_args(["--seed", "7", "--time", "1s", *words]))
    build.ensure(Terminal())
    return Trial(given, Terminal())


def test_a_node_is_a_container_that_holds_its_namespaces_and_one_that_is_the_broker(docker):
    trial = trial_of("--target", "compose")
    assert trial.run() == 0
    said = (docker / "log").read_text().splitlines()
    holders = [line for line in said if line.startswith("run ")]
    brokers = [line for line in said if line.startswith("create ")]
    assert len(holders) == len(brokers) == 3
    assert all("--network none" in line and "--rm" in line and "--entrypoint /usr/bin/cat" in line for line in holders)
    for n, line in enumerate(brokers, 1):
        assert f"-n{n}-net --pid container:" in line and f"{trial.folder}/nodes/{n}:/var/lib/ordeal" in line and "restart" not in line
        properties = (trial.folder / "nodes" / str(n) / "server.properties").read_text()
        assert "ordeal.trace.file=/var/lib/ordeal/trace.jsonl" in properties and f"broker.rack=r{n}" in properties
    topology = json.loads((trial.folder / "topology.json").read_text())
    assert [n["netns"] for n in topology["nodes"]] == [f"/proc/{(docker / p).read_text().strip()}/ns/net" for p in
                                                       sorted(f.name for f in docker.glob("*-net.pid"))]
    assert said[-1].startswith("rm --force") and said[-1].count("ordeal-") == 6
    for path in docker.glob("*.pid"):
        assert not os.path.exists(f"/proc/{path.read_text().strip()}"), "what held the namespaces has ended"
    document = json.loads((trial.folder / "trial.json").read_text())
    assert document["versions"]["docker"] == "20.10.24" and document["versions"]["image"].startswith("ordeal-broker:")


def test_containers_are_taken_away_when_the_trial_fails(docker, monkeypatch):
    monkeypatch.setenv("ORDEAL_FAKE", "broker-never-starts")
    with pytest.raises(OrdealError, match="broker n2 did not start"):
        trial_of("--target", "compose").run()
    assert (docker / "log").read_text().splitlines()[-1].startswith("rm --force")


def test_only_the_containers_of_dead_trials_are_swept_away(docker):
    (docker / "ps").write_text(f"aaa {compose.owner(os.getpid())}\nbbb {os.getpid()}-1\nccc 4194305-77\n")
    compose.sweep(compose.Docker())
    assert [line for line in (docker / "log").read_text().splitlines() if line.startswith("rm")] == ["rm --force --volumes bbb", "rm --force --volumes ccc"]


def test_without_docker_its_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OrdealError) as caught:
        compose.Docker().engine()
    assert "docker.io" in caught.value.hint


@pytest.mark.parametrize("change, said, hint", [
    (lambda d, m: (d / "down").write_text(""), "no Docker engine answers", "dockerd"),
    (lambda d, m: m.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375"), "must run on this machine", "DOCKER_HOST"),
    (lambda d, m: m.setattr(os, "geteuid", lambda: 1000), "needs root", "sudo"),
])
def test_an_engine_that_cannot_be_used_is_refused_with_what_to_do(docker, monkeypatch, change, said, hint):
    change(docker, monkeypatch)
    with pytest.raises(OrdealError, match=said) as caught:
        trial_of("--target", "compose")
    assert hint in caught.value.hint and caught.value.code == HARNESS


# ---- a target in a file of one's own ----

def test_the_documented_example_runs_what_its_command_says(tmp_path):
    done = ordeal(tmp_path / "runs", "run", "--target", str(EXAMPLE), "--seed", "7", "--time", "1s",
                  ORDEAL_BROKER="otterd --id {node} --listen {address}:{client} 'two words'")
    assert done.returncode == 0, done.stdout + done.stderr
    run = (tmp_path / "runs" / "latest").resolve()
    assert run.name.endswith("command_target-log-7") and "a broker by command line" in done.stdout
    assert json.loads((run / "trial.json").read_text())["spec"]["target"] == str(EXAMPLE)
    assert [n["id"] for n in json.loads((run / "nodes" / "watch" / "watch.json").read_text())["nodes"]] == [1, 2, 3]


@pytest.mark.parametrize("text, said", [(None, "there is no target file"), ("x = 1\n", "has no TARGET"), ("import nonsense_of_mine\n", "nonsense_of_mine")])
def test_a_file_that_is_no_target_is_refused(text, said, tmp_path):
    path = tmp_path / "mine.py"
    if text:
        path.write_text(text)
    done = ordeal(tmp_path / "runs", "run", "--target", str(path))
    assert done.returncode == USAGE and said in done.stderr and "Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize("command, said", [("", "ORDEAL_BROKER is not set"), ("otterd {nodes}", "'nodes' is no word")])
def test_the_example_refuses_a_command_that_means_nothing(command, said, tmp_path):
    done = ordeal(tmp_path / "runs", "run", "--target", str(EXAMPLE), ORDEAL_BROKER=command)
    assert done.returncode == USAGE and said in done.stderr, done.stderr
