"""`ordeal bench versus`: our broker and another, turn by turn on the same machine, under the same load and faults.

Theirs, ours, theirs, ours: a machine that slows down slows both down. Each turn starts two clusters of three nodes. The first leaves
durability to the page cache, with timeouts that are equal on both sides; the second flushes before it acknowledges, with each side's
own default timeouts. Figures, never verdicts: the table says for each aim whether it holds.
"""

import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from ordeal import targets
from ordeal.bench import ratios
from ordeal.bench.field import NODES, Field
from ordeal.errors import OrdealError
from ordeal.terminal import Terminal

OURS = "ordeal"
SIZE = 1024
MB_MAX = 1000  # of one throughput measurement: three replicas of it are still fewer bytes than may be dirty at once
NOTHING = "no record that was due in the window got through"
RATE_SHARE_MAX = 0.3  # of their own maximum: the latency of a side that is driven to its limit says nothing
EQUAL = {"broker.session.timeout.ms": 3000, "broker.heartbeat.interval.ms": 500, "controller.quorum.election.timeout.ms": 1000,
         "controller.quorum.fetch.timeout.ms": 2000}
KILL = {"do": "proc.kill"}
CUT = {"do": "net.partition", "params": {"shape": "isolate"}}
PAGE, FSYNC = "page-cache", "fsync"
WORDS = {PAGE: "page cache", FSYNC: "fsync"}


@dataclass(frozen=True)
class Row:
    """One throughput measurement."""

    acks: str
    partitions: int
    codec: str = "none"

    def key(self, durability: str) -> str:
        return f"{durability}.acks-{self.acks}.{self.partitions}.{self.codec}"

    def title(self, durability: str) -> str:
        codec = "" if self.codec == "none" else f", {self.codec}"
        return f"{WORDS[durability]}, acks={self.acks}, {self.partitions} partition{'s' if self.partitions > 1 else ''}{codec}"


MAIN = Row("all", 12)  # latencies are taken at a share of what this row reaches
DEFAULT_PAGE = (MAIN, Row("1", 12), Row("all", 1), Row("all", 100), Row("all", 12, "lz4"))
ALL = tuple(Row(acks, partitions, codec) for acks in ("all", "1") for partitions in (12, 1, 100) for codec in ("none", "lz4"))


@dataclass(frozen=True)
class Plan:
    rounds: int = 3
    produce_s: float = 4
    fetch_s: float = 4
    latency_s: float = 8
    rows: dict = field(default_factory=lambda: {PAGE: DEFAULT_PAGE, FSYNC: (MAIN,)})
    faults: dict = field(default_factory=lambda: {PAGE: ("kill", "cut"), FSYNC: ("kill", "cut")})
    repeats: int = 1  # of each fault in a turn
    idle_s: float = 3
    settle_s: float = 2  # of writing before a fault
    behind_s: float = 3  # of load while the killed node is away


DEFAULT = Plan()
FULL = replace(DEFAULT, rounds=5, produce_s=6, latency_s=20, rows={PAGE: ALL, FSYNC: ALL}, repeats=2)
QUICK = Plan(rounds=1, produce_s=1, fetch_s=1, latency_s=1, rows={PAGE: (MAIN,), FSYNC: (MAIN,)}, faults={PAGE: ("kill",), FSYNC: ()}, idle_s=0.5, settle_s=0.5, behind_s=0.5)


class Samples:
    """What each side measured, by row, in the order of the turns; and what is to be said about a row."""

    def __init__(self):
        self.values: dict[str, dict[str, list]] = {}
        self.remarks: dict[str, list[str]] = {}

    def add(self, key: str, side: str, value: float) -> None:
        self.values.setdefault(key, {}).setdefault(side, []).append(value)

    def of(self, key: str, side: str) -> list:
        return self.values.get(key, {}).get(side, [])

    def remark(self, key: str, text: str) -> None:
        said = self.remarks.setdefault(key, [])
        if text not in said:
            said.append(text)


