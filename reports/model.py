"""Reads a run folder and shapes it for the page, the JUnit file and the summary: words, units and order, no figures.

A run may have ended early (the harness failed), so each file but verdict.json may be missing; what was not recorded is
said as such instead of being drawn as zero.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from reports import invariants

ROOT = Path(__file__).resolve().parent.parent
SECOND = 1_000_000_000

STATUS_WORDS = {"held": "held", "violated": "violated", "allowed": "allowed", "unknown": "unknown"}
PROMISE_WORDS = {"promised": "promised", "allowed": "not promised", "not-judged": "not judged"}
VERDICT_WORDS = {"pass": "PASS", "fail": "FAIL", "unknown": "UNKNOWN"}

KIND_WORDS = {
    "net.isolate": "cut off", "net.partition": "partitioned", "net.halves": "split in halves", "net.link": "link cut",
    "net.simplex": "cut one way", "net.bridge": "bridged", "net.client": "cut from clients",
    "net.leader_from_brokers": "cut from the brokers", "proc.kill": "killed", "proc.pause": "paused",
    "proc.restart": "restarted", "proc.stop": "stopped",
}


@dataclass
class Run:
    folder: Path
    verdict: dict
    aggregates: dict = field(default_factory=dict)
    trial: dict = field(default_factory=dict)
    events: list = field(default_factory=list)

    @property
    def kind(self) -> str:
        return self.verdict.get("verdict", "unknown")

    @property
    def t0(self) -> int:
        return self.aggregates.get("t0_ns") or 0

    @property
    def name(self) -> str:
        return self.trial.get("name") or self.verdict.get("run_id") or self.folder.name

    @property
    def violations(self) -> list:
        return self.verdict.get("violations", [])

    @property
    def properties(self) -> list:
        return self.verdict.get("properties", [])

    def faults(self) -> list:
        return self.aggregates.get("faults", [])

    def evidence(self, fault: dict) -> str:
        """What proved that the fault acted, or why it did not."""
        whys = [e.get("why") for e in self.events if e.get("id") == fault.get("id") and e.get("why")]
        return "; ".join([p for p in [fault.get("evidence")] if p] or whys) or "–"

    def moment(self, t_ns: int | None, digits: int = 3) -> str:
        """Time since the trial's start: 00:23.418."""
        if not isinstance(t_ns, int) or t_ns < 0:
            return "not recorded"
        value = (t_ns - self.t0) / SECOND
        sign, value = ("-", -value) if value < 0 else ("", value)
        return f"{sign}{int(value) // 60:02d}:{value % 60:0{3 + digits}.{digits}f}"


def load(folder: Path) -> Run:
    folder = Path(folder)
    trial = _object(folder / "trial.json", {})
    if trial.get("world") == "sim":
        trial["command"] = f"./ordeal replay {_shown(folder)}"  # the program that wrote it does not know where it will be read
    verdict, aggregates = _worst_first(_object(folder / "verdict.json")), _object(folder / "aggregates.json", {})
    if trial.get("world") == "sim":
        invariants.explain(folder, verdict, aggregates)
    return Run(folder=folder, verdict=verdict, aggregates=aggregates,
               trial=trial, events=_lines(folder / "faults.jsonl"))


def _shown(folder: Path) -> str:
    """As somebody would type it who stands in the tree, if the folder is inside it."""
    try:
        return str(folder.resolve().relative_to(ROOT))
    except ValueError:
        return str(folder.resolve())


def _worst_first(verdict: dict) -> dict:
    """Broken promises before what was merely seen; the properties' references follow."""
    ranks = {"violated": 0, "unknown": 1}
    old = verdict.get("violations", [])
    order = sorted(range(len(old)), key=lambda i: ranks.get(old[i].get("status"), 2))
    verdict["violations"] = [old[i] for i in order]
    for row in verdict.get("properties", []):
        if row.get("first_violation") in order:
            row["first_violation"] = order.index(row["first_violation"])
    return verdict


def _object(path: Path, default=None) -> dict:
    if default is not None and not path.exists():
        return default
    return json.loads(path.read_text())


