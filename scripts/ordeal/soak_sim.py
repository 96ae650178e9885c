"""`ordeal soak --sim`: many simulated worlds, resumable, and on request entered into the ledger of clean seeds."""

import json
import time

from ordeal import build, facts, ledger, marks, paths, simulator
from ordeal.commands import sim
from ordeal.errors import HARNESS, PASS, UNKNOWN, VIOLATION, usage, worst
from ordeal.errors import OUTCOME_WORDS as WORDS
from ordeal.terminal import count, seconds

BATCH = 200  # worlds between two looks at --hours, and between two entries of the ledger
FOREIGN = ("seed", "acks", "idempotence", "min_isr", "rf", "partitions", "producers", "consumers", "clients", "rate", "compression", "client", "client_version", "durability",
           "promise", "out")


def main(arguments, terminal) -> int:
    for name in FOREIGN:
        if getattr(arguments, name, None) is not None:
            raise usage(f"--{name.replace('_', '-')} belongs to trials on real processes", "with --sim each seed draws its own world; --time, --plan, --nodes and --set shape it")
    if arguments.seeds is not None and arguments.seeds < 1:
        raise usage("--seeds must be at least 1")
    words = words_of(arguments)
    if arguments.ledger and arguments.mutate:
        raise usage("--ledger with --mutate: the ledger is about the broker as it is")
    commit = ledger.refuse_unless_exact() if arguments.ledger else facts.versions().get("commit", "")
    build.ensure(terminal, ("ordeal-sim",))
    folder = paths.runs_dir() / f"soak-{arguments.name}"
    folder.mkdir(parents=True, exist_ok=True)
    done = _read(folder / "sim-ledger.jsonl", commit, words)
    first = arguments.first or (ledger.next_seed(ledger.read(), commit, words) if arguments.ledger else 1)
    wanted = list(range(first, first + (arguments.seeds or 1000)))
    rows = [done[s] for s in wanted if s in done] if not arguments.ledger else []
    todo = [s for s in wanted if s not in done] if not arguments.ledger else wanted
    if rows:
        terminal.line(f"{count(len(rows), 'world')} of {len(wanted)} are in {paths.shown(folder / 'sim-ledger.jsonl')} already")
    counts: dict = {}
    began = time.monotonic()
    while todo and not (arguments.hours and time.monotonic() - began > arguments.hours * 3600):
        batch, todo = todo[:BATCH], todo[BATCH:]
        rows += _batch(batch, words, commit, folder, counts, arguments, terminal)
    return _finish(rows, counts, words, arguments, terminal, time.monotonic() - began)


def words_of(arguments) -> list[str]:
    words = []
    for name in ("time", "plan", "nodes"):
        if getattr(arguments, name, None) is not None:
            words += [f"--{name}", str(getattr(arguments, name))]
    for option, values in (("--set", arguments.settings), ("--mutate", arguments.mutate)):
        words += [word for value in values for word in (option, value)]
    return words


def _batch(seeds: list[int], words: list[str], commit: str, folder, counts: dict, arguments, terminal) -> list[dict]:
    began = time.monotonic()
    sweep = simulator.Sweep(words, seeds, arguments.jobs or build.jobs(), out=folder, marks=True)
    found = sim.play(sweep, terminal)
    marks.add(counts, sweep.counts)
    with open(folder / "sim-ledger.jsonl", "a") as file:
        for row in found:
            row["again"] = sim.replay_of(row, words)
            file.write(json.dumps({"commit": commit, "words": words, **{k: row.get(k) for k in (
                "seed", "exit", "digest", "again", "folder", "cpu_ms", "simulated_s", "sentence")}}) + "\n")
    if arguments.ledger:
        new = ledger.entry(commit, words, found, sweep.counts, time.monotonic() - began, time.strftime("%Y-%m-%d"))
        ledger.write(ledger.add(ledger.read(), new))
    return found


def _read(path, commit: str, words: list[str]) -> dict[int, dict]:
    """What was played at this commit with these options; a harness failure is played again."""
    rows = {}
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            row = json.loads(line)
        except ValueError:
            break  # a torn last line: that world is played again
        if row["commit"] == commit and row["words"] == words and row["exit"] != HARNESS:
            rows[row["seed"]] = row
    return rows


def _finish(rows: list[dict], counts: dict, words: list[str], arguments, terminal, took: float) -> int:
    codes = [row["exit"] for row in rows]
    tally = ", ".join(f"{codes.count(code):,} {word}" for code, word in WORDS.items() if codes.count(code)) or "nothing was played"
    reached = sum(1 for many in counts.values() if many)
    if arguments.json:
        print(json.dumps({"exit": worst(codes), "worlds": len(rows), **{WORDS[c]: codes.count(c) for c in WORDS}, "marks": len(counts), "reached": reached,
                          "bad": [row["seed"] for row in rows if row["exit"] != PASS]}))
    if counts:
        terminal.line(f"marks: {reached} of {len(counts)} rare branches reached")
    bad = next((row for code in (VIOLATION, HARNESS, UNKNOWN) for row in rows if row["exit"] == code), None)
    terminal.line(f"{count(len(rows), 'world')} in {seconds(took)}: {tally}")
    if arguments.ledger:
        terminal.line(f"entered: {paths.shown(ledger.FILE)} and the table in {paths.shown(ledger.PAGE)}")
    if bad:
        terminal.line(f"next: {bad['again']}")
    return worst(codes)
