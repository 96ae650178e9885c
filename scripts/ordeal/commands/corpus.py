"""`ordeal corpus`: the known bugs, switched on one by one; each must be caught by name, or the harness is blind to it.

A script is the shortest schedule in which a bug shows. With the switch off it must pass (harsh, but legal); with it on,
the mutated branch must have run and the checker must name the property that the registry gives for the bug.
"""

import json
import re
import subprocess

from ordeal import build, paths, simulator
from ordeal.cli import Parser
from ordeal.errors import HARNESS, PASS, VIOLATION, usage

SEARCH_SEEDS = 60


def parser() -> Parser:
    p = Parser("corpus", "Switch the known bugs on, one by one, in simulated clusters, and see whether the checker names what they break. "
               "A bug counts as caught only if its branch ran.", "  ./ordeal corpus\n  ./ordeal corpus --bug A1\n  ./ordeal corpus --search --bug A5")
    p.add_argument("--group", metavar="LETTER", help="only bugs of this group: A (replication), B (idempotence), E (disk), ...")
    p.add_argument("--bug", metavar="NAME", help="only this bug, by id (A1) or name (repl.truncate_to_hw)")
    p.add_argument("--search", action="store_true", help=f"look for each with random faults too, over up to {SEARCH_SEEDS} seeds")
    p.add_argument("--json", action="store_true", help="print one JSON object a bug")
    return p


def main(arguments, terminal) -> int:
    build.ensure(terminal, ("ordeal-sim",))
    rows = []
    for bug in wanted(arguments):
        terminal.live("corpus", bug)
        row = play(bug)
        if arguments.search:
            row["found_at_seed"] = search(row["name"], terminal)
        rows.append(row)
        if arguments.json:
            print(json.dumps(row), flush=True)
        terminal.line(line_of(row))
    caught = sum(row["caught"] for row in rows)
    blind = [row["id"] for row in rows if not row["caught"]]
    noisy = [row["id"] for row in rows if row["off"] != PASS]
    terminal.line(f"{caught} of {len(rows)} known bugs caught" + (f"; missed: {', '.join(blind)}" if blind else "")
                  + (f"; a script fails without its bug: {', '.join(noisy)}" if noisy else ""))
    return VIOLATION if noisy else HARNESS if blind else PASS


def scripted() -> list[str]:
    """Ids of the bugs that have a script: the program lists them when asked for one that is none."""
    done = subprocess.run([str(paths.binary("ordeal-sim")), "--scenario", "none"], capture_output=True, text=True)
    return re.findall(r"\b[A-Z]\d+\b", done.stderr)


def wanted(arguments) -> list[str]:
    ids = scripted()
    if arguments.bug:
        name = arguments.bug
        ids = [i for i in ids if i == name] if re.fullmatch(r"[A-Z]\d+", name) else [i for i in ids if play(i)["name"] == name]
    if arguments.group:
        ids = [i for i in ids if i.startswith(arguments.group)]
    if not ids:
        raise usage("there is no such bug with a script", f"one of: {', '.join(scripted())}")
    return ids


def play(bug: str) -> dict:
    off = simulator.world(["--scenario", bug])
    on = simulator.world(["--scenario", bug, "--mutate"])
    name, ran = next(iter((on.get("mutations_ran") or {}).items()), ("?", 0))
    return {"id": bug, "name": name, "off": off["exit"], "ran": ran, "caught": bool(on.get("caught")), "named": on.get("named"),
            "sentence": on.get("sentence")}


def search(name: str, terminal) -> int | None:
    """The first seed of the random plan in which the bug is caught."""
    for seed in range(1, SEARCH_SEEDS + 1):
        terminal.live("search", f"{name}: seed {seed}")
        if simulator.world(["--seed", str(seed), "--mutate", name])["exit"] == VIOLATION:
            return seed
    return None


def line_of(row: dict) -> str:
    outcome = f"caught as {row['named']}" if row["caught"] else "MISSED" + ("" if row["ran"] else ": its branch never ran")
    found = f" · random faults find it at seed {row['found_at_seed']}" if row.get("found_at_seed") else (
        f" · not found in {SEARCH_SEEDS} random seeds" if "found_at_seed" in row else "")
    legal = "" if row["off"] == PASS else " · the script FAILS without the bug"
    return f"  {row['id']:<4} {row['name']:<32} {outcome} (ran {row['ran']:,}×){found}{legal}"
