"""Known bugs on real processes: which fault plans of `ordeal run` can show which bug, and trials until one does.

Which schedule the machine plays is its own affair, so a bug gets a few seeds; a plan is kept here only if it passes without
the bug. What needs a power cut or damaged bytes cannot be shown: real disks lose nothing when a process dies.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

from ordeal import build, options, runs
from ordeal.errors import HARNESS, UNKNOWN, VIOLATION, OrdealError
from ordeal.trial import Trial

SEEDS = (1, 2, 3)
POWER = "the real disk layer has no power cut yet: what a process wrote survives its death"
# bug: (plan, further words of `ordeal run`)
PLANS = {
    "repl.truncate_to_hw": ("double-failover", ("--time", "24s")),
    "repl.list_offsets_before_leso": ("double-failover", ("--time", "24s")),
    "idem.dup_is_out_of_order": ("lost-replies", ("--time", "24s")),
}
NO_PLAN = {
    "repl.fetch_without_epoch_lookup": POWER, "isr.keep_unclean_last": POWER, "disk.no_dir_fsync": POWER, "disk.epoch_ckpt_unsynced": POWER,
    "disk.producer_snapshot_unsynced": POWER, "raft.no_fsync": POWER, "disk.keep_clean_marker": POWER,
    "disk.skip_crc": "the real disk layer damages no bytes yet",
}
OTHERWISE = "no plan of real faults plays its schedule often enough"


def play(bug: dict, folder: Path, terminal) -> dict:
    """What goes into the row as `real`: caught or not, by which plan, or why it is not tried."""
    name = bug["name"]
    if name not in PLANS:
        only = f"{bug['property']} is asserted by the simulator only" if bug["property"][:1].isupper() else OTHERWISE
        return {"tried": False, "why": NO_PLAN.get(name, only)}
    plan, words = PLANS[name]
    row, began = {"tried": True, "plan": plan, "caught": False, "seeds": 0}, time.monotonic()
    for seed in SEEDS:
        row["seeds"] += 1
        code, where = _trial(plan, seed, [*words, "--mutate", name], folder / f"real-{bug['id']}-{seed}", terminal)
        named = _broken(where)
        row |= {"seed": seed, "folder": str(where), "ran": ran(where, name), "named": named, "exit": code}
        if code == VIOLATION and bug["property"] in named and row["ran"]:
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
