"""The files of a trial before it starts: addresses, one server.properties a broker, one workload.json a client host.

Node i is 10.77.0.(10+i), client host j is 10.77.0.(100+j), the harness is 10.77.0.1, all inside the trial's own network
namespaces, so any number of trials share these addresses.
"""

import json
from pathlib import Path

from ordeal import clients
from ordeal.options import PAGE_CACHE, Spec

CLIENT_PORT, REPLICATION_PORT, CONTROLLER_PORT = 9092, 9093, 9094
SLACK_S = 600  # clients stop when they are told to; this is for a harness that died
VOTERS_MAX = 5  # of the metadata quorum; further nodes follow it as observers
PROCESSES_PER_HOST = 1000  # process numbers of client host j start at j * 1000


def node_address(node: int) -> str:
    return f"10.77.0.{10 + node}"


def client_address(host: int) -> str:
    return f"10.77.0.{100 + host}"


def bootstrap(spec: Spec) -> str:
    return ",".join(f"{node_address(n)}:{CLIENT_PORT}" for n in range(1, spec.nodes + 1))


def node_properties(spec: Spec, node: int, folder: Path) -> dict:
    address = node_address(node)
    voters = ",".join(f"{n}@{node_address(n)}:{CONTROLLER_PORT}" for n in range(1, min(spec.nodes, VOTERS_MAX) + 1))
    properties = {
        "node.id": node, "cluster.id": spec.name, "broker.rack": f"r{node}",
        "listeners": f"CLIENT://{address}:{CLIENT_PORT},REPLICATION://{address}:{REPLICATION_PORT},"
                     f"CONTROLLER://{address}:{CONTROLLER_PORT}",
        "controller.quorum.voters": voters, "log.dirs": folder / "data", "num.partitions": spec.partitions,
        "default.replication.factor": spec.rf, "min.insync.replicas": spec.min_isr,
        "log.flush.interval.messages": "1" if spec.durability == "fsync" else PAGE_CACHE,
        "ordeal.trace.file": folder / "trace.jsonl",
    }
    if spec.mutations:
        properties["ordeal.mutations"] = ",".join(spec.mutations)
    return {k: str(v) for k, v in properties.items()} | spec.settings


def write_node(spec: Spec, node: int, run: Path) -> Path:
    folder = run / "nodes" / str(node)
    (folder / "data").mkdir(parents=True)
    path = folder / "server.properties"
    rows = [f"{key}={value}" for key, value in node_properties(spec, node, folder.resolve()).items()]
    path.write_text("\n".join(rows) + "\n")
    return path


def workload(spec: Spec, run_id: str, host: int, servers: str) -> dict:
    """The workload of client host `host` (1-based). Hosts share one value space and split the work."""
    def share(total: int) -> int:
        return total // spec.clients + (1 if host <= total % spec.clients else 0)

    topic = {"name": spec.topic, "partitions": spec.partitions, "replication": spec.rf,
             "configs": {"min.insync.replicas": str(spec.min_isr)}}
    return {"run_id": run_id, "bootstrap": servers, **clients.workload(spec.client, spec.client_version), "topics": [topic],
            "create_topics": True, "producers": share(spec.producers), "consumers": share(spec.consumers),
            "rate": share(spec.rate), "value_size": spec.value_size, "acks": spec.acks, "idempotence": spec.idempotence,
            "compression": spec.compression, "duration_s": spec.time_s + SLACK_S, "seed": spec.seed * 1000 + host,
            "value_stride": spec.clients, "value_offset": host - 1, "process_base": (host - 1) * PROCESSES_PER_HOST,
            **spec.workload_extra}


def write_workload(spec: Spec, run_id: str, host: int, run: Path, servers: str) -> Path:
    path = run / "clients" / f"c{host}" / "workload.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(workload(spec, run_id, host, servers), indent=2) + "\n")
    return path


def expected_bytes(spec: Spec) -> int:
    """A generous guess of what the trial writes: every replica's log, two history records a write and per read, traces."""
    rate = spec.rate or 50_000
    records = rate * spec.time_s
    return int(records * (spec.rf * (spec.value_size + 40) + 32 * (2 + 2 * max(1, spec.consumers))) * 1.3)
