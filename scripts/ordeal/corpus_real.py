"""Known bugs on real processes: which fault plans of `ordeal run` can show which bug, and trials until one does.

Which schedule the machine plays is its own affair, so a bug gets a few seeds; a plan is kept here only if it passes without
the bug. What needs a power cut or damaged bytes cannot be shown: real disks lose nothing when a process dies. Only what the history
shows can be named: a bug that the simulator names by an invariant is named here by what clients see of it.
"""

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import NamedTuple

from ordeal import build, options, runs
from ordeal.errors import HARNESS, UNKNOWN, VIOLATION, OrdealError
from ordeal.trial import Trial

SEEDS = (1, 2, 3)
POWER = "the real disk layer has no power cut yet: what a process wrote survives its death"
DAMAGE = "the real disk layer damages no bytes yet"
RETENTION = "retention has to act for a while only, and plans on real processes change no topic's settings; where it acts all the time whole logs are not judged"


class Real(NamedTuple):
    """How real processes show a bug. `named`: what the history shows of it, where that is not what the registry names."""

    plan: str
    time: str
    named: str | None = None

    @property
    def words(self) -> list[str]:
        return ["--time", self.time]


PLANS = {
    "repl.truncate_to_hw": Real("double-failover", "24s"),
    "repl.epoch_reply_offset_only": Real("turncoats", "22s"),
    "repl.ignore_fetch_leader_epoch": Real("deaf-follower", "28s"),
    "repl.skip_truncate_if_same_leader": Real("deaf-follower", "28s"),
    "repl.session_skips_epoch_check": Real("deaf-follower", "28s"),
    "isr.expand_at_hw_only": Real("forgetful-leader", "22s"),
    # Consumers were shown what the next leader does not have; whether an acknowledgement got out before the kill is a matter of luck.
    "repl.count_diverging_fetch": Real("longer-follower", "22s", "inconsistent-offsets"),
    "repl.hw_counts_old_epoch_fetch": Real("hard-of-hearing", "26s", "inconsistent-offsets"),
    "isr.hw_below_min_isr": Real("lonely-leader", "22s", "inconsistent-offsets"),
    "repl.list_offsets_before_leso": Real("double-failover", "24s"),
    "repl.oor_resets_to_start": Real("longer-follower", "22s"),
    "repl.hw_over_empty_replica_map": Real("short-heir", "22s"),
    "idem.dup_is_out_of_order": Real("lost-replies", "24s"),
    "disk.epoch0_skipped": Real("lone-tail", "22s"),
    "raft.apply_uncommitted": Real("zombie-controller", "22s", "lost-write"),
    "ctl.accept_stale_epoch": Real("late-proposal", "22s"),
}
NO_PLAN = {
    "repl.fetch_without_epoch_lookup": POWER, "isr.keep_unclean_last": POWER, "disk.no_dir_fsync": POWER, "disk.epoch_ckpt_unsynced": POWER,
    "disk.producer_snapshot_unsynced": POWER, "disk.keep_clean_marker": POWER, "disk.skip_crc": DAMAGE,
    "isr.hw_uses_committed_isr_only": "the follower would have to be admitted and lost again before its leader hears of it: one trial in eight played it "
                                      "by luck",
    "isr.ignore_broker_epoch": "the real disk layer cannot lose a replica's log yet, so one that restarted has all that it had fetched",
    "repl.epoch_start_on_first_append": "the follower cuts at its own high watermark, which on a real network lags for less than a round trip; "
                                        "that one word would have to be lost alone",
    "repl.truncate_on_stale_reply": "one answer would have to be late while later messages of the same replica are not: real faults hit whole links",
    "disk.delete_past_hw": RETENTION, "disk.reuse_offset_after_prefix_truncate": RETENTION,
    "disk.stale_index_after_truncate": "a lookup past its target only costs time or an answer that is asked for again; histories show nothing of it",
    "raft.no_fsync": POWER,
    "raft.relead_same_epoch": "the restarted controller still has its log, so what it does in its old term follows from it; only with a power cut "
                              "would clients see two histories",
    "raft.vote_not_persisted": "the process would have to die between the answer and the write, within less than a millisecond",
    "raft.commit_old_term": "three elections with partial copies of single entries: too narrow for real time, and the metadata is not in the history",
    "raft.truncate_below_hw": POWER,
    "raft.no_check_quorum": "two controllers come about (zombie-controller), but the old one commits nothing without a majority, and brokers act only "
                            "on what is committed: clients see nothing of it",
    "raft.overlapping_reconfig": "plans on real processes change no voters",
    "raft.snapshot_off_by_one": "the broker with the wrong snapshot misses one record of metadata, which histories do not hold",
    "ctl.isr_allows_fenced": "a fenced member is never elected, and the leader waits for it: writes stop for a while, and nothing else is seen",
}
OTHERWISE = "no plan of real faults plays its schedule often enough"


