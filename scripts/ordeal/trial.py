"""One trial on real processes: start, drive and break, heal, drain, stop, check, report.

The order of the phases is the argument of the verdict: faults end and are proven healed before the drain begins, the
drain reads every partition to its proven end before the brokers stop, and the checker sees the files only after that.
Whatever goes wrong around the judged cluster ends as HARNESS or UNKNOWN with a reason, never as a pass.
"""

import dataclasses
import json
import os
import subprocess
import time
from pathlib import Path

from ordeal import facts, layout, paths, runs, verdict
from ordeal.effective import settings
from ordeal.errors import HARNESS, PASS, UNKNOWN, USAGE, OrdealError, usage
from ordeal.live import Live
from ordeal.nemesis import Nemesis, Refused
from ordeal.options import Spec
from ordeal.tail import Tail
from ordeal.terminal import Terminal, clock, count, seconds

TICK_S = 0.2
START_S = 30  # for a broker to serve
CONNECT_S = 30  # for every client host to complete a first write
CONVERGE_S = 60
AFTER_HEAL_S = 2  # writes go on for so long after the cluster is whole again
FLUSH_S = 45  # for clients to learn the fate of what they sent
AUDIT_S = 300
STOP_S = 30
LOG_LINES = 15


class Trial:
    def __init__(self, spec: Spec, terminal: Terminal):
        self.spec, self.terminal = spec, terminal
        self.folder = runs.create(spec.name, spec.out)
        self.run_id = f"{spec.name}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"
        self.started = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self.nemesis: Nemesis | None = None
        self.live = Live(replicas=spec.rf)
        self.phases: dict[str, int] = {}
        self.crashes: list[str] = []
        self.not_whole = ""
        self.summary: dict = {}
        self.read_back: dict | None = None
        self.hosts = [f"c{i}" for i in range(1, spec.clients + 1)]
        self._client_tails = {h: Tail(self.folder / "clients" / h / "out.log") for h in self.hosts}
        self._trace_tails = [Tail(self.folder / "nodes" / str(n) / "trace.jsonl") for n in range(1, spec.nodes + 1)]
        self._ended_clients: dict[str, dict] = {}
        self._reported_ops = -1

    def run(self) -> int:
        self._headline()
        runs.check_space(self.folder, layout.expected_bytes(self.spec))
        self._prepare()
        try:
            self._start()
            self._drive()
            self._heal()
            self._drain()
            self._stop()
        except Refused as refused:
            raise OrdealError(f"the fault injector refused: {refused}", "./ordeal doctor") from refused
        finally:
            if self.nemesis:
                self.nemesis.close()
            runs.point_latest(self.folder)
        return self._judge()

    def _headline(self) -> None:
        s = self.spec
        words = [f"ordeal trial {s.name}", f"{count(s.nodes, 'broker')} ({s.durability})", f"plan {s.plan_name}", f"{s.time_s:g} s",
                 f"seed {s.seed}"] + [f"bug {m} on" for m in s.mutations]
        self.terminal.line(" · ".join(words))

    # Files, and everything that can be refused as bad usage before anything starts.
    def _prepare(self) -> None:
        s = self.spec
        (self.folder / "history").mkdir()
        (self.folder / "plan.yaml").write_text(s.plan_text)
        _refuse([str(paths.binary("ordeal-nemesis")), "--check-plan", str(self.folder / "plan.yaml")], f"plan {s.plan_name}")
        for node in range(1, s.nodes + 1):
            config = layout.write_node(s, node, self.folder)
            _refuse([str(paths.binary("ordeal-broker")), "--config", str(config), "--check-config"], "broker settings")
        for i in range(1, s.clients + 1):
            layout.write_workload(s, self.run_id, i, self.folder)
        (self.folder / "topology.json").write_text(json.dumps(self._topology(), indent=2) + "\n")
        self._write_trial()

    def _topology(self) -> dict:
        s = self.spec
        return {"nodes": [{"id": f"n{n}", "ip": layout.node_address(n)} for n in range(1, s.nodes + 1)],
                "clients": [{"id": f"c{c}", "ip": layout.client_address(c)} for c in range(1, s.clients + 1)]}

    def _write_trial(self) -> None:
        s = self.spec
        effective = settings(s, self.read_back)
        load = {"name": "log", **layout.workload(s, self.run_id, 1), "producers": s.producers, "consumers": s.consumers,
                "rate": s.rate, "acks": effective["acks"], "client_hosts": s.clients}
        document = {
            "schema": 1, "run_id": self.run_id, "name": s.name, "command": s.command, "world": "real", "promises": s.promises,
            "min_faults": s.min_faults, "required_faults": s.required, "effective": effective, "read_back": self.read_back, "phases": self.phases,
            "nodes": [{"id": n, "address": layout.node_address(n)} for n in range(1, s.nodes + 1)], "seed": s.seed,
            "time_s": s.time_s, "target": "ordeal", "plan": s.plan_name, "durability": s.durability, "mutations": s.mutations,
            "config": {"min.insync.replicas": str(s.min_isr), "log.flush.interval.messages": effective["log.flush.interval.messages"],
                       **s.settings},
            "started": self.started, "workload": load, "machine": facts.machine(self.folder), "versions": facts.versions(), "crashes": self.crashes,
            "not_covered": _not_covered(s), "spec": dataclasses.asdict(s) | {"plan_text": "see plan.yaml"},
        }
        (self.folder / "trial.json").write_text(json.dumps(document, indent=2) + "\n")

    def _start(self) -> None:
        s, began = self.spec, time.monotonic()
        self.terminal.live("start", "network")
        self.nemesis = Nemesis(paths.binary("ordeal-nemesis"), self.folder / "nemesis.log")
        try:
            self.nemesis.call("setup", 60, faults=str(self.folder / "faults.jsonl"), **self._topology())
        except Refused as refused:
            raise OrdealError(f"the trial's network could not be built: {refused}", "./ordeal doctor") from refused
        began_nodes = time.monotonic()
        waiting = {n: self.nemesis.send("spawn", **self._node(n)) for n in range(1, s.nodes + 1)}
        for node, pending in waiting.items():
            self.terminal.live("start", f"waiting for broker n{node}")
            try:
                pending.wait(START_S + 10)
            except Refused as refused:
                raise OrdealError(f"broker n{node} did not start: {refused}", f"its log: {self._shown('nodes', str(node), 'broker.log')}",
                                  detail=_last_lines(self.folder / "nodes" / str(node) / "broker.log")) from refused
        up = time.monotonic()
        self._await(lambda: self.live.controller[0] > 0, 5)
        controller = f" · controller n{self.live.controller[0]}" if self.live.controller[0] else ""
        self.terminal.phase("start", f"{s.nodes}/{s.nodes} brokers up in {seconds(up - began_nodes)} (network {seconds(began_nodes - began)})"
                                     f"{controller}")

    def _node(self, node: int) -> dict:
        folder = self.folder / "nodes" / str(node)
        return {"id": f"n{node}", "kind": "node", "argv": [str(paths.binary("ordeal-broker")), "--config", str(folder / "server.properties")],
                "cwd": str(folder), "stdout": str(folder / "broker.log"), "stderr": str(folder / "broker.log"),
                "port": layout.CLIENT_PORT, "ready_timeout_ms": START_S * 1000, "trace": str(folder / "trace.jsonl"), "wait": True}

    def _spawn_client(self, host: str, name: str, words: list[str]) -> None:
        folder = self.folder / "clients" / host
        argv = [str(paths.binary("ordeal-workload")), *words, "--config", str(folder / "workload.json"), "--out",
                str(self.folder / "history"), "--host", host]
        suffix = "" if name == host else f"-{name}"
        self.nemesis.call("spawn", id=name, kind="client", host=host, argv=argv, cwd=str(folder),
                          stdout=str(folder / f"out{suffix}.log"), stderr=str(folder / f"err{suffix}.log"))

    def _read_back(self) -> None:
        """Promises are judged by what the cluster is really set to, so it is asked rather than believed."""
        host = self.hosts[0]
        self._spawn_client(host, "settings", ["settings"])
        ended = self.nemesis.call("wait", CONNECT_S + 5, id="settings", timeout_ms=CONNECT_S * 1000)
        log = self.folder / "clients" / host / "err-settings.log"
        rows = [r for r in Tail(log.with_name("out-settings.log")).read() if r.get("event") == "settings"]
        if ended.get("code") != 0 or not rows:
            raise self._client_failed("reading the settings back", ended, log)
        self.read_back = rows[-1]

    def _drive(self) -> None:
        self.phases["drive"] = time.monotonic_ns()
        for host in self.hosts:
            self._spawn_client(host, host, ["log"])
        self._await(lambda: all(self.live.totals.get(h, {}).get("ok") for h in self.hosts), CONNECT_S)
        late = [h for h in self.hosts if not self.live.totals.get(h, {}).get("ok")]
        if late:
            raise OrdealError(f"no write of {', '.join(late)} was acknowledged within {CONNECT_S} s", f"its log: "
                              f"{self._shown('clients', late[0], 'err.log')}", detail=_last_lines(self.folder / "clients" / late[0] / "err.log"))
        self._read_back()
        try:
            self.nemesis.call("plan.start", plan=self.spec.plan_text, seed=self.spec.seed, time=f"{round(self.spec.time_s * 1000)}ms")
        except Refused as refused:
            raise usage(f"plan {self.spec.plan_name}: {refused}", "docs/formats/plan.md shows the form") from refused
        began = time.monotonic()
        while (now := time.monotonic() - began) < self.spec.time_s:
            self._tick()
            self.terminal.live("drive", f"{clock(now)}  {self.live.line(began + now)}", self.live.below(began + now))
            time.sleep(TICK_S)
        self._drove = time.monotonic() - began
        average = self.live.total("ok") / max(0.1, self._drove)
        self.terminal.phase("drive", f"{clock(self._drove)}  {average:,.0f} writes/s · {self.live.total('ok'):,} ok · "
                                     f"{self.live.total('info'):,} unknown · {self.live.total('fail'):,} failed · {self.live.fault_words()}")

    def _heal(self) -> None:
        self.phases["heal"] = time.monotonic_ns()
        reply = self._while(self.nemesis.send("plan.stop"), "heal", "healing what is still active", CONVERGE_S)
        self.summary = reply.get("summary") or {}
        (self.folder / "resolved-plan.json").write_text(json.dumps(reply.get("plan") or {}, indent=2) + "\n")
        try:
            whole = self._while(self.nemesis.send("converge", timeout_ms=CONVERGE_S * 1000), "heal", "waiting for full ISRs", CONVERGE_S + 10)
            self.terminal.phase("heal", f"all links open, verified · ISR full after {seconds(whole.get('after_ms', 0) / 1000)}")
        except Refused as refused:  # the drain finds out what can still be read
            self.terminal.phase("heal", f"the cluster is not whole after {CONVERGE_S} s: {refused}")
            left_down = any((step.get("params") or {}).get("restart") is False for step in (reply.get("plan") or {}).get("steps", []))
            if not left_down:
                self.not_whole = f"every fault was healed, but {CONVERGE_S} s later the cluster was not whole: {refused}"
        until = time.monotonic() + AFTER_HEAL_S
        self._await(lambda: time.monotonic() > until, AFTER_HEAL_S + 1)

    def _drain(self) -> None:
        self.phases["drain"] = time.monotonic_ns()
        stopping = [self.nemesis.send("stop", id=h, timeout_ms=FLUSH_S * 1000) for h in self.hosts if h not in self._ended_clients]
        for pending in stopping:
            ended = self._while(pending, "drain", "waiting for the fate of the last writes", FLUSH_S + 10)
            if ended.get("code") != 0:
                raise self._client_failed("a client", ended, self.folder / "clients" / self.hosts[0] / "err.log")
        self._spawn_client(self.hosts[0], "audit", ["audit"])
        ended = self._while(self.nemesis.send("wait", id="audit", timeout_ms=AUDIT_S * 1000), "drain", "reading every partition to its end", AUDIT_S + 10)
        log = self.folder / "clients" / self.hosts[0] / "err-audit.log"
        if ended.get("code") not in (0, UNKNOWN):
            raise self._client_failed("the auditor", ended, log)
        audited = next((r for r in Tail(log.with_name("out-audit.log")).read() if r.get("event") == "audited"), {})
        self.terminal.phase("drain", f"{audited.get('partitions_drained', '?')}/{audited.get('partitions', self.spec.partitions)} partitions "
                                     f"read to their end · {audited.get('records', 0):,} records")

    def _stop(self) -> None:
        waiting = [self.nemesis.send("stop", id=f"n{n}", timeout_ms=STOP_S * 1000) for n in range(1, self.spec.nodes + 1)]
        slow = [p for p in waiting if self._while(p, "stop", "controlled shutdown", STOP_S + 10).get("killed")]
        if slow:
            self.terminal.phase("stop", f"{count(len(slow), 'broker')} ignored SIGTERM for {STOP_S} s and had to be killed")
        self._tick()
        self._write_trial()

    def _judge(self) -> int:
        self.terminal.live("check", "reading the history")
        code = verdict.judge(self.folder)
        reasons = self._doubts() if code == PASS else []
        if reasons:
            code = verdict.doubt(self.folder, reasons)
        verdict.render(self.folder)
        found = verdict.load(self.folder)
        self.terminal.phase("check", verdict.checked_line(found))
        again = self.folder.name if self.folder.parent == paths.runs_dir().resolve() else paths.shown(self.folder)
        verdict.show(self.terminal, self.folder, found, f"./ordeal replay {again}   (same plan, real time: may differ)")
        if code == PASS and not self.spec.keep:
            runs.drop_node_data(self.folder)
        return code

    def _doubts(self) -> list[str]:
        """The checker reads the same events, so this should find nothing; a pass must survive two readers."""
        doubts = list(self.crashes) + ([self.not_whole] if self.not_whole else [])
        if not self.summary.get("enough", False):
            doubts.append(f"only {self.summary.get('verified', 0)} of {self.spec.min_faults} faults took hold and were healed")
        return doubts + [f"the required fault {step} did not act" for step in self.summary.get("required_missed", [])]

    # One round of looking: events, clients, traces. Raises when what the trial stands on is gone.
    def _tick(self) -> None:
        if self.nemesis and not self.nemesis.alive():
            raise self.nemesis.died()
        now = time.monotonic()
        for event in self.nemesis.events() if self.nemesis else []:
            self.live.fault(event, now)
            self._exit(event)
        for host, tail in self._client_tails.items():
            for row in tail.read():
                self.live.client(host, row)
        for tail in self._trace_tails:
            for row in tail.read():
                self.live.trace(row)
        operations = self.live.total("ok")
        if operations != self._reported_ops and self.nemesis:
            self._reported_ops = operations
            self.nemesis.tell("ops", count=operations)

    def _exit(self, event: dict) -> None:
        kind, name = event.get("event"), event.get("id", "?")
        how = f"signal {event['signal']}" if event.get("signal") else f"code {event.get('code')}"
        if kind == "node.exit" and not event.get("expected"):
            self.crashes.append(f"broker {name} ended by itself with {how}")
            self.terminal.line(f"  {'crash'.ljust(9)} broker {name} ended by itself with {how}: {self._shown('nodes', name[1:], 'broker.log')}")
        if kind == "client.exit" and name in self.hosts:
            self._ended_clients[name] = event
            if not event.get("expected"):
                raise self._client_failed(f"client {name}", event, self.folder / "clients" / name / "err.log")

    def _client_failed(self, who: str, event: dict, log: Path) -> OrdealError:
        how = f"signal {event['signal']}" if event.get("signal") else f"code {event.get('code')}"
        said = [r.get("text", "") for r in Tail(log.with_name(log.name.replace("err", "out", 1))).read() if r.get("event") == "error"]
        return OrdealError(f"{who} ended with {how}, so the history is incomplete", f"its log: {paths.shown(log)}", HARNESS,
                           "\n".join([_last_lines(log), *said]).strip())

    def _await(self, ready, timeout: float) -> None:
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            self._tick()
            if ready():
                return
            time.sleep(0.05)

    def _while(self, pending, phase: str, words: str, timeout: float) -> dict:
        """Waits for a reply, looking around meanwhile; the reply's error is the caller's."""
        began = time.monotonic()
        while not pending.done() and time.monotonic() - began < timeout:
            self._tick()
            self.terminal.live(phase, f"{words} · {seconds(time.monotonic() - began)}")
            time.sleep(0.05)
        return pending.wait(1)

    def _shown(self, *parts: str) -> str:
        return paths.shown(self.folder.joinpath(*parts))


def _refuse(command: list[str], what: str) -> None:
    """Runs a program that only checks its input; what it says is bad usage."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise OrdealError(f"{what} refused", "mend it as said above", USAGE if done.returncode in (1, 2, 64) else HARNESS,
                          done.stdout + done.stderr)


def _last_lines(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-LOG_LINES:]) if path.exists() else ""


def _not_covered(spec: Spec) -> list[str]:
    missing = ["power loss and other disk faults: on real processes only crashes of processes were injected",
               "transactions and consumer groups: the log workload writes and reads assigned partitions"]
    if spec.nodes < 3:
        missing.append("failover: fewer than three brokers")
    return missing
