"""`ordeal truth`: configurations that must lose acknowledged writes and configurations that must not, each in a trial of its own."""

import argparse
import json
import shlex
import shutil
import time
from pathlib import Path

from ordeal import build, options, paths, runs, truth
from ordeal.cli import Parser
from ordeal.errors import HARNESS, UNKNOWN, OrdealError, usage
from ordeal.terminal import seconds
from ordeal.trial import Trial

COLOURS = {truth.AGREES: "green", truth.DIFFERS: "red", truth.OPEN: "yellow"}
RECORD = paths.ROOT / "docs" / "truth.json"


def parser() -> Parser:
    p = Parser("truth", "Trials of configurations whose fate is known beforehand, one after the other: acks, idempotence, min ISR, replicas and unclean "
               "election, under kills, pauses and partitions. Some must lose acknowledged writes and the checker must find them; the others must not. "
               "Interrupted, it goes on where it stopped.",
               "  ./ordeal truth --target kafka\n  ./ordeal truth --only acks1 --only unclean\n  ./ordeal truth --record")
    p.add_argument("--target", choices=truth.TARGETS, help="only this broker (default: both)")
    p.add_argument("--only", action="append", default=[], metavar="NAME", help=f"only this configuration: {', '.join(c.name for c in truth.CONFIGS)}")
    p.add_argument("--time", default="90s", metavar="T", help="how long each is driven and broken (default 90s; under 70s the drawn faults have no room)")
    p.add_argument("--seed", type=int, default=1, metavar="N", help="draws the faults after the scripted ones (default 1)")
    p.add_argument("--afresh", action="store_true", help="also those that the ledger has already")
    p.add_argument("--keep", action="store_true", help="keep the folder of a trial that ended as it had to")
    p.add_argument("--record", action="store_true", help="enter the rows into docs/truth.json and the table of docs/truth.md")
    p.add_argument("--json", action="store_true", help="print one JSON object a row")
    return p


def main(arguments, terminal) -> int:
    time_s = options.seconds_of(arguments.time)
    chosen = wanted(arguments.only)
    build.ensure(terminal)
    base = paths.runs_dir() / "truth"
    ledger, rows = truth.Ledger(base / "ledger.jsonl"), []
    for target in [arguments.target] if arguments.target else truth.TARGETS:
        for config in chosen:
            row = truth.new_row(config, target, arguments.seed, time_s)
            known = None if arguments.afresh else ledger.find(row)
            if known is None:
                row = held(config, row, base / f"{target}-{config.name}", arguments.keep, terminal)
                ledger.add(row)
            rows.append(known or row)
            terminal.line(line_of(rows[-1], terminal) + (" (from the ledger)" if known else ""))
            if rows[-1]["code"] != truth.AGREES:
                terminal.line(f"    {rows[-1]['why_not']}: {paths.shown(Path(rows[-1].get('folder', base)))}")
            if arguments.json:
                print(json.dumps(rows[-1]), flush=True)
    if arguments.record:
        from reports import truth as pages

        pages.record(RECORD, rows)
        terminal.line(f"recorded: {paths.shown(RECORD)}, {paths.shown(RECORD.with_suffix('.md'))}")
    codes = [row["code"] for row in rows]
    terminal.line(" · ".join([f"{codes.count(truth.AGREES)} of {len(rows)} as expected",
                              *(f"{codes.count(code)} {code}" for code in (truth.DIFFERS, truth.OPEN) if code in codes)]))
    return truth.outcome(rows)


def wanted(names: list[str]) -> list[truth.Config]:
    known = [c.name for c in truth.CONFIGS]
    for name in names:
        if name not in known:
            raise usage(f"there is no configuration '{name}'", f"one of: {', '.join(known)}")
    return [c for c in truth.CONFIGS if not names or c.name in names]


def held(config: truth.Config, row: dict, folder: Path, keep: bool, terminal) -> dict:
    """One trial. Its folder stays unless it ended as it had to."""
    shutil.rmtree(folder, ignore_errors=True)
    trial_parser, began = argparse.ArgumentParser(), time.monotonic()
    options.add_trial_options(trial_parser)
    given = trial_parser.parse_args([*shlex.split(row["again"])[2:], "--out", str(folder)])
    spec = options.resolve(given)
    spec.command = row["again"]
    try:
        Trial(spec, terminal).run()
        row = truth.measured(row, folder)
    except OrdealError as error:
        if error.code not in (HARNESS, UNKNOWN):
            raise
        row = truth.failed(row, error.message) | {"folder": str(folder)}
    except OSError as error:
        row = truth.failed(row, runs.harness_error(error).message) | {"folder": str(folder)}
    row["took_s"] = round(time.monotonic() - began, 1)
    if row["code"] == truth.AGREES and not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return row


def line_of(row: dict, terminal) -> str:
    code = terminal.paint(f"{row['code']:<10}", COLOURS[row["code"]])
    kinds = ", ".join(f"{n} {kind}" for kind, n in (row.get("faults") or {}).items())
    words = [truth.found_words(row), f"expected {row['expected']}", kinds, seconds(row.get("took_s", 0))]
    return f"  {row['target']:<7}{row['name']:<16}{code} " + " · ".join(w for w in words if w)
