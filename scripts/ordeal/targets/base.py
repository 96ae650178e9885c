"""What a trial asks of the broker it is held with. docs/targets.md shows how to write one more.

The trial knows nodes n1, n2, ... with the addresses and ports of layout.py, starts each by the words that the target gives,
and acts on processes and links through the nemesis. Everything that differs from broker to broker is asked here.
"""

import json
from pathlib import Path

from ordeal import layout, paths, runs
from ordeal.errors import HARNESS, USAGE, OrdealError, usage
from ordeal.options import PAGE_CACHE, Spec
from ordeal.terminal import Terminal

WATCH_FOLDER = "watch"  # under nodes/: where the watcher's trace stands, so that whoever reads traces finds it
WATCH_EVERY_MS = 100
DISK_FAULTS = "power loss and other disk faults: on real processes only crashes of processes were injected"


class Target:
    name = ""  # of --target
    title = ""  # as the report and the terminal call it
    OPTIONS: tuple[str, ...] = ()  # names of its own options, as argparse stores them
    defaults: dict = {}  # trial options that have another default with this broker (options.DEFAULTS)
    controlled = True  # its nodes are ours to start, stop, kill, pause and cut; otherwise they run already, in the caller's network
    quorum = True  # the active controller can be seen: the cluster is whole only with one
    traces = True  # its brokers write trace.jsonl; otherwise a watcher does
    impossible: dict[str, str] = {}  # verbs that the real world can do but not with this target, and why
    start_s = 30  # for a node to serve
    connect_s = 30  # for every client host to complete a first write
    converge_s = 60
    stop_s = 30

    def __init__(self, spec: Spec):
        self.spec = spec

    @classmethod
    def add_options(cls, p) -> None:
        """Adds what OPTIONS names; each with default None."""

    def make_ready(self, terminal: Terminal) -> None:
        """Before the run's folder exists: what must be there (a download, an interpreter). Says what takes long."""

    def prepare(self, run: Path) -> None:
        """Writes the files of each node and refuses bad settings, before anything starts."""

    def node(self, run: Path, node: int) -> dict:
        """The words of the nemesis's `spawn` for a node (docs/formats/nemesis.md)."""
        raise NotImplementedError

    def versions(self) -> dict:
        """For trial.json, beside ours."""
        return {}

    def nodes(self) -> list[int]:
        return list(range(1, self.spec.nodes + 1))

    def address(self, node: int) -> str:
        return layout.node_address(node)

    def hosts(self) -> list[dict]:
        """The nodes of the nemesis's `setup`."""
        return [{"id": f"n{n}", "ip": self.address(n)} for n in self.nodes()]

    def bootstrap(self) -> str:
        return layout.bootstrap(self.spec)

    def folder(self, run: Path, node: int) -> Path:
        return run / "nodes" / str(node)

    def log(self, run: Path, node: int) -> Path:
        return self.folder(run, node) / "broker.log"

    def data(self, run: Path, node: int) -> Path:
        return self.folder(run, node) / "data"

    def trace_files(self, run: Path) -> list[Path]:
        names = [str(n) for n in self.nodes()] if self.traces else [WATCH_FOLDER]
        return [run / "nodes" / name / "trace.jsonl" for name in names]

    def settings(self) -> dict:
        """The broker settings of the trial that a reader should know, for trial.json: Kafka's names."""
        flush = "1" if self.spec.durability == "fsync" else PAGE_CACHE
        return {"min.insync.replicas": str(self.spec.min_isr), "log.flush.interval.messages": flush, **self.spec.settings}

    def not_covered(self) -> list[str]:
        """Faults that cannot be injected here, and what the watcher cannot see, for the report."""
        return [DISK_FAULTS, *(f"{verb}: {why}" for verb, why in self.impossible.items())]

    def tidy(self, run: Path) -> None:
        """After a pass without --keep: drops what only somebody who looks for a fault would want."""
        runs.drop_node_data(run)

    def close(self) -> None:
        """However the trial ended, after the nemesis has gone with all its children: what it would not have ended."""

    def finish(self, run: Path) -> None:
        """After every broker has stopped and before anything is judged: what the data folders tell that a watcher could not."""

    def watched(self, node: int) -> dict:
        """Where the watcher asks a node for metadata, and for the metadata quorum."""
        address = self.address(node)
        control = {"control": f"{address}:{layout.CONTROLLER_PORT}"} if node <= layout.VOTERS_MAX else {}
        return {"id": node, "client": f"{address}:{layout.CLIENT_PORT}"} | control

    def watcher(self, run: Path) -> dict | None:
        """The words of `spawn` for the process that writes the roles of brokers without a trace; writes its configuration."""
        if self.traces:
            return None
        folder = run / "nodes" / WATCH_FOLDER
        folder.mkdir(parents=True)
        config = folder / "watch.json"
        config.write_text(json.dumps({"nodes": [self.watched(n) for n in self.nodes()], "topics": [self.spec.topic], "interval_ms": WATCH_EVERY_MS}, indent=2) + "\n")
        trace = folder / "trace.jsonl"
        return {"id": "watch", "kind": "client", "host": "harness", "cwd": str(folder), "stdout": str(folder / "out.log"),
                "stderr": str(folder / "err.log"), "trace": str(trace),
                "argv": [str(paths.binary("ordeal-workload")), "watch", "--config", str(config), "--out", str(trace)]}


def refused(what: str, code: int, said: str) -> OrdealError:
    """A program that only checks its input said no: that is bad usage, unless it could not even run."""
    return OrdealError(f"{what} refused", "mend it as said above", USAGE if code in (1, 2, 64) else HARNESS, said)


def no_mutations(spec: Spec, title: str) -> None:
    if spec.mutations:
        raise usage(f"--mutate {spec.mutations[0]}: {title} has no bugs that can be switched on", "leave out --target, or --mutate")