def play(bug: dict, folder: Path, terminal) -> dict:
    """What goes into the row as `real`: caught or not, by which plan, or why it is not tried."""
    name = bug["name"]
    if name not in PLANS:
        only = f"{bug['property']} is asserted by the simulator only" if bug["property"][:1].isupper() else OTHERWISE
        return {"tried": False, "why": NO_PLAN.get(name, only)}
    plan, words, expected = PLANS[name].plan, PLANS[name].words, PLANS[name].named or bug["property"]
    row, began = {"tried": True, "plan": plan, "caught": False, "seeds": 0, "expected": expected}, time.monotonic()
    for seed in SEEDS:
        row["seeds"] += 1
        code, where = _trial(plan, seed, [*words, "--mutate", name], folder / f"real-{bug['id']}-{seed}", terminal)
        named = _broken(where)
        row |= {"seed": seed, "folder": str(where), "ran": ran(where, name), "named": named, "exit": code}
        if code == VIOLATION and expected in named and row["ran"]:
            row["caught"] = True
            break
    row["took_s"] = round(time.monotonic() - began, 1)
    row["again"] = f"./ordeal run --plan {plan} --seed {row['seed']} {' '.join(words)} --mutate {name}"
    return row


def _trial(plan: str, seed: int, words: list[str], where: Path, terminal) -> tuple[int, Path]:
    parser = argparse.ArgumentParser()
    options.add_trial_options(parser)
    shutil.rmtree(where, ignore_errors=True)
    spec = options.resolve(parser.parse_args(["--plan", plan, "--seed", str(seed), "--out", str(where), *words]))
    spec.command = f"./ordeal run --plan {plan} --seed {seed} {' '.join(words)}"
    build.ensure(terminal)
    try:
        return Trial(spec, terminal).run(), where
    except OrdealError as error:
        if error.code not in (HARNESS, UNKNOWN):
            raise
        terminal.line(f"  {error.message}")
        return HARNESS, where
    except OSError as error:
        terminal.line(f"  {runs.harness_error(error).message}")
        return HARNESS, where


def _broken(folder: Path) -> list[str]:
    path = folder / "verdict.json"
    if not path.is_file():
        return []
    return [p["name"] for p in json.loads(path.read_text()).get("properties", []) if p.get("status") == "violated"]


def ran(folder: Path, bug: str) -> int:
    """How often the switched-on branch decided, over all brokers. One that was stopped told the sum at the end; one that was
    killed had told at least its first time."""
    total = 0
    for trace in folder.glob("nodes/*/trace.jsonl"):
        told = 0
        for line in trace.read_text().splitlines():
            if '"broker.start"' in line:
                total, told = total + told, 0
            elif '"mutation.ran"' in line and line.endswith("}") and (event := json.loads(line)).get("name") == bug:
                told = event.get("count", 0)
        total += told
    return total
