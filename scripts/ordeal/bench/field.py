"""Three brokers of any target on one machine, for measuring: started, loaded, broken and stopped in the same way.

Every node has a network namespace of its own, and so has the load generator. The nemesis starts and breaks; nothing is
judged. Topics are always made beforehand, with three replicas.
"""

import contextlib
import json
import os
import shutil
import time
from pathlib import Path

from ordeal import layout, paths, targets
from ordeal.bench.cluster import _cpu_seconds, _status_kb
from ordeal.errors import OrdealError
from ordeal.nemesis import Nemesis, Refused
from ordeal.options import Spec

NODES = 3
CLIENT = "c1"
TOPIC = "f"  # of the faults: its leaders are what the watcher looks at
FAULT_PARTITIONS = 3
READY_S = 240
FAULT_S = 90  # the longest that a first write after a fault is waited for


def spec_of(target: str, durability: str, settings: dict, options: dict) -> Spec:
    return Spec(seed=1, time_s=60, nodes=NODES, acks=-1, idempotence=False, min_isr=2, rf=NODES, partitions=12, producers=1, consumers=1, clients=1,
                rate=0, value_size=1024, compression="none", client="librdkafka", durability=durability, promises="declared", plan_name="none",
                plan_text="", min_faults=0, required=[], topic=TOPIC, target=target, target_options=options,
                settings={key: str(value) for key, value in settings.items()})


