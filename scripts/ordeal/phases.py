"""The phases of a trial in their order: start, drive and break, heal, drain, stop.

Each takes the trial (trial.py), uses its nemesis and leaves what it learnt in it. What the order is worth is said there.
"""

import json
import time

from ordeal import clients, paths
from ordeal.errors import HARNESS, UNKNOWN, OrdealError, usage
from ordeal.nemesis import Nemesis, Refused
from ordeal.tail import Tail, last_lines
from ordeal.terminal import clock, count, seconds

TICK_S = 0.2
SETTLE_S = 0.5  # so that the watcher has looked at the others too since the last one answered
AFTER_HEAL_S = 2  # writes go on for so long after the cluster is whole again
FLUSH_S = 45  # for clients to learn the fate of what they sent
AUDIT_S = 300


def start(trial) -> None:
    s, began = trial.spec, time.monotonic()
    trial.terminal.live("start", "network")
    trial.nemesis = Nemesis(paths.binary("ordeal-nemesis"), trial.folder / "nemesis.log")
    try:
        trial.nemesis.call("setup", 60, faults=str(trial.folder / "faults.jsonl"), network="own" if trial.target.controlled else "caller",
                           quorum=trial.target.quorum, **trial.topology())
    except Refused as refused:
        raise OrdealError(f"the trial's network could not be built: {refused}", "./ordeal doctor") from refused
    began_nodes, target = time.monotonic(), trial.target
    waiting = {n: trial.nemesis.send("spawn", **target.node(trial.folder, n)) for n in target.nodes()} if target.controlled else {}
    for node, pending in waiting.items():
        try:
            trial.wait_while(pending, "start", f"waiting for broker n{node}", target.start_s + 10)
        except Refused as refused:
            raise _no_start(trial, node, f"did not start: {refused}") from refused
    _watch(trial)
    up = time.monotonic()
    trial.wait_for(lambda: trial.live.controller[0] > 0, 5 if target.quorum else 0)
    controller = f" · controller n{trial.live.controller[0]}" if trial.live.controller[0] else ""
    took = f"up in {seconds(up - began_nodes)} (network {seconds(began_nodes - began)})" if target.controlled else "answer; somebody else started them"
    trial.terminal.phase("start", f"{s.nodes}/{s.nodes} brokers {took}{controller}")


def _watch(trial) -> None:
    """Brokers without a trace open their port before they serve: the watcher says when the cluster knows all of them."""
    words = trial.target.watcher(trial.folder)
    if words is None:
        return
    trial.nemesis.call("spawn", **words)
    trial.wait_for(lambda: trial.live.ready >= set(trial.target.nodes()), trial.target.start_s, "start", "waiting until every broker is registered")
    missing = sorted(set(trial.target.nodes()) - trial.live.ready)
    if missing:
        raise _no_start(trial, missing[0], f"was not registered within {trial.target.start_s} s")


def _no_start(trial, node: int, why: str) -> OrdealError:
    log = trial.target.log(trial.folder, node)
    return OrdealError(f"broker n{node} {why}", f"its log: {paths.shown(log)}", detail=last_lines(log))


def _spawn_client(trial, host: str, name: str, words: list[str]) -> None:
    folder = trial.folder / "clients" / host
    argv = [str(paths.binary("ordeal-workload")), *words, "--config", str(folder / "workload.json"), "--out",
            str(trial.folder / "history"), "--host", host]
    suffix = "" if name == host else f"-{name}"
    trial.nemesis.call("spawn", id=name, kind="client", host=host, argv=argv, cwd=str(folder),
                      stdout=str(folder / f"out{suffix}.log"), stderr=str(folder / f"err{suffix}.log"))


def _read_back(trial) -> None:
    """Promises are judged by what the cluster is really set to, so it is asked rather than believed; again if it was too busy to say."""
    host, limit, began = trial.hosts[0], trial.target.connect_s, time.monotonic()
    log = trial.folder / "clients" / host / "err-settings.log"
    while True:
        _spawn_client(trial, host, "settings", ["settings"])
        ended = trial.wait_while(trial.nemesis.send("wait", id="settings", timeout_ms=limit * 1000), "drive", "reading the settings back", limit + 5)
        rows = [r for r in Tail(log.with_name("out-settings.log")).read() if r.get("event") == "settings"]
        if ended.get("code") == 0 and rows:
            break
        if ended.get("code") != HARNESS or time.monotonic() - began > limit:
            raise trial.client_failed("reading the settings back", ended, log)
    trial.read_back = rows[-1]


