"""The adapters that ship with the project, as processes that speak the protocol (docs/formats/adapter.md), against a real
cluster. The harness's own side of the protocol has its tests beside workloads/adapter."""

import base64
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from harness import ordeal, processes_of, start, told, until, until_driving, verdict

from ordeal import clients, paths
from ordeal.terminal import Terminal

PATIENCE_S = 90  # a JVM on a busy machine


class Adapter:
    def __init__(self, argv: list[str]):
        self.child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._lines: queue.Queue = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.tell("hello", protocol=1)
        self.hello = self.expect("hello")

    def _read(self) -> None:
        for line in self.child.stdout:
            self._lines.put(json.loads(line))

    def tell(self, cmd: str, **fields) -> None:
        self.child.stdin.write(json.dumps({"cmd": cmd, **fields}) + "\n")
        self.child.stdin.flush()

    def next(self, wait_s: float = PATIENCE_S) -> dict:
        return self._lines.get(timeout=wait_s)

    def expect(self, event: str) -> dict:
        row = self.next()
        assert row["event"] == event, row
        return row

    def ask(self, event: str, cmd: str, **fields) -> dict:
        self.tell(cmd, **fields)
        return self.expect(event)

    def outcomes(self, count: int) -> dict[int, dict]:
        """By tag; each record has exactly one."""
        found: dict[int, dict] = {}
        while len(found) < count:
            row = self.next()
            for result in row["results"] if row["event"] == "sent" else [row]:
                assert result["tag"] not in found and row["event"] in ("sent", "failed"), row
                found[result["tag"]] = result
        return found

    def end(self) -> None:
        self.tell("shutdown")
        assert self.child.wait(30) == 0


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture(params=("java", "python"))
def adapter(request):
    clients.make_ready(request.param, "", Terminal())
    adapter = Adapter(clients.workload(request.param, "")["adapter_argv"])
    assert adapter.hello["protocol"] == 1 and adapter.hello["client"] == request.param and adapter.hello["version"]
    yield adapter
    if adapter.child.poll() is None:
        adapter.child.kill()
        adapter.child.wait()


@pytest.fixture
def topic(cluster, request):
    from confluent_kafka.admin import AdminClient, NewTopic

    name = request.node.name.replace("[", "-").rstrip("]")
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_topics([NewTopic(name, 3, 3)])[name].result(30)
    return name


def producer_config(cluster, **more: str) -> dict:
    """As workloads/adapter/family.cpp says it."""
    return {"bootstrap.servers": cluster.bootstrap, "client.id": "p", "acks": "all", "enable.idempotence": "true", "linger.ms": "5",
            "compression.type": "lz4", "max.in.flight.requests.per.connection": "5", "request.timeout.ms": "5000", "delivery.timeout.ms": "15000",
            "max.block.ms": "30000", "reconnect.backoff.ms": "50", "reconnect.backoff.max.ms": "500", "retry.backoff.ms": "50",
            "retry.backoff.max.ms": "500", "socket.connection.setup.timeout.ms": "2000", "socket.connection.setup.timeout.max.ms": "5000",
            "metadata.max.age.ms": "2000", "enable.metrics.push": "false", **more}


def consumer_config(cluster) -> dict:
    return {"bootstrap.servers": cluster.bootstrap, "client.id": "c", "enable.auto.commit": "false", "auto.offset.reset": "none",
            "isolation.level": "read_committed", "check.crcs": "true", "allow.auto.create.topics": "false", "fetch.max.wait.ms": "100",
            "max.poll.records": "2000", "request.timeout.ms": "5000", "retry.backoff.ms": "50", "retry.backoff.max.ms": "500",
            "metadata.max.age.ms": "2000", "enable.metrics.push": "false", "reconnect.backoff.ms": "50", "reconnect.backoff.max.ms": "500",
            "socket.connection.setup.timeout.ms": "2000", "socket.connection.setup.timeout.max.ms": "5000"}


def read(adapter: Adapter, count: int, number: int = 2) -> tuple[list[dict], list[dict]]:
    records, errors, until = [], [], time.monotonic() + PATIENCE_S
    while len(records) < count and not errors and time.monotonic() < until:
        polled = adapter.ask("polled", "poll", id=number, timeout_ms=200, max=2000)
        records += polled["records"]
        errors += polled["errors"]
    return records, errors


