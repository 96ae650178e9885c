"""Ground truth: configurations whose fate is known beforehand, and whether a trial of each ends as it must.

A checker that never finds a loss and one that finds losses everywhere both look fine on one kind of configuration. So the table has
both kinds, under the same faults: some must lose acknowledged writes, the others must not. Expected is what docs/promises.md says of
the settings. What a configuration does not promise is *allowed* under the declared promises; where it must be found, the same
history is judged again against the promise set `durable`, under which each lost record is a violation.
"""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import NamedTuple

from ordeal import facts, paths, verdict
from ordeal.errors import HARNESS, OUTCOME_WORDS, PASS, UNKNOWN, VERDICT_CODES, VIOLATION, worst

NONE, FOUND, MAY = "none", "found", "may"
AGREES, DIFFERS, OPEN = "agrees", "differs", "undecided"
TARGETS = ("ordeal", "kafka")
LOAD = ("--partitions", "3", "--producers", "2", "--consumers", "2", "--rate", "1500", "--durability", "page-cache")
PROGRAMS = {"ordeal": ("ordeal-broker",), "kafka": ()}  # besides those that every trial needs
LOST = "lost-write"


class Config(NamedTuple):
    """`promised`: of the property that no acknowledged write is lost, under this plan. `lost`: what must be seen of it."""

    name: str
    plan: str
    acks: str
    idempotence: bool
    min_isr: int
    rf: int
    unclean: bool
    promised: str
    lost: str
    why: str

    @property
    def words(self) -> list[str]:
        return ["--acks", self.acks, "--idempotence" if self.idempotence else "--no-idempotence", "--min-isr", str(self.min_isr), "--rf", str(self.rf),
                "--set", f"unclean.leader.election.enable={str(self.unclean).lower()}", *LOAD]

    @property
    def expected(self) -> str:
        return f"{'promised' if self.promised == 'promised' else 'not promised'}, " + {
            NONE: "none lost", FOUND: "losses must be found", MAY: "either"}[self.lost]


CONFIGS = (
    Config("acks1", "truth", "1", False, 1, 3, False, "allowed", FOUND, "the leader that is cut off acknowledges alone until it learns of its successor"),
    Config("all-min2", "truth", "all", True, 2, 3, False, "promised", NONE, "an acknowledged record is on every in-sync replica, and one of those leads next"),
    Config("unclean", "outsider", "all", True, 1, 3, True, "allowed", FOUND, "what the leader acknowledged as the only in-sync replica is not on the one that takes over"),
    Config("all-min1", "outsider", "all", True, 1, 3, False, "promised", NONE, "the same faults: with clean elections writes stop until the only in-sync replica is back"),
    Config("acks0", "truth", "0", False, 1, 3, False, "allowed", FOUND, "nobody ever says that a record arrived"),
    Config("all-min2-plain", "truth", "all", False, 2, 3, False, "promised", NONE, "idempotence is about copies and order: without it a record may appear twice, not vanish"),
    Config("all-one-copy", "truth", "all", True, 1, 1, False, "promised", NONE, "only one replica has the record, and it can only stop: a killed process keeps its page cache"),
    Config("unclean-acks1", "outsider", "1", False, 1, 3, True, "allowed", FOUND, "both at once"),
    Config("acks1-one-copy", "truth", "1", False, 1, 1, False, "allowed", MAY, "the leader restarts, which acks=1 does not cover; yet nobody else could lead instead"),
)


def programs_key(target: str) -> str:
    """What a row is true of: the programs that took part. Documents and unrelated changes leave it as it is."""
    found = hashlib.sha256()
    for name in ("ordeal-nemesis", "ordeal-workload", "ordeal-check", *PROGRAMS[target]):
        found.update(paths.binary(name).read_bytes())
    return found.hexdigest()[:12]


def commit() -> str:
    """Of programs that were built elsewhere nobody knows it; their key still tells them apart."""
    return "prebuilt" if paths.prebuilt() else facts.versions().get("commit", "unknown")


def config_key(config: Config, seed: int, time_s: float) -> str:
    plan = (paths.PLANS / f"{config.plan}.yaml").read_text()
    return hashlib.sha256(json.dumps([config.words, plan, seed, time_s]).encode()).hexdigest()[:12]


def new_row(config: Config, target: str, seed: int, time_s: float) -> dict:
    told = config._asdict() | {"target": target, "seed": seed, "time_s": time_s, "expected": config.expected}
    return told | {"programs": programs_key(target), "config": config_key(config, seed, time_s), "commit": commit(),
                   "started": time.strftime("%Y-%m-%dT%H:%M:%S"), "busy": round(os.getloadavg()[0], 1), "again": again(config, target, seed, time_s)}


def again(config: Config, target: str, seed: int, time_s: float) -> str:
    return f"./ordeal run --target {target} --plan {config.plan} --time {time_s:g}s --seed {seed} {' '.join(config.words)}"


