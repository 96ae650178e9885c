"""One trial on real processes: start, drive and break, heal, drain, stop, check, report.

The order of the phases is the argument of the verdict: faults end and are proven healed before the drain begins, the
drain reads every partition to its proven end before the brokers stop, and the checker sees the files only after that.
Whatever goes wrong around the judged cluster ends as HARNESS or UNKNOWN with a reason, never as a pass.
"""

import json
import os
import subprocess
import time
from pathlib import Path

from ordeal import clients, document, layout, paths, phases, runs, targets, verdict
from ordeal.errors import HARNESS, PASS, OrdealError
from ordeal.live import Live
from ordeal.nemesis import Nemesis, Refused
from ordeal.options import Spec
from ordeal.tail import Tail, last_lines
from ordeal.targets.base import refused
from ordeal.terminal import Terminal, count, seconds


class Trial:
    def __init__(self, spec: Spec, terminal: Terminal):
        self.spec, self.terminal = spec, terminal
        self.target = targets.find(spec.target)(spec)
        self.target.make_ready(terminal)
        clients.make_ready(spec.client, spec.client_version, terminal)
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
        self._trace_tails = [Tail(path) for path in self.target.trace_files(self.folder)]
        self.ended_clients: dict[str, dict] = {}
        self._reported_ops = -1

    def run(self) -> int:
        self._headline()
        runs.check_space(self.folder, layout.expected_bytes(self.spec))
        self._prepare()
        try:
            phases.start(self)
            phases.drive(self)
            phases.heal(self)
            phases.drain(self)
            phases.stop(self)
        except Refused as refused:
            raise OrdealError(f"the fault injector refused: {refused}", "./ordeal doctor") from refused
        finally:
            if self.nemesis:
                self.nemesis.close()
            self.target.close()
            runs.point_latest(self.folder)
        return self._judge()

    def _headline(self) -> None:
        s = self.spec
        words = [f"ordeal trial {s.name}", *([self.target.title] if s.target != targets.DEFAULT else []), count(s.nodes, "broker") + (f" ({s.durability})" if self.target.controlled else ""), f"plan {s.plan_name}", f"{s.time_s:g} s",
                 f"seed {s.seed}"] + [f"bug {m} on" for m in s.mutations]
        self.terminal.line(" · ".join(words))

    # Files, and everything that can be refused as bad usage before anything starts.
    def _prepare(self) -> None:
        s = self.spec
        (self.folder / "history").mkdir()
        (self.folder / "plan.yaml").write_text(s.plan_text)
        _check_plan(self.folder / "plan.yaml", s.plan_name)
        self.target.prepare(self.folder)
        for i in range(1, s.clients + 1):
            layout.write_workload(s, self.run_id, i, self.folder, self.target.bootstrap())
        (self.folder / "topology.json").write_text(json.dumps(self.topology(), indent=2) + "\n")
        self.write_document()

    def topology(self) -> dict:
        s = self.spec
        return {"nodes": self.target.hosts(),
                "clients": [{"id": f"c{c}", "ip": layout.client_address(c)} for c in range(1, s.clients + 1)]}

    def write_document(self) -> None:
        document.write(self)

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
            self.target.tidy(self.folder)
        return code

    def _doubts(self) -> list[str]:
        """The checker reads the same events, so this should find nothing; a pass must survive two readers."""
        doubts = list(self.crashes) + ([self.not_whole] if self.not_whole else [])
        if not self.summary.get("enough", False):
            doubts.append(f"only {self.summary.get('verified', 0)} of {self.spec.min_faults} faults took hold and were healed")
        return doubts + [f"the required fault {step} did not act" for step in self.summary.get("required_missed", [])]

    # One round of looking: events, clients, traces. Raises when what the trial stands on is gone.
    def tick(self) -> None:
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
            self.terminal.line(f"  {'crash'.ljust(9)} broker {name} ended by itself with {how}: {paths.shown(self.target.log(self.folder, int(name[1:])))}")
        if kind == "client.exit" and name in self.hosts:
            self.ended_clients[name] = event
            if not event.get("expected"):
                raise self.client_failed(f"client {name}", event, self.folder / "clients" / name / "err.log")

    def client_failed(self, who: str, event: dict, log: Path) -> OrdealError:
        how = f"signal {event['signal']}" if event.get("signal") else f"code {event.get('code')}"
        said = [r.get("text", "") for r in Tail(log.with_name(log.name.replace("err", "out", 1))).read() if r.get("event") == "error"]
        return OrdealError(f"{who} ended with {how}, so the history is incomplete", f"its log: {paths.shown(log)}", HARNESS,
                           "\n".join([last_lines(log), *said]).strip())

    def wait_for(self, ready, timeout: float, phase: str = "", words: str = "") -> None:
        began = time.monotonic()
        while time.monotonic() - began < timeout:
            self.tick()
            if ready():
                return
            if phase:
                self.terminal.live(phase, f"{words} · {seconds(time.monotonic() - began)}")
            time.sleep(0.05)

    def wait_while(self, pending, phase: str, words: str, timeout: float) -> dict:
        """Waits for a reply, looking around meanwhile; the reply's error is the caller's."""
        began = time.monotonic()
        while not pending.done() and time.monotonic() - began < timeout:
            self.tick()
            self.terminal.live(phase, f"{words} · {seconds(time.monotonic() - began)}")
            time.sleep(0.05)
        return pending.wait(1)

    def shown(self, *parts: str) -> str:
        return paths.shown(self.folder.joinpath(*parts))


def _check_plan(path: Path, name: str) -> None:
    done = subprocess.run([str(paths.binary("ordeal-nemesis")), "--check-plan", str(path)], capture_output=True, text=True)
    if done.returncode != 0:
        raise refused(f"plan {name}", done.returncode, done.stdout + done.stderr)