def test_an_adapter_writes_reads_back_seeks_and_closes(cluster, adapter, topic):
    adapter.ask("ready", "producer", id=1, config=producer_config(cluster))
    records = [{"tag": i, "topic": topic, "partition": i % 3, "key": encoded(f"k{i}") if i % 2 else None, "value": encoded(f"v{i}")} for i in range(600)]
    for start in range(0, 600, 50):
        adapter.tell("send", id=1, records=records[start:start + 50])
    outcomes = adapter.outcomes(600)
    assert not [row for row in outcomes.values() if "error" in row]
    assert [outcomes[i]["offset"] for i in range(600)] == [i // 3 for i in range(600)], "acknowledged with the offsets of their order"

    adapter.ask("ready", "consumer", id=2, config=consumer_config(cluster))
    adapter.ask("ready", "assign", id=2, positions=[{"topic": topic, "partition": p, "offset": 0} for p in range(3)])
    found, errors = read(adapter, 600)
    assert not errors
    assert {(r["partition"], r["offset"]): r["value"] for r in found} == {(i % 3, i // 3): encoded(f"v{i}") for i in range(600)}
    assert next(r for r in found if r["value"] == encoded("v7"))["key"] == encoded("k7")
    assert all(r.get("leader_epoch", 0) >= 0 for r in found)
    adapter.ask("ready", "seek", id=2, topic=topic, partition=1, offset=190)
    assert [r["offset"] for r in read(adapter, 10)[0]] == list(range(190, 200))
    adapter.ask("ready", "seek", id=2, topic=topic, partition=1, offset=-2)
    assert len(read(adapter, 200)[0]) == 200
    for number in (1, 2):
        adapter.ask("closed", "close", id=number, timeout_ms=0)
    adapter.end()


def test_a_position_that_the_log_does_not_have_is_an_error_and_no_jump(cluster, adapter, topic):
    adapter.ask("ready", "consumer", id=2, config=consumer_config(cluster))
    adapter.ask("ready", "assign", id=2, positions=[{"topic": topic, "partition": 0, "offset": 5000}])
    records, errors = read(adapter, 1)
    assert not records
    assert errors[0]["error"] in ("OFFSET_OUT_OF_RANGE", "_AUTO_OFFSET_RESET"), errors
    assert (errors[0]["topic"], errors[0]["partition"]) == (topic, 0)


def test_only_what_was_never_tried_is_vouched_for(adapter):
    """Nobody listens there, so no record can be anywhere; but the client knows that of few."""
    adapter.ask("ready", "producer", id=1, config={"bootstrap.servers": "127.0.0.1:9", "max.block.ms": "500", "delivery.timeout.ms": "1500",
                                                   "request.timeout.ms": "1000", "linger.ms": "0", "enable.idempotence": "false"})
    adapter.tell("send", id=1, records=[{"tag": 1, "topic": "t", "partition": 0, "key": None, "value": encoded("v")}])
    row = adapter.expect("failed")
    expected = {"java": ("_NEVER_SENT", "no"), "python": ("_MSG_TIMED_OUT", "maybe")}[adapter.hello["client"]]
    assert (row["error"], row["persisted"]) == expected, row
    adapter.ask("closed", "close", id=1, timeout_ms=0)
    adapter.end()


def test_close_tells_the_outcome_of_everything_first(adapter):
    adapter.ask("ready", "producer", id=1, config={"bootstrap.servers": "127.0.0.1:9", "max.block.ms": "60000", "delivery.timeout.ms": "60000",
                                                   "request.timeout.ms": "1000", "enable.idempotence": "false"})
    adapter.tell("send", id=1, records=[{"tag": t, "topic": "t", "partition": 0, "key": None, "value": encoded("v")} for t in range(5)])
    adapter.tell("close", id=1, timeout_ms=0)
    assert all(row["event"] == "failed" for row in adapter.outcomes(5).values())
    adapter.expect("closed")
    adapter.end()


def test_what_an_adapter_cannot_do_is_an_error_and_not_its_end(adapter):
    for cmd, fields in (("begin", {}), ("poll", {"id": 77, "timeout_ms": 1, "max": 1}), ("producer", {"id": 3, "config": {"acks": "many"}})):
        row = adapter.ask("error", cmd, **fields)
        assert row["cmd"] == cmd and row["text"] and row.get("id") == fields.get("id"), row
    adapter.ask("pong", "ping")
    adapter.child.stdin.close()  # the end of its input ends it
    assert adapter.child.wait(30) == 0


FAKE = paths.ROOT / "workloads" / "adapter" / "fake_adapter.py"


@pytest.mark.parametrize("mode, code, words", (("good", 0, None), ("die", 3, "ended by itself with code 9"), ("twice", 3, "not open"),
                                               ("newer", 3, "speaks protocol 99, this harness speaks 1"), ("garbage", 3, "no message")))
def test_a_client_host_whose_adapter_fails_has_failed_itself(cluster, tmp_path, mode, code, words):
    """Never a pass, whatever the history says; and the history that exists says `unknown` of what is open."""
    config = {"run_id": "r", "bootstrap": cluster.bootstrap, "client": "fake", "adapter_argv": [sys.executable, str(FAKE), mode], "producers": 1,
              "consumers": 1, "rate": 200, "duration_s": 1, "stop_grace_s": 2,
              "topics": [{"name": f"fake-{mode}", "partitions": 2, "replication": 3}]}
    (tmp_path / "workload.json").write_text(json.dumps(config))
    done = subprocess.run([str(paths.binary("ordeal-workload")), "log", "--config", str(tmp_path / "workload.json"), "--out", str(tmp_path)],
                          capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == code, done.stdout + done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()]
    if words:
        assert words in next(row["text"] for row in said if row["event"] == "error")
    else:
        assert next(row for row in said if row["event"] == "client")["facts"]["client.library"] == "none"
        last = [row for row in said if row["event"] == "status"][-1]
        assert last["ok"] == last["sends"] > 0 and last["reads"] > 0


@pytest.mark.parametrize("client", ("java", "python"))
def test_a_trial_driven_through_an_adapter_passes_and_says_what_drove_it(tmp_path, client):
    done = ordeal(tmp_path, "run", "--client", client, "--plan", "kills", "--seed", "3", "--time", "12s", "--clients", "1")
    assert done.returncode == 0, told(done)
    trial = json.loads((tmp_path / "latest" / "trial.json").read_text())
    assert trial["versions"][f"client {client}"].split()[0] in ("kafka-clients", "confluent-kafka")
    assert verdict(tmp_path)["counts"]["sends_ok"] > 1000 and verdict(tmp_path)["counts"]["reads"] > 1000
    exported = tmp_path / "history.jsonl"
    subprocess.run([str(paths.binary("ordeal-check")), str(tmp_path / "latest"), "--out", "-", "--export", str(exported)], timeout=60, stdout=subprocess.DEVNULL)
    headers = [json.loads(line)["header"] for line in exported.read_text().splitlines() if line.startswith('{"header"')]
    kinds = {h["client_kind"] for h in headers}
    assert client in kinds and all(h["config"]["adapter.protocol"] == "1" for h in headers if h["client_kind"] == client), kinds


def adapters_of(run) -> list[int]:
    """Adapter processes below the client hosts of a run."""
    hosts, found = processes_of(run.resolve()), []
    for entry in Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) if entry.name.isdigit() else 0
            if parent in hosts and b"adapter.py" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_an_adapter_that_is_killed_in_the_middle_of_a_trial_makes_no_verdict(tmp_path):
    child = start(tmp_path, "run", "--client", "python", "--plan", "none", "--time", "60s", "--clients", "1", "--seed", "1")
    adapter = until(lambda: adapters_of(until_driving(tmp_path)), 60, "an adapter at work")[0]
    os.kill(adapter, signal.SIGKILL)
    said, _ = child.communicate(timeout=120)
    assert child.returncode == 3 and "was ended by signal 9" in said, said
    assert not (tmp_path / "latest" / "verdict.json").exists()
