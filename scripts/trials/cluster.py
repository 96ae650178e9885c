"""Brokers on 127.0.0.1 for tests that need a cluster and no faults: their own folder, free ports, orderly end."""

import socket
import subprocess
from pathlib import Path

from harness import until

from ordeal import paths


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Cluster:
    def __init__(self, folder: Path, nodes: int = 3, settings: dict | None = None, voters: int | None = None):
        """`voters`: how many of the nodes elect the controller; all, if not said."""
        self.folder, self.nodes = folder, nodes
        ports = free_ports(3 * nodes)
        self.client_ports = ports[:nodes]
        voters = ",".join(f"{n + 1}@127.0.0.1:{ports[2 * nodes + n]}" for n in range(voters or nodes))
        self._children = {}
        for n in range(nodes):
            listeners = zip(("CLIENT", "REPLICATION", "CONTROLLER"), (ports[n], ports[nodes + n], ports[2 * nodes + n]))
            properties = {"node.id": n + 1, "cluster.id": "clients-test", "broker.rack": f"r{n + 1}",
                          "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners),
                          "controller.quorum.voters": voters, "log.dirs": folder / f"n{n + 1}", "num.partitions": 3,
                          "default.replication.factor": min(3, nodes), "min.insync.replicas": min(2, nodes), **(settings or {})}
            (folder / f"n{n + 1}").mkdir(parents=True)
            (folder / f"n{n + 1}.properties").write_text("".join(f"{k}={v}\n" for k, v in properties.items()))

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self.client_ports)

    def start(self) -> "Cluster":
        for n in range(1, self.nodes + 1):
            self.start_node(n)
        for n in range(1, self.nodes + 1):
            until(lambda n=n: self._ready(n), 30, f"broker {n} ready; its log: {self.log(n).read_text()[-2000:]}")
        return self

    def log(self, node: int) -> Path:
        return self.folder / f"n{node}.log"

    def start_node(self, node: int) -> None:
        command = [str(paths.binary("ordeal-broker")), "--config", str(self.folder / f"n{node}.properties")]
        with open(self.log(node), "ab") as log:
            self._children[node] = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def _ready(self, node: int) -> bool:
        assert self._children[node].poll() is None, f"broker {node} ended: {self.log(node).read_text()[-2000:]}"
        return "ordeal-broker ready" in self.log(node).read_text()

    def alive(self, node: int) -> bool:
        return self._children[node].poll() is None

    def stop_node(self, node: int) -> int:
        self._children[node].terminate()
        try:
            return self._children[node].wait(40)
        except subprocess.TimeoutExpired:
            self._children[node].kill()
            self._children[node].wait()
            raise

    def kill_node(self, node: int) -> None:
        self._children[node].kill()
        self._children[node].wait()

    def stop(self) -> None:
        for child in self._children.values():
            child.terminate()
        for child in self._children.values():
            try:
                child.wait(40)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