class Versus:
    def __init__(self, folder: Path, theirs: str, options: dict, plan: Plan, terminal: Terminal):
        self.folder, self.theirs, self.options, self.plan, self.terminal = folder, theirs, options, plan, terminal
        self.samples, self.rates, self.titles, self.versions = Samples(), {}, {}, {}
        self.settings: dict[str, dict] = {}
        self.failures: list[str] = []

    def measure(self) -> dict:
        for turn in range(self.plan.rounds):
            for side in (self.theirs, OURS):
                for durability in (PAGE, FSYNC):
                    self._turn_or_say(turn, side, durability)
        return self.document()

    def _turn_or_say(self, turn: int, side: str, durability: str) -> None:
        """One turn of several may fail: it is named, and what it measured up to then counts. A second one ends the comparison."""
        try:
            self._turn(turn, side, durability)
        except OrdealError as error:
            if self.plan.rounds == 1 or self.failures:
                raise
            self.failures.append(f"turn {turn + 1}, {side}, {WORDS[durability]}: {error.message}")
            self.terminal.line(f"  failed    {self.failures[-1]}")

    def _turn(self, turn: int, side: str, durability: str) -> None:
        def live(what: str) -> None:
            self.terminal.live("versus", f"turn {turn + 1}/{self.plan.rounds} · {side} · {WORDS[durability]} · {what}")

        settings = EQUAL if durability == PAGE else {}
        options = self.options if side == self.theirs else {}
        live("start")
        with Field(self.folder / f"{turn}-{side}-{durability}", side, durability, settings, options, self.terminal) as cluster:
            self.titles[side], self.settings[f"{side} {durability}"] = cluster.target.title, cluster.target.settings()
            self.versions |= cluster.target.versions()
            self.samples.add("start.first-write", side, cluster.first_write_ms)
            self.samples.add("start.ports", side, cluster.ports_ms)
            if durability == PAGE:
                time.sleep(self.plan.idle_s)
                self.samples.add("memory.idle", side, cluster.resident_mb())
            for row in self.plan.rows[durability]:
                live(row.title(durability))
                self._throughput(cluster, side, durability, row)
            live("latency")
            self._latency(cluster, side, durability)
            if durability == PAGE:
                self.samples.add("memory.loaded", side, cluster.resident_mb())
            self._faults(cluster, side, durability, live)

    def _throughput(self, cluster: Field, side: str, durability: str, row: Row) -> None:
        topic, key = f"p-{row.acks}-{row.partitions}-{row.codec}", row.key(durability)
        cluster.topic(topic, row.partitions)
        cluster.settle()
        before = cluster.cpu_seconds()
        done = cluster.load("produce", "--topic", topic, "--partitions", row.partitions, "--acks", row.acks, "--size", SIZE, "--compression", row.codec,
                            "--seconds", self.plan.produce_s, "--mb-max", MB_MAX)
        # Followers copy what acks=1 did not wait for: their work belongs to it.
        cluster.settle()
        used = cluster.cpu_seconds() - before
        self._check_acks(f"produce.{key}", side, done)
        self.samples.add(f"produce.{key}", side, done["mb_per_s"])
        self.samples.add(f"client.{key}", side, done["cpu_s"] / done["seconds"])
        if done["acked"]:
            self.samples.add(f"cpu.{key}", side, used / (done["acked"] * SIZE / 1e9))
        if row == MAIN:
            before = cluster.cpu_seconds()
            read = cluster.load("fetch", "--topic", topic, "--partitions", row.partitions, "--seconds", self.plan.fetch_s)
            used = cluster.cpu_seconds() - before
            if read["errors"]:
                self.samples.remark(f"fetch.{key}", f"{side}: {read['errors']:,} errors")
            self.samples.add(f"fetch.{key}", side, read["mb_per_s"])
            if read["records"]:
                self.samples.add(f"cpu-fetch.{key}", side, used / (read["records"] * SIZE / 1e9))
            if side == self.theirs and durability not in self.rates:
                self.rates[durability] = ratios.fixed_rate(done["records_per_s"])

    def _check_acks(self, key: str, side: str, done: dict) -> None:
        """An acknowledgement counts only if the record is there afterwards."""
        if done["errors"]:
            self.samples.remark(key, f"{side}: {done['errors']:,} writes failed")
        if done["stored"] < done["acked"]:
            self.samples.remark(key, f"{side}: {done['acked'] - done['stored']:,} acknowledged records are not in the log")
        elif done["stored"] > done["acked"] + done["errors"]:
            self.samples.remark(key, f"{side}: {done['stored'] - done['acked']:,} records more than were acknowledged (sent again by the client)")

    def _latency(self, cluster: Field, side: str, durability: str) -> None:
        topic, rate = f"latency-{durability}", self.rates[durability]
        cluster.topic(topic, MAIN.partitions)
        cluster.settle()
        done = cluster.load("latency", "--topic", topic, "--partitions", MAIN.partitions, "--acks", MAIN.acks, "--size", SIZE, "--rate", rate, "--linger-ms", 0,
                            "--seconds", self.plan.latency_s)
        for kind, name, count in (("ack", "ack_us", done["acked"]), ("end-to-end", "end_to_end_us", done["received"])):
            for quantile in ("p50", "p99", "p999"):
                if not count:  # of no records there is no latency, least of all one of 0 ms
                    self.samples.remark(f"{quantile}.{durability}.{kind}", f"{side}: {NOTHING}")
                    continue
                self.samples.add(f"{quantile}.{durability}.{kind}", side, done[name][quantile] / 1e3)
        key = f"p99.{durability}.end-to-end"
        if done["errors"] or done["received"] != done["acked"]:
            self.samples.remark(key, f"{side}: {done['errors']:,} errors, {done['received']:,} of {done['acked']:,} records received")
        self.samples.add(f"behind.{durability}", side, done["behind_us"] / 1e3)
        self.samples.add(f"client.latency.{durability}", side, done["cpu_s"] / done["seconds"])

    def _faults(self, cluster: Field, side: str, durability: str, live) -> None:
        kinds = self.plan.faults[durability]
        if not kinds:
            return
        cluster.watch()
        for kind in kinds:
            for _ in range(self.plan.repeats):
                live({"kill": "SIGKILL of a leader", "cut": "a leader cut off"}[kind])
                behind = (lambda: self._load_meanwhile(cluster, durability)) if kind == "kill" and durability == PAGE else None
                done = cluster.failover(KILL if kind == "kill" else CUT, self.plan.settle_s, behind)
                self.samples.add(f"failover.{durability}.{kind}", side, done["failover_ms"])
                if done["controller"]:
                    self.samples.remark(f"failover.{durability}.{kind}", f"{side}: every leader was the active controller too")
                if behind:
                    self.samples.add("catchup.kill", side, done["whole_ms"])
                elif kind == "cut":
                    self.samples.add(f"catchup.cut.{durability}", side, done["whole_ms"])

    def _load_meanwhile(self, cluster: Field, durability: str) -> None:
        """The same records on both sides for the node that is away to copy later."""
        cluster.load("produce", "--topic", "f", "--partitions", 3, "--acks", "all", "--size", SIZE, "--rate", self.rates[durability], "--seconds", self.plan.behind_s)

    # ---- what came of it

    def _share(self, durability: str) -> float | None:
        """The rate of the latencies, as a share of the least that they reached."""
        reached = self.samples.of(f"produce.{MAIN.key(durability)}", self.theirs)
        return self.rates[durability] * SIZE / 1e6 / min(reached) if reached and durability in self.rates else None

    def rows(self) -> list[dict]:
        s = self.samples

        def row(key: str, kind: str, title: str, unit: str, better: str, *remarks: str) -> dict:
            return ratios.row(key, kind, title, unit, better, s.of(key, OURS), s.of(key, self.theirs), [*s.remarks.get(key, []), *remarks])

        made = [row("start.first-write", "start", "three nodes ordered to start, to the first acknowledged write (3 replicas)", "ms", ratios.LESS),
                row("memory.idle", "memory", "resident, a node, idle", "MB", ratios.LESS), row("memory.loaded", "memory", "resident, a node, after the load", "MB", ratios.LESS)]
        for durability, rows in self.plan.rows.items():
            made += [row(f"produce.{r.key(durability)}", "produce", r.title(durability), "MB/s", ratios.MORE, *self._client_words(r.key(durability))) for r in rows]
        for durability in self.plan.rows:
            key = MAIN.key(durability)
            made.append(row(f"fetch.{key}", "fetch", f"{WORDS[durability]}, {MAIN.partitions} partitions", "MB/s", ratios.MORE))
        for durability, rows in self.plan.rows.items():
            made += [row(f"cpu.{r.key(durability)}", "cpu", "produce: " + r.title(durability), "s/GB", ratios.LESS) for r in rows]
            made.append(row(f"cpu-fetch.{MAIN.key(durability)}", "cpu", f"fetch: {WORDS[durability]}, {MAIN.partitions} partitions", "s/GB", ratios.LESS))
        for durability in self.plan.rows:
            share = self._share(durability)
            over = share is not None and share > RATE_SHARE_MAX
            remark = [f"the rate is {share:.0%} of their least maximum: too much to compare"] if over else []
            for quantile in ("p50", "p99", "p999"):
                made += [row(f"{quantile}.{durability}.{kind}", quantile, f"{WORDS[durability]}, {self.rates.get(durability, 0):,}/s, {words}", "ms", ratios.LESS, *remark)
                         for kind, words in (("ack", "to the acknowledgement"), ("end-to-end", "to the consumer"))]
        timeouts = {PAGE: "equal timeouts", FSYNC: "default timeouts"}
        for durability, kinds in self.plan.faults.items():
            made += [row(f"failover.{durability}.{kind}", "failover", f"{words}, {timeouts[durability]}, {WORDS[durability]}", "ms", ratios.LESS)
                     for kind, words in (("kill", "SIGKILL of a leader"), ("cut", "a leader cut off")) if kind in kinds]
        made.append(row("catchup.kill", "catchup", "killed node started again, to all in sync", "ms", ratios.LESS))
        made += [row(f"catchup.cut.{d}", "catchup", f"cut healed, to all in sync, {timeouts[d]}", "ms", ratios.LESS) for d, kinds in self.plan.faults.items() if "cut" in kinds]
        return [r | {"shown": ratios.shown(r)} for r in made if r["ours"] or r["theirs"]]

    def _client_words(self, key: str) -> list[str]:
        """The load generator shares the processors: where it takes most of one, the brokers could do more than they were asked."""
        cores = os.cpu_count() or 1
        out = []
        for side in (self.theirs, OURS):
            used = self.samples.of(f"client.{key}", side)
            if used and max(used) > 0.5 * cores:
                out.append(f"{side}: the load generator took {max(used):.1f} of {cores} processors")
        return out

    def document(self) -> dict:
        rows = self.rows()
        return {"ours": OURS, "theirs": self.theirs, "titles": self.titles, "rounds": self.plan.rounds, "nodes": NODES, "rows": rows, "kinds": [list(k) for k in ratios.KINDS],
                "aims": [{"kind": k, "title": t, "holds": h, "of": n, "factor": ratios.AIMS[k]} for k, t, h, n in ratios.aims_met(rows)],
                "rates": {d: {"records_per_s": r, "share_of_their_maximum": self._share(d)} for d, r in self.rates.items()},
                "client_processors": {k.removeprefix("client."): v for k, v in self.samples.values.items() if k.startswith("client.")},
                "generator_behind_ms": {k.removeprefix("behind."): v for k, v in self.samples.values.items() if k.startswith("behind.")},
                "ports_open_ms": self.samples.values.get("start.ports", {}), "failures": self.failures, "equal_timeouts": EQUAL, "settings": self.settings}


