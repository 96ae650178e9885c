"""`ordeal soak`: many trials by seed, with a ledger that makes it resumable.

Each finished trial is one line of runs/soak-<name>/ledger.jsonl. Started again with the same name, seeds that are in
the ledger are not run again, unless the harness failed on them or the commit changed.
"""

import copy
import json
import shutil
import time
from pathlib import Path

from ordeal import build, facts, options, paths, runs
from ordeal.cli import Parser
from ordeal.errors import HARNESS, PASS, UNKNOWN, VIOLATION, OrdealError, usage, worst
from ordeal.errors import OUTCOME_WORDS as WORDS
from ordeal.terminal import count, seconds
from ordeal.trial import Trial


def parser() -> Parser:
    p = Parser("soak", "Many trials, one seed after another, each with all options of `ordeal run`; with --sim many simulated worlds instead. "
               "Resumable.",
               "  ./ordeal soak --trials 10 --time 90s\n  ./ordeal soak --name night --hours 8 --plan kills\n  ./ordeal soak --sim --seeds 1000 --jobs 2 --ledger")
    p.add_argument("--trials", type=int, default=10, metavar="N", help="how many (default 10)")
    p.add_argument("--hours", type=float, metavar="H", help="start no trial after so many hours")
    p.add_argument("--first", type=int, metavar="N", help="the first seed (default 1; with --ledger: behind the last one that this commit went through)")
    p.add_argument("--name", default="default", help="names the ledger; the same name resumes (default: default)")
    p.add_argument("--sim", action="store_true", help="simulated worlds, each drawn from its seed, instead of trials on real processes")
    p.add_argument("--seeds", type=int, metavar="N", help="with --sim: how many worlds (default 1000)")
    p.add_argument("--jobs", type=int, metavar="N", help="with --sim: processes at a time (default: one a processor)")
    p.add_argument("--ledger", action="store_true", help="with --sim: enter the seeds into docs/ledger.json, for this commit")
    options.add_trial_options(p)
    return p


def main(arguments, terminal) -> int:
    if (arguments.jobs is not None and arguments.jobs < 1) or (arguments.first is not None and arguments.first < 0):
        raise usage("--jobs must be at least 1 and --first not negative")
    if arguments.sim:
        from ordeal import soak_sim

        return soak_sim.main(arguments, terminal)
    for name in ("seeds", "jobs", "ledger"):
        if getattr(arguments, name):
            raise usage(f"--{name} needs --sim")
    return trials(arguments, terminal)


def trials(arguments, terminal) -> int:
    arguments.first = 1 if arguments.first is None else arguments.first
    folder = paths.runs_dir() / f"soak-{arguments.name}"
    folder.mkdir(parents=True, exist_ok=True)
    ledger, commit = folder / "ledger.jsonl", facts.versions().get("commit", "")
    done = {row["seed"]: row for row in read(ledger) if row.get("commit") == commit and row["exit"] != HARNESS}
    build.ensure(terminal)
    began, rows = time.monotonic(), []
    for seed in range(arguments.first, arguments.first + arguments.trials):
        if seed in done:
            rows.append(done[seed])
            terminal.line(f"{line_of(done[seed])} (from the ledger)")
            continue
        if arguments.hours and time.monotonic() - began > arguments.hours * 3600:
            break
        row = one(arguments, seed, folder, commit, terminal)
        with open(ledger, "a") as file:
            file.write(json.dumps(row) + "\n")
        rows.append(row)
        terminal.line(line_of(row))
    return finish(arguments, terminal, rows, folder)


def one(arguments, seed: int, folder: Path, commit: str, terminal) -> dict:
    given = copy.copy(arguments)
    given.seed, given.out = seed, str(folder / f"seed-{seed}")
    shutil.rmtree(given.out, ignore_errors=True)
    spec = options.resolve(given)
    spec.command = options.command_line(["run", *_trial_words()], seed)
    began = time.monotonic()
    row = {"seed": seed, "commit": commit, "started": time.strftime("%Y-%m-%dT%H:%M:%S"), "folder": given.out}
    trial = None
    try:
        trial = Trial(spec, terminal)
        row["exit"] = trial.run()
    except OrdealError as error:
        if error.code != HARNESS:
            raise
        terminal.line(f"  {error.message}")
        row |= {"exit": HARNESS, "error": error.message}
    except OSError as error:
        row |= {"exit": HARNESS, "error": runs.harness_error(error).message}
    row["took_s"] = round(time.monotonic() - began, 1)
    if trial:
        row |= {"faults": trial.live.kinds, "ok": trial.live.total("ok"), "info": trial.live.total("info"), "fail": trial.live.total("fail")}
    if row["exit"] == PASS and not arguments.keep:
        shutil.rmtree(Path(given.out) / "history", ignore_errors=True)
    return row


def _trial_words() -> list[str]:
    """What was typed, less the words that only a soak knows."""
    import sys

    words, skip = [], False
    for word in sys.argv[2:]:
        if skip:
            skip = False
        elif word in ("--trials", "--hours", "--first", "--name", "--seed"):
            skip = True
        elif not word.startswith(("--trials=", "--hours=", "--first=", "--name=", "--seed=")):
            words.append(word)
    return words


def read(ledger: Path) -> list[dict]:
    rows = []
    for line in ledger.read_text().splitlines() if ledger.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break  # a torn last line: that trial runs again
    return rows


def line_of(row: dict) -> str:
    faults = row.get("faults") or {}
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(faults.items()))
    words = [f"seed {row['seed']:<6} {WORDS.get(row['exit'], '?'):<14} {count(sum(faults.values()), 'fault')}" + (f" ({kinds})" if kinds else ""),
             f"{row.get('ok', 0):,} ok", f"{row.get('info', 0):,} unknown", seconds(row.get("took_s", 0))]
    return " · ".join(words)


def finish(arguments, terminal, rows: list[dict], folder: Path) -> int:
    codes = [row["exit"] for row in rows]
    faults: dict[str, int] = {}
    for row in rows:
        for kind, n in (row.get("faults") or {}).items():
            faults[kind] = faults.get(kind, 0) + n
    tally = {word: codes.count(code) for code, word in WORDS.items()}
    if arguments.json:
        print(json.dumps({"exit": worst(codes), "trials": len(rows), **tally, "faults": faults, "ledger": str(folder / "ledger.jsonl")}))
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(faults.items()))
    terminal.line()
    terminal.line(f"{count(len(rows), 'trial')}: {tally['passed']} passed, {tally['failed']} failed, {tally['unknown']} unknown, "
                  f"{tally['harness failed']} harness failed · {count(sum(faults.values()), 'fault')} took hold ({kinds or 'none'})")
    bad = next((row for row in rows if row["exit"] in (VIOLATION, HARNESS, UNKNOWN)), None)
    terminal.line(f"next: open {paths.shown(Path(bad['folder']) / 'report.html')}" if bad else f"ledger: {paths.shown(folder / 'ledger.jsonl')}")
    return worst(codes)
