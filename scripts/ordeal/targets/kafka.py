"""Apache Kafka 4 (KRaft): every node is broker and controller, on the same addresses and ports as a node of ours.

Kafka writes no trace, so a watcher tells who leads what. Settings go to it unchanged under its own names; what it documents
no setting for is refused, and so is what its storage tool does not take.
"""

import base64
import difflib
import hashlib
from pathlib import Path

from ordeal import layout
from ordeal.errors import usage
from ordeal.options import PAGE_CACHE
from ordeal.targets import kafka_files, kafka_metadata
from ordeal.targets.base import Target, no_mutations
from ordeal.terminal import Terminal

# Kafka's own recommended flags but for the heap: three nodes have to live beside the clients.
JVM = ("-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
       "-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true")
SIGTERM_EXIT = 143  # how a JVM leaves that was asked to: an orderly stop

# Defaults of Kafka's that we change on every trial, and why. None of them takes part in a guarantee.
DIFFERENT = {
    "group.initial.rebalance.delay.ms": "0",  # the first join of a group would wait 3 s for others
}


class KafkaBroker(Target):
    name = "kafka"
    OPTIONS = ("kafka_version", "kafka_home")
    defaults = {"durability": "page-cache"}  # Kafka's own: an acknowledgement does not wait for the disk
    traces = False
    heap = "384m"
    start_s = 180  # seconds on an idle machine; nothing is gained by giving up early on a busy one
    connect_s = 90
    converge_s = 120  # a restarted node needs its start, and a fenced one its heartbeats
    stop_s = 60

    def __init__(self, spec):
        super().__init__(spec)
        self.kafka: kafka_files.Kafka | None = None
        self._java_version = ""
        self._unread = ""  # why the metadata log could not be read

    @classmethod
    def add_options(cls, p) -> None:
        p.add_argument("--kafka-version", metavar="V", help=f"with --target kafka: which release (default {kafka_files.DEFAULT_VERSION})")
        p.add_argument("--kafka-home", metavar="DIR", help="with --target kafka: an unpacked distribution instead of a download")

    @property
    def title(self) -> str:
        return f"Apache Kafka {self.kafka.version}" if self.kafka else "Apache Kafka"

    def make_ready(self, terminal: Terminal) -> None:
        given = self.spec.target_options
        no_mutations(self.spec, "Apache Kafka")
        if given.get("kafka_home") and given.get("kafka_version"):
            raise usage("--kafka-home has its version already", "leave out --kafka-version")
        java, self._java_version = kafka_files.find_java()
        home, version = given.get("kafka_home"), given.get("kafka_version") or kafka_files.DEFAULT_VERSION
        self.kafka = kafka_files.from_home(home) if home else kafka_files.from_maven(version, terminal)
        self.kafka.java = java
        refuse_unknown(self.spec.settings, self.kafka.names(), self.title)
        kafka_files.ensure_archive(self.kafka, terminal)

    def prepare(self, run: Path) -> None:
        files = [write_properties(self.spec, node, run) for node in self.nodes()]
        kafka_files.format_all(self.kafka, files, cluster_id(run.name))

    def node(self, run: Path, node: int) -> dict:
        folder, log, archive = self.folder(run, node), str(self.log(run, node)), self.kafka.archive
        shared = [f"-XX:SharedArchiveFile={archive}"] if archive.is_file() else []
        argv = [self.kafka.java, f"-Xmx{self.heap}", *JVM, *shared, kafka_files.logging(), "-cp", self.kafka.classpath, "kafka.Kafka", str(folder / "server.properties")]
        return {"id": f"n{node}", "kind": "node", "argv": argv, "cwd": str(folder), "stdout": log, "stderr": log, "port": layout.CLIENT_PORT,
                "ready_timeout_ms": self.start_s * 1000, "clean_codes": [0, SIGTERM_EXIT], "wait": True}

    def versions(self) -> dict:
        return {"kafka": self.kafka.version, "java": self._java_version} if self.kafka else {}

    def finish(self, run: Path) -> None:
        trace = self.trace_files(run)[0]
        try:
            kafka_metadata.complete(trace, [self.data(run, n) for n in self.nodes()])
        except (kafka_metadata.Unreadable, OSError, ValueError) as error:
            self._unread = str(error)

    def not_covered(self) -> list[str]:
        missing = [*super().not_covered(), "high watermarks of the brokers: Kafka does not tell them, the lanes show leaders and in-sync replicas only"]
        if self._unread:
            missing.append(f"elections between two looks of the watcher: Kafka's metadata log could not be read ({self._unread})")
        return missing


def refuse_unknown(settings: dict, known: set[str], title: str) -> None:
    for key in settings:
        if key in known or key.startswith(("listener.name.", "unstable.")):
            continue
        near = difflib.get_close_matches(key, known, n=1)
        raise usage(f"setting {key}: {title} has no such one{f'; did you mean {near[0]}?' if near else ''}", "Kafka's documentation lists its broker settings")


def cluster_id(name: str) -> str:
    """Any 16 bytes in Kafka's alphabet; the first letter is fixed, since a leading dash would look like an option."""
    return "o" + base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()[:16]).decode().rstrip("=")[1:]


def properties(spec, node: int, folder: Path) -> dict:
    address, voters = layout.node_address(node), min(spec.nodes, layout.VOTERS_MAX)
    listeners = f"CLIENT://{address}:{layout.CLIENT_PORT},REPLICATION://{address}:{layout.REPLICATION_PORT}"
    controller = node <= voters
    few = str(min(3, spec.nodes))
    found = {
        "node.id": node, "process.roles": "broker,controller" if controller else "broker", "broker.rack": f"r{node}",
        "listeners": listeners + (f",CONTROLLER://{address}:{layout.CONTROLLER_PORT}" if controller else ""),
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,REPLICATION:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "REPLICATION", "controller.listener.names": "CONTROLLER",
        "controller.quorum.voters": ",".join(f"{n}@{layout.node_address(n)}:{layout.CONTROLLER_PORT}" for n in range(1, voters + 1)),
        "log.dirs": folder / "data", "num.partitions": spec.partitions, "default.replication.factor": spec.rf,
        "min.insync.replicas": spec.min_isr, "log.flush.interval.messages": "1" if spec.durability == "fsync" else PAGE_CACHE,
        "offsets.topic.replication.factor": few, "transaction.state.log.replication.factor": few, "transaction.state.log.min.isr": min(2, spec.nodes),
        **DIFFERENT,
    }
    return {key: str(value) for key, value in found.items()} | spec.settings


def write_properties(spec, node: int, run: Path) -> Path:
    folder = run / "nodes" / str(node)
    (folder / "data").mkdir(parents=True)
    path = folder / "server.properties"
    path.write_text("\n".join(f"{key}={value}" for key, value in properties(spec, node, folder.resolve()).items()) + "\n")
    return path


TARGET = KafkaBroker