def drive(trial) -> None:
    trial.phases["drive"] = time.monotonic_ns()
    for host in trial.hosts:
        _spawn_client(trial, host, host, ["log"])
    limit = trial.target.connect_s + clients.start_s(trial.spec.client)
    trial.wait_for(lambda: all(trial.live.totals.get(h, {}).get("ok") for h in trial.hosts), limit, "drive", "waiting for a first write")
    late = [h for h in trial.hosts if not trial.live.totals.get(h, {}).get("ok")]
    if late:
        raise OrdealError(f"no write of {', '.join(late)} was acknowledged within {limit} s", f"its log: "
                          f"{trial.shown('clients', late[0], 'err.log')}", detail=last_lines(trial.folder / "clients" / late[0] / "err.log"))
    _read_back(trial)
    try:
        trial.nemesis.call("plan.start", plan=trial.spec.plan_text, seed=trial.spec.seed, time=f"{round(trial.spec.time_s * 1000)}ms")
    except Refused as refused:
        raise usage(f"plan {trial.spec.plan_name}: {refused}", "docs/formats/plan.md shows the form") from refused
    began = time.monotonic()
    while (now := time.monotonic() - began) < trial.spec.time_s:
        trial.tick()
        trial.terminal.live("drive", f"{clock(now)}  {trial.live.line(began + now)}", trial.live.below(began + now))
        time.sleep(TICK_S)
    drove = time.monotonic() - began
    average = trial.live.total("ok") / max(0.1, drove)
    trial.terminal.phase("drive", f"{clock(drove)}  {average:,.0f} writes/s · {trial.live.total('ok'):,} ok · "
                                 f"{trial.live.total('info'):,} unknown · {trial.live.total('fail'):,} failed · {trial.live.fault_words()}")


def heal(trial) -> None:
    trial.phases["heal"] = time.monotonic_ns()
    limit, patience = trial.target.converge_s, max(trial.target.converge_s, trial.target.start_s)
    reply = trial.wait_while(trial.nemesis.send("plan.stop"), "heal", "healing what is still active", patience + 10)
    trial.summary = reply.get("summary") or {}
    (trial.folder / "resolved-plan.json").write_text(json.dumps(reply.get("plan") or {}, indent=2) + "\n")
    left_down = any((step.get("params") or {}).get("restart") is False for step in (reply.get("plan") or {}).get("steps", []))
    began = time.monotonic()
    try:
        if not left_down:
            _all_answer(trial, limit)
        trial.wait_while(trial.nemesis.send("converge", timeout_ms=limit * 1000), "heal", "waiting for full ISRs", limit + 10)
        trial.terminal.phase("heal", f"{'all links open' if trial.target.controlled else 'every client goes on'}, verified · ISR full after {seconds(time.monotonic() - began)}")
    except Refused as refused:  # the drain finds out what can still be read
        trial.terminal.phase("heal", f"the cluster is not whole after {limit} s: {refused}")
        if not left_down:
            trial.not_whole = f"every fault was healed, but {limit} s later the cluster was not whole: {refused}"
    until = time.monotonic() + AFTER_HEAL_S
    trial.wait_for(lambda: time.monotonic() > until, AFTER_HEAL_S + 1)


def _all_answer(trial, limit: int) -> None:
    """A cluster counts a dead broker among its in-sync replicas until its session ends; one that answers is there."""
    if trial.target.traces:
        return
    nodes = set(trial.target.nodes())
    trial.wait_for(lambda: trial.live.answering >= nodes, limit, "heal", "waiting until every broker answers")
    until = time.monotonic() + SETTLE_S
    trial.wait_for(lambda: time.monotonic() > until, SETTLE_S + 1)
    if silent := sorted(nodes - trial.live.answering):
        raise Refused("no answer of " + ", ".join(f"n{n}" for n in silent))


def drain(trial) -> None:
    trial.phases["drain"] = time.monotonic_ns()
    stopping = [trial.nemesis.send("stop", id=h, timeout_ms=FLUSH_S * 1000) for h in trial.hosts if h not in trial.ended_clients]
    for pending in stopping:
        ended = trial.wait_while(pending, "drain", "waiting for the fate of the last writes", FLUSH_S + 10)
        if ended.get("code") != 0:
            raise trial.client_failed("a client", ended, trial.folder / "clients" / trial.hosts[0] / "err.log")
    _spawn_client(trial, trial.hosts[0], "audit", ["audit"])
    ended = trial.wait_while(trial.nemesis.send("wait", id="audit", timeout_ms=AUDIT_S * 1000), "drain", "reading every partition to its end", AUDIT_S + 10)
    log = trial.folder / "clients" / trial.hosts[0] / "err-audit.log"
    if ended.get("code") not in (0, UNKNOWN):
        raise trial.client_failed("the auditor", ended, log)
    audited = next((r for r in Tail(log.with_name("out-audit.log")).read() if r.get("event") == "audited"), {})
    trial.terminal.phase("drain", f"{audited.get('partitions_drained', '?')}/{audited.get('partitions', trial.spec.partitions)} partitions "
                                 f"read to their end · {audited.get('records', 0):,} records")


def stop(trial) -> None:
    limit = trial.target.stop_s
    if not trial.target.traces:  # how the brokers leave is no part of what is judged
        trial.wait_while(trial.nemesis.send("stop", id="watch", timeout_ms=5000), "stop", "the watcher", 10)
    mine = trial.target.nodes() if trial.target.controlled else []
    waiting = [trial.nemesis.send("stop", id=f"n{n}", timeout_ms=limit * 1000) for n in mine]
    slow = [p for p in waiting if trial.wait_while(p, "stop", "controlled shutdown", limit + 10).get("killed")]
    if slow:
        trial.terminal.phase("stop", f"{count(len(slow), 'broker')} ignored SIGTERM for {limit} s and had to be killed")
    trial.tick()
    trial.target.finish(trial.folder)
    trial.write_document()