class Field:
    """`with Field(folder, "kafka", "page-cache", settings) as field: field.load("produce", ...)`"""

    def __init__(self, folder: Path, target: str, durability: str, settings: dict, options: dict, terminal):
        self.folder, self.terminal = folder.resolve(), terminal
        self.target = targets.find(target)(spec_of(target, durability, settings, options))
        self.pids: dict[int, int] = {}
        self.first_write_ms = self.ports_ms = 0.0
        self._loads, self._watched = 0, False

    def __enter__(self) -> "Field":
        self.folder.mkdir(parents=True)
        self.target.make_ready(self.terminal)
        self.target.prepare(self.folder)
        self.nemesis = Nemesis(paths.binary("ordeal-nemesis"), self.folder / "nemesis.log")
        try:
            self.nemesis.call("setup", 60, nodes=self.target.hosts(), clients=[{"id": CLIENT, "ip": layout.client_address(1)}], quorum=self.target.quorum,
                              faults=str(self.folder / "faults.jsonl"))
            self._start()
        except Refused as refused:
            self.nemesis.close()
            raise OrdealError(f"{self.target.title} did not start: {refused}", f"logs: {paths.shown(self.folder)}") from refused
        except BaseException:
            self.nemesis.close()
            raise
        return self

    def __exit__(self, failed, *_) -> None:
        self.nemesis.close()
        self.target.close()
        if not failed:  # otherwise its logs say why
            shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        """The load generator is there first and knocks; the clock starts with the order to start the nodes."""
        waiting = self.start_load("ready", "--topic", "ready", "--partitions", 1, "--replication", NODES, "--seconds", READY_S)
        began = time.monotonic_ns()
        for pending, node in [(self.nemesis.send("spawn", **self.target.node(self.folder, n)), n) for n in self.target.nodes()]:
            self.pids[node] = pending.wait(self.target.start_s + 10)["pid"]
        ready = self.wait_load(*waiting, READY_S)
        self.ports_ms = (ready["ports_ns"] - began) / 1e6
        self.first_write_ms = (ready["acked_ns"] - began) / 1e6

    # ---- what they use

    def resident_mb(self) -> float:
        """Mean of the nodes, 10^6 bytes."""
        return sum(_status_kb(pid, "VmRSS") for pid in self.pids.values()) * 1024 / 1e6 / len(self.pids)

    def cpu_seconds(self) -> float:
        return sum(_cpu_seconds(pid) for pid in self.pids.values())

    # ---- load

    def start_load(self, command: str, *words) -> tuple[str, Path]:
        self._loads += 1
        name, out = f"load-{self._loads}", self.folder / f"load-{self._loads}.json"
        argv = [str(paths.binary("ordeal-load")), command, "--bootstrap", self.target.bootstrap(), *map(str, words)]
        self.nemesis.call("spawn", id=name, kind="client", host=CLIENT, argv=argv, cwd=str(self.folder), stdout=str(out),
                          stderr=str(self.folder / f"{name}.err"))
        return name, out

    def wait_load(self, name: str, out: Path, timeout_s: float) -> dict:
        ended = self.nemesis.call("wait", timeout_s + 5, id=name, timeout_ms=int(timeout_s * 1000))
        if ended.get("code") != 0:
            error = (self.folder / f"{name}.err").read_text(errors="replace").strip()
            raise OrdealError(f"ordeal-load ended with {ended.get('code', ended.get('signal'))}: {error}", f"logs: {paths.shown(self.folder)}")
        return json.loads(out.read_text())

    def load(self, command: str, *words, timeout_s: float = 180) -> dict:
        return self.wait_load(*self.start_load(command, *words), timeout_s)

    def topic(self, name: str, partitions: int) -> None:
        self.load("topic", "--topic", name, "--partitions", partitions, "--replication", NODES, "--topic-config", "min.insync.replicas=2")

    def settle(self) -> None:
        """What the last measurement left to be written must not be paid for by the next one."""
        for path in sorted(self.folder.glob("nodes/*/data/*/*.log")):
            with contextlib.suppress(FileNotFoundError), open(path, "rb") as written:
                os.fdatasync(written.fileno())

    # ---- faults

    def watch(self) -> None:
        """Makes the topic of the faults, and roles known: our brokers' traces tell them, others are watched."""
        self.topic(TOPIC, FAULT_PARTITIONS)
        words = self.target.watcher(self.folder)
        if words and not self._watched:
            self.nemesis.call("spawn", **words)
        self._watched = True

    def whole(self, timeout_s: float) -> None:
        try:
            self.nemesis.call("converge", timeout_s + 10, timeout_ms=int(timeout_s * 1000))
        except Refused as refused:
            raise OrdealError(f"{self.target.title} did not become whole: {refused}", f"logs: {paths.shown(self.folder)}") from refused

    def plain_leader(self) -> tuple[int, str, bool]:
        """(partition of the topic of the faults, its leader, whether that is the active controller too): one that is not, if there is one, so
        that two elections are not added up."""
        until = time.monotonic() + self.target.converge_s
        while True:  # the view is whole without a topic that nobody has told of yet
            self.whole(self.target.converge_s)
            roles = self.nemesis.call("status")["roles"]
            leaders = {int(name.rsplit("/", 1)[1]): _host(at["leader"]) for name, at in roles["partitions"].items() if name.startswith(TOPIC + "/")}
            if len(leaders) == FAULT_PARTITIONS or time.monotonic() > until:
                break
            time.sleep(0.05)
        known = [(leader == _host(roles["controller"]), partition, leader) for partition, leader in leaders.items() if leader]
        if not known:
            raise OrdealError(f"nobody is known to lead {TOPIC}", f"logs: {paths.shown(self.folder)}")
        controller, partition, leader = min(known)
        return partition, leader, controller

    def failover(self, fault: dict, settle_s: float, meanwhile=None) -> dict:
        """Breaks a leader under a steady writer: milliseconds from the fault to the first acknowledgement of a write sent once it was proven.
        `meanwhile` runs before the heal. Then the time from the heal until every replica is in sync again."""
        partition, node, controller = self.plain_leader()
        self.nemesis.events()
        name, out = self.start_load("probe", "--topic", TOPIC, "--partition", partition, "--size", 100, "--seconds", settle_s + FAULT_S, "--interval-us", 1000)
        time.sleep(settle_s)
        begun = self.nemesis.call("fault.begin", 30, on=node, **fault)
        if not begun.get("verified"):
            raise OrdealError(f"the fault did not take hold: {begun.get('evidence') or begun}")
        self.nemesis.call("signal", id=name, signal="USR1")
        figures = self.wait_load(name, out, FAULT_S + settle_s + 60)
        invoked, proven = self._times(begun["id"])
        after = [acked for sent, acked in figures["acks"] if sent > proven]
        if not after:
            raise OrdealError(f"no write was acknowledged within {FAULT_S} s of the fault", f"logs: {paths.shown(self.folder)}")
        if meanwhile:
            meanwhile()
        healing = time.monotonic()
        self.nemesis.call("fault.heal", self.target.start_s + 30, id=begun["id"])
        self.whole(self.target.start_s)
        return {"failover_ms": (min(after) - invoked) / 1e6, "whole_ms": (time.monotonic() - healing) * 1e3, "controller": controller}

    def _times(self, fault: str) -> tuple[int, int]:
        seen, until = {}, time.monotonic() + 5
        while time.monotonic() < until and not {"fault.invoke", "fault.begin"} <= seen.keys():
            seen |= {row["event"]: row["t"] for row in self.nemesis.events() if row.get("id") == fault and "t" in row}
            time.sleep(0.02)
        if not {"fault.invoke", "fault.begin"} <= seen.keys():
            raise OrdealError("the fault injector did not say when the fault began")
        return seen["fault.invoke"], seen["fault.begin"]


def _host(node) -> str:
    return str(node) if not node or str(node).startswith("n") else f"n{node}"
