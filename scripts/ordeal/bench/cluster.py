"""A cluster for measuring: brokers of one build in namespaces of their own, one client host, nothing judged."""

import json
import statistics
import time
from pathlib import Path

from ordeal import layout, paths
from ordeal.errors import OrdealError
from ordeal.nemesis import Nemesis, Refused
from ordeal.options import PAGE_CACHE

START_MS = 30_000
CLIENT = "c1"


class Cluster:
    """`with Cluster(folder, nodes=3, fsync=True) as cluster: cluster.load("produce", ...)`."""

    def __init__(self, folder: Path, nodes: int, fsync: bool, preset: str, settings: dict | None = None):
        self.folder, self.nodes, self.preset = folder, nodes, preset
        self.settings = {"log.flush.interval.messages": "1" if fsync else PAGE_CACHE, **(settings or {})}
        self.bootstrap = ",".join(f"{layout.node_address(n)}:{layout.CLIENT_PORT}" for n in range(1, nodes + 1))
        self.pids: dict[int, int] = {}
        self.serving_ms: list[float] = []
        self._loads = 0

    def __enter__(self) -> "Cluster":
        self.folder.mkdir(parents=True, exist_ok=True)
        self.nemesis = Nemesis(paths.binary("ordeal-nemesis", self.preset), self.folder / "nemesis.log")
        try:
            nodes = [{"id": f"n{n}", "ip": layout.node_address(n)} for n in range(1, self.nodes + 1)]
            self.nemesis.call("setup", 60, nodes=nodes, clients=[{"id": CLIENT, "ip": layout.client_address(1)}],
                              faults=str(self.folder / "faults.jsonl"))
            for pending, node in [(self.nemesis.send("spawn", **self._node(n)), n) for n in range(1, self.nodes + 1)]:
                reply = pending.wait(START_MS / 1000 + 10)
                self.pids[node] = reply["pid"]
                self.serving_ms.append(reply.get("serving_ms", 0))
        except Refused as refused:
            self.nemesis.close()
            raise OrdealError(f"the benchmark's cluster did not start: {refused}", f"logs: {paths.shown(self.folder)}") from refused
        except BaseException:
            self.nemesis.close()
            raise
        return self

    def __exit__(self, *_) -> None:
        self.nemesis.close()

    def _node(self, node: int) -> dict:
        folder = self.folder / f"node-{node}"
        (folder / "data").mkdir(parents=True, exist_ok=True)
        address = layout.node_address(node)
        properties = {
            "node.id": node, "cluster.id": "bench", "broker.rack": f"r{node}",
            "listeners": f"CLIENT://{address}:{layout.CLIENT_PORT},REPLICATION://{address}:{layout.REPLICATION_PORT},"
                         f"CONTROLLER://{address}:{layout.CONTROLLER_PORT}",
            "controller.quorum.voters": ",".join(f"{n}@{layout.node_address(n)}:{layout.CONTROLLER_PORT}"
                                                 for n in range(1, min(self.nodes, layout.VOTERS_MAX) + 1)),
            "log.dirs": (folder / "data").resolve(), "ordeal.trace.file": (folder / "trace.jsonl").resolve(), **self.settings}
        path = folder / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        return {"id": f"n{node}", "kind": "node", "argv": [str(paths.binary("ordeal-broker", self.preset)), "--config", str(path)],
                "cwd": str(folder), "stdout": str(folder / "broker.log"), "stderr": str(folder / "broker.log"),
                "port": layout.CLIENT_PORT, "ready_timeout_ms": START_MS, "trace": str(folder / "trace.jsonl"), "wait": True}

    def resident_mb(self) -> float:
        """The largest broker's resident memory, in 10^6 bytes."""
        return max(_status_kb(pid, "VmRSS") for pid in self.pids.values()) * 1024 / 1e6

    def cpu_seconds(self) -> float:
        return sum(_cpu_seconds(pid) for pid in self.pids.values())

    def start_load(self, command: str, *words) -> tuple[str, Path]:
        """Starts ordeal-load on the client's host; returns its process name and where its JSON goes."""
        self._loads += 1
        name, out = f"load-{self._loads}", self.folder / f"load-{self._loads}.json"
        argv = [str(paths.binary("ordeal-load", self.preset)), command, "--bootstrap", self.bootstrap, *map(str, words)]
        self.nemesis.call("spawn", id=name, kind="client", host=CLIENT, argv=argv, cwd=str(self.folder), stdout=str(out),
                          stderr=str(self.folder / f"{name}.err"))
        return name, out

    def wait_load(self, name: str, out: Path, timeout_s: float) -> dict:
        ended = self.nemesis.call("wait", timeout_s + 5, id=name, timeout_ms=int(timeout_s * 1000))
        if ended.get("code") != 0:
            error = (self.folder / f"{name}.err").read_text(errors="replace").strip()
            raise OrdealError(f"ordeal-load ended with {ended.get('code', ended.get('signal'))}: {error}", f"logs: {paths.shown(self.folder)}")
        return json.loads(out.read_text())

    def load(self, command: str, *words, timeout_s: float = 120) -> dict:
        return self.wait_load(*self.start_load(command, *words), timeout_s)

    def topic(self, name: str, partitions: int, replication: int, **configs) -> None:
        words = [w for key, value in configs.items() for w in ("--topic-config", f"{key.replace('_', '.')}={value}")]
        self.load("topic", "--topic", name, "--partitions", partitions, "--replication", replication, *words)


def failover(cluster: Cluster, topic: str, step: dict, settle_s: float, hold_s: float) -> float:
    """Milliseconds from the fault taking hold on the leader of `topic` to the first acknowledgement of a write sent after it."""
    cluster.nemesis.events()
    name, out = cluster.start_load("probe", "--topic", topic, "--partition", 0, "--size", 100, "--seconds", settle_s + hold_s,
                                   "--interval-us", 1000)
    time.sleep(settle_s)
    begun = cluster.nemesis.call("fault.begin", 30, **step)
    if not begun.get("verified"):
        raise OrdealError(f"the fault did not take hold: {begun.get('evidence') or begun}")
    at = _begin_time(cluster, begun["id"])
    figures = cluster.wait_load(name, out, settle_s + hold_s + 60)
    cluster.nemesis.call("fault.heal", 60, id=begun["id"])
    cluster.nemesis.call("converge", 70, timeout_ms=60_000)
    after = [acked for sent, acked in figures["acks"] if sent > at]
    if not after:
        raise OrdealError(f"no write was acknowledged within {hold_s:g} s of the fault", f"logs: {paths.shown(cluster.folder)}")
    return (min(after) - at) / 1e6


def _begin_time(cluster: Cluster, fault: str) -> int:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        for event in cluster.nemesis.events():
            if event.get("id") == fault and event.get("event") == "fault.invoke":
                return event["t"]
        time.sleep(0.02)
    raise OrdealError(f"fault {fault} left no fault.invoke event")


def median(values: list[float]) -> float:
    return statistics.median(values)


def _status_kb(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise OrdealError(f"process {pid} has no {field}")


def _cpu_seconds(pid: int) -> float:
    import os

    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
