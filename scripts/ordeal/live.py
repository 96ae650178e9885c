"""What is known of a running trial: operations so far, leaders, controller, in-sync replicas, active faults.

Fed from the clients' status lines, the brokers' traces and the nemesis's events; only for people to look at. Nothing
here decides a verdict.
"""

from dataclasses import dataclass, field

from ordeal.terminal import count

RATE_WINDOW_S = 2.0
LEADERS_SHOWN = 4


@dataclass
class Partition:
    leader: int = 0
    epoch: int = -1
    isr: int = 0


@dataclass
class Live:
    replicas: int
    totals: dict = field(default_factory=dict)  # client host -> its last status line
    partitions: dict = field(default_factory=dict)  # (topic, partition) -> Partition
    controller: tuple = (0, -1)  # node, term
    answering: set = field(default_factory=set)  # nodes that a watcher's last question reached
    ready: set = field(default_factory=set)  # brokers that said so, or were seen in the cluster's list
    faults: dict = field(default_factory=dict)  # id -> (words, since)
    counts: dict = field(default_factory=dict)  # what happened to faults: began, healed, missed, failed
    kinds: dict = field(default_factory=dict)  # kind -> how many took hold
    exits: list = field(default_factory=list)  # client.exit events
    _history: list = field(default_factory=list)  # (seconds, operations) over the last moments

    def client(self, host: str, row: dict) -> None:
        if row.get("event") == "status":
            self.totals[host] = row

    def total(self, key: str) -> int:
        return sum(int(row.get(key) or 0) for row in self.totals.values())

    def rate(self, now: float) -> float:
        """Operations a second over the last moments; `now` is monotonic, as everywhere here."""
        self._history.append((now, self.total("ok") + self.total("reads")))
        while len(self._history) > 2 and now - self._history[0][0] > RATE_WINDOW_S:
            self._history.pop(0)
        (t0, n0), (t1, n1) = self._history[0], self._history[-1]
        return (n1 - n0) / (t1 - t0) if t1 > t0 else 0.0

    def trace(self, row: dict) -> None:
        kind = row.get("k")
        if kind == "controller.active" and row.get("term", -1) >= self.controller[1]:
            self.controller = (row.get("n", 0), row.get("term", -1))
        if kind == "broker.answers":
            self.answering.add(row.get("n", 0))
        elif kind == "broker.silent":
            self.answering.discard(row.get("n", 0))
        if kind == "broker.ready":
            self.ready.add(row.get("n", 0))
        if kind not in ("partition.leader", "partition.isr") or row.get("partition") is None:
            return
        at = self.partitions.setdefault((row.get("topic"), row["partition"]), Partition())
        epoch = row.get("leader_epoch", -1)
        if epoch < at.epoch:
            return  # a deposed leader that still speaks: the higher epoch wins
        at.epoch, at.leader = epoch, row.get("n", 0)
        at.isr = len([part for part in str(row.get("isr", "")).split(",") if part])

    def fault(self, row: dict, now: float) -> None:
        event, key = row.get("event", ""), row.get("id", "")
        if event == "fault.begin" and row.get("verified"):
            self.counts["began"] = self.counts.get("began", 0) + 1
            self.kinds[row.get("kind", "?")] = self.kinds.get(row.get("kind", "?"), 0) + 1
            self.faults[key] = (f"{_targets(row)} {row.get('kind', '')}", now)
        elif event == "fault.heal":
            self.counts["healed"] = self.counts.get("healed", 0) + 1
            self.faults.pop(key, None)
        elif event in ("fault.missed", "fault.failed"):
            name = event.split(".")[1]
            self.counts[name] = self.counts.get(name, 0) + 1
            self.faults.pop(key, None)
        elif event == "client.exit":
            self.exits.append(row)

    def line(self, now: float) -> str:
        return (f"{self.rate(now):,.0f} ops/s · {self.total('ok'):,} ok · {self.total('info'):,} unknown · "
                f"{self.total('fail'):,} failed")

    def below(self, now: float) -> str:
        faults = ", ".join(f"{words} ({now - since:.0f} s)" for words, since in self.faults.values()) or "no fault"
        shown = sorted(p for p in self.partitions.items() if not str(p[0][0]).startswith("__"))
        leaders = " · ".join(f"{t}/{p} n{at.leader} e{at.epoch}" for (t, p), at in shown[:LEADERS_SHOWN])
        full = sum(1 for _, at in shown if at.isr >= self.replicas)
        isr = f" · ISR full {full}/{len(shown)}" if shown else ""
        return f"now: {faults} · leaders {leaders or 'none yet'}{isr}"

    def fault_words(self) -> str:
        began = self.counts.get("began", 0)
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(self.kinds.items()))
        missed = self.counts.get("missed", 0) + self.counts.get("failed", 0)
        return f"{count(began, 'fault')}" + (f" ({kinds})" if kinds else "") + (f", {missed} did not act" if missed else "")


def _targets(row: dict) -> str:
    targets = row.get("targets") or row.get("resolved") or []
    return ",".join(str(t) for t in targets) if isinstance(targets, list) else str(targets)