def failed(row: dict, why: str) -> dict:
    """The trial could not be held: that says nothing about the configuration."""
    return row | {"exit": HARNESS, "code": OPEN, "why_not": why}


def measured(row: dict, folder: Path) -> dict:
    """What a finished trial's folder says, and whether that is what had to come. Leaves the folder's verdict as it was."""
    declared, trial = verdict.load(folder), json.loads((folder / "trial.json").read_text())
    exit_code, counts = VERDICT_CODES[declared["verdict"]], declared.get("counts") or {}
    lost = _property(declared, LOST)
    row = row | {"exit": exit_code, "verdict": declared["verdict"], "sentence": declared["sentence"], "reasons": declared.get("reasons", []),
                 "broker": trial.get("broker"), "versions": trial.get("versions"), "folder": str(folder), "faults": faults(folder),
                 "promised_here": lost.get("promised"), "because": lost.get("why"), "lost_count": lost.get("count", 0),
                 "violated": [p["name"] for p in declared["properties"] if p.get("status") == "violated"],
                 "allowed": {p["name"]: p["count"] for p in declared["properties"] if p.get("status") == "allowed" and p.get("count")},
                 "sends": {k: counts.get(f"sends_{k}", 0) for k in ("ok", "info", "fail")}, "drained": counts.get("partitions_drained", 0)}
    if exit_code == PASS and row["lost_count"]:
        row["durable"] = _durable(folder)
    row["code"], row["why_not"] = _compared(row)
    return row


def _durable(folder: Path) -> dict:
    """The same history under the promise set `durable`; then the declared verdict again, which is what the folder's report shows."""
    try:
        verdict.judge(folder, "durable")
        found = verdict.load(folder)
    finally:
        verdict.judge(folder)
    lost = _property(found, LOST)
    witness = next((v for v in found.get("violations", []) if v.get("property") == LOST), None)
    return {"verdict": found["verdict"], "lost": lost.get("violated", 0), "witness": witness and {k: witness[k] for k in ("title", "story", "faults")}}


def _compared(row: dict) -> tuple[str, str]:
    if row["exit"] == UNKNOWN:
        return OPEN, "; ".join(row["reasons"]) or row["sentence"]
    if row["exit"] == VIOLATION:
        return DIFFERS, "violated: " + ", ".join(row["violated"])
    if row["promised"] == "promised" and row["promised_here"] != "promised":
        return DIFFERS, f"that no acknowledged write is lost was {row['promised_here']} ({row['because']}), and should be promised"
    if row["lost"] == NONE and row["lost_count"]:
        return DIFFERS, f"{row['lost_count']} acknowledged writes are lost"
    if row["lost"] == FOUND and not row["lost_count"]:
        return DIFFERS, "no lost write was found, although there must be some"
    if row["lost_count"] and not row["durable"]["lost"]:
        return DIFFERS, "the promise set durable does not count the lost writes as violations"
    return AGREES, ""


def _property(found: dict, name: str) -> dict:
    return next((p for p in found["properties"] if p["name"] == name), {})


def faults(folder: Path) -> dict[str, int]:
    """How many of each kind took hold, verified."""
    kinds: dict[str, int] = {}
    for line in (folder / "faults.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event.get("event") == "fault.begin" and event.get("verified") and event.get("kind"):
            kinds[event["kind"]] = kinds.get(event["kind"], 0) + 1
    return dict(sorted(kinds.items()))


class Ledger:
    """Finished rows, a line each: an interrupted campaign goes on behind the last one. Undecided rows are held again.

    What was measured stays; whether it is what had to come is asked anew, of the configuration as it stands now.
    """

    def __init__(self, path: Path):
        self.path = path

    def find(self, row: dict) -> dict | None:
        same = ("name", "target", "programs", "config")
        rows = [r for r in self._rows() if r["code"] != OPEN and all(r.get(k) == row[k] for k in same)]
        if not rows:
            return None
        found = rows[-1] | {k: row[k] for k in (*Config._fields, "expected")}
        found["code"], found["why_not"] = _compared(found)
        return found

    def add(self, row: dict) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a") as file:
            file.write(json.dumps(row) + "\n")

    def _rows(self) -> list[dict]:
        rows = []
        for line in self.path.read_text().splitlines() if self.path.is_file() else []:
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue  # a torn line: that trial is held again
        return rows


def outcome(rows: list[dict]) -> int:
    """A row that differs is a failure, whoever is at fault; one that is undecided leaves the whole open."""
    return worst([VIOLATION if row["code"] == DIFFERS else row["exit"] if row["code"] == OPEN else PASS for row in rows])


def found_words(row: dict) -> str:
    """The measured verdict in a few words."""
    if row["exit"] == HARNESS:
        return "not held"
    words = [OUTCOME_WORDS[row["exit"]]]
    words.append(f"{row['lost_count']:,} lost" + (", allowed" if LOST in row["allowed"] else ""))
    if row.get("durable"):
        words.append(f"under durable: {row['durable']['lost']:,} violations")
    return " · ".join(words)