def _lines(path: Path) -> list:
    if not path.exists():
        return []
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break  # a torn tail: the writer was killed
    return rows


def number(value) -> str:
    """18,204 and never 18204.0; what is absent is a dash."""
    if not isinstance(value, (int, float)):
        return "–"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{int(value):,}"


def plural(count: int, one: str, many: str | None = None) -> str:
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def nodes_of(value) -> list[int]:
    """Broker numbers in whatever names a fault's targets: "n2", ["n1","n3"], 2, {"targets":["n2"]}, "n2 and n1"."""
    if isinstance(value, bool) or value is None:
        return []
    if isinstance(value, int):
        return [value]
    if isinstance(value, str):
        return [int(n) for n in re.findall(r"\bn(\d+)\b", value)]
    if isinstance(value, dict):
        value = [value.get("targets")]
    return [n for item in value for n in nodes_of(item)]


def words_of(value) -> str:
    if not value and value != 0:
        return "–"
    if isinstance(value, (list, tuple)):
        return ", ".join(words_of(v) for v in value)
    if isinstance(value, dict):
        return ", ".join(f"{k} {words_of(v)}" for k, v in value.items())
    return str(value)


def kind_words(kind: str) -> str:
    return KIND_WORDS.get(kind, kind.split(".")[-1].replace("_", " "))


def sentence_case(text: str) -> str:
    """Names such as t-0 or n2 stay as they are."""
    first = text.split(" ", 1)[0]
    return text[:1].upper() + text[1:] if first.isalpha() else text


def process_words(process) -> str:
    return f"client {process}" if isinstance(process, int) else str(process)


def configuration(run: Run) -> list[str]:
    """The line under the sentence: what was judged, in the fewest words."""
    trial, load_ = run.trial, run.trial.get("workload", {})
    topics = load_.get("topics") or [{}]
    parts = []
    if trial.get("nodes"):
        parts.append(plural(len(trial["nodes"]), "broker"))
    if trial.get("target"):
        parts.append("simulated" if trial.get("world") == "sim" else trial.get("broker") or trial["target"])
    durability = {"fsync": "fsync before acknowledging", "page-cache": "page cache"}
    parts.append(durability.get(trial.get("durability"), trial.get("durability")))
    if "acks" in load_:
        parts.append(f"acks={'all' if load_['acks'] == -1 else load_['acks']}")
    if "idempotence" in load_:
        parts.append("idempotent producers" if load_["idempotence"] else "idempotence off")
    config = trial.get("config") or {}
    if isinstance(config, dict) and config.get("min.insync.replicas"):
        parts.append(f"min ISR {config['min.insync.replicas']}")
    if topics[0].get("replication"):
        parts.append(f"{plural(sum(t.get('partitions', 0) for t in topics), 'partition')} × {topics[0]['replication']} replicas")
    if trial.get("time_s"):
        parts.append(f"{number(trial['time_s'])} s")
    if trial.get("seed") is not None:
        parts.append(f"seed {trial['seed']}")
    parts += [f"bug switched on: {m}" for m in trial.get("mutations", [])]
    return [p for p in parts if p]


def tiles(run: Run) -> list[tuple[str, str, str]]:
    """(figure, what it counts, a remark) for the row under the sentence."""
    c = run.verdict.get("counts", {})
    acted = [f for f in run.faults() if f.get("status") in ("acted", "healed", "ok", None) and f.get("verified", True)]
    landed = f"{number(c.get('info_landed'))} landed, {number(c.get('info_absent'))} did not"
    rows = [(number(c.get("sends_ok")), "writes acknowledged", f"{number(c.get('sends_fail'))} refused"),
            (number(c.get("sends_info")), "writes with unknown outcome", landed),
            (number(c.get("reads")), "records read", plural(c.get("polls") or 0, "poll")),
            (f"{number(c.get('partitions_drained'))} / {number(c.get('partitions'))}", "partitions read to their end",
             f"{number(c.get('audited'))} records audited"),
            (f"{len(acted)} / {len(run.faults())}", "faults took hold", "each verified")]
    return rows