def measure(folder: Path, arguments, terminal: Terminal) -> tuple[dict, dict]:
    """(figures, versions)"""
    plan = FULL if arguments.full else QUICK if arguments.quick else DEFAULT
    if arguments.rounds:
        plan = replace(plan, rounds=arguments.rounds)
    options = targets.options_of(arguments.target, arguments)
    duel = Versus(folder, arguments.target, options, plan, terminal)
    return duel.measure(), duel.versions


def show(terminal: Terminal, figures: dict) -> None:
    kinds = dict(ratios.KINDS)
    shown = None
    theirs = figures["titles"].get(figures["theirs"], figures["theirs"])
    terminal.line(f"\n{'median of ' + str(figures['rounds']) + ' alternating turns':<82}{'ours':>9}{theirs:>21}{'better by':>12}{'aim':>6}")
    for row in figures["rows"]:
        if row["kind"] != shown:
            shown = row["kind"]
            terminal.line(terminal.paint(kinds[shown], "bold"))
        said = row["shown"]
        painted = terminal.paint(said["verdict"], "green" if row["holds"] else "yellow") if said["verdict"] else ""
        terminal.line(f"  {row['title'] + ', ' + row['unit']:<80}{said['ours']:>9}{said['theirs']:>21}{said['times']:>12}{said['aim']:>6}  {painted}".rstrip())
        for remark in row["remarks"]:
            terminal.line(f"      {remark}")
    terminal.line()
    for failure in figures["failures"]:
        terminal.line(f"failed: {failure}")
    for aim in figures["aims"]:
        terminal.line(f"aim: {aim['title'].lower()} at least {aim['factor']:g} times better: {aim['holds']} of {aim['of']} rows hold")
