"""`ordeal shrink RUN|SEED|FILE`: cuts a failing world down to a small scenario that still fails by the same name."""

import json
import shlex
import subprocess
import tempfile
from pathlib import Path

from ordeal import build, paths, runs, simulator
from ordeal.cli import Parser
from ordeal.commands import sim
from ordeal.errors import HARNESS, PASS, USAGE, VIOLATION, OrdealError, usage
from ordeal.options import seconds_of
from ordeal.terminal import seconds

# What is told before and after, in this order; a scenario has what applies to it.
SIZES = (("faults", "faults"), ("steps", "script steps"), ("nodes", "nodes"), ("partitions", "partitions"), ("clients", "clients"),
         ("rate", "records/s"), ("time_s", "s"))


def parser() -> Parser:
    p = Parser("shrink", "Cut faults, operations, clients, nodes and time out of a simulated world that fails, as long as it goes on failing by the "
               "same name, and write what is left as a scenario to read, keep and run again.",
               "  ./ordeal shrink runs/20260301-120000-sim/seed-4711\n  ./ordeal shrink 4711 --mutate repl.truncate_to_hw --budget 60s --out mine.yaml")
    p.add_argument("what", help="a stored world (its folder), a seed, or a scenario file")
    p.add_argument("--budget", default="120s", metavar="T", help="real time to spend (default 120s)")
    p.add_argument("--out", metavar="FILE", help="the scenario to write (default: shrunk.yaml beside what was shrunk, or in the current folder)")
    sim.add_world_options(p)
    p.add_argument("--json", action="store_true", help="print the outcome as JSON")
    return p


def main(arguments, terminal) -> int:
    budget = seconds_of(arguments.budget)
    if budget <= 0:
        raise usage("--budget must be more than nothing")
    build.ensure(terminal, ("ordeal-sim",))
    with tempfile.TemporaryDirectory(prefix="ordeal-shrink-") as scratch:
        source, mutations, beside = _source(arguments, Path(scratch), terminal)
        target = Path(arguments.out) if arguments.out else beside / "shrunk.yaml"
        if target.resolve() == source.resolve():
            raise usage("--out is the file to shrink", "name another one")
        found = _shrink(source, target, mutations, budget, terminal)
    if found["exit"] == PASS:
        _tell(found, target, mutations, arguments, terminal)
    else:
        said = found.get("said") or "it did not fail, so there is nothing to shrink"
        if arguments.json:
            print(json.dumps(found))
        terminal.line(f"shrink: {said}")
    return found["exit"]


def _source(arguments, scratch: Path, terminal) -> tuple[Path, list[str], Path]:
    """(scenario to shrink, bugs to switch on, folder of the result)."""
    given = Path(arguments.what)
    words = sim.words_of(arguments)
    if arguments.what.isdigit():
        terminal.live("shrink", f"playing seed {arguments.what} to get its scenario")
        row = simulator.world(["--seed", arguments.what, *words, "--keep", "--out", str(scratch)])
        if row["exit"] != VIOLATION:
            raise OrdealError(f"seed {arguments.what} does not fail: {row.get('sentence', '')}", "only a world that fails can be shrunk", USAGE)
        return Path(row["folder"]) / "scenario.yaml", arguments.mutate, Path.cwd()
    if given.is_file():
        if others := [w for w in words if w not in ("--mutate", *arguments.mutate)]:
            raise usage(f"{others[0]}: a scenario file says it itself; only --mutate can be added")
        return given, arguments.mutate, given.parent
    folder = runs.find(arguments.what)
    if not (folder / "scenario.yaml").is_file():
        raise usage(f"{paths.shown(folder)} is no simulated world: it has no scenario.yaml", "./ordeal shrink SEED, or the folder of a world that failed")
    if words:
        raise usage(f"{words[0]}: a stored world is shrunk as it was", "give its scenario.yaml instead")
    trial = json.loads((folder / "trial.json").read_text()) if (folder / "trial.json").is_file() else {}
    return folder / "scenario.yaml", list(trial.get("mutations") or []), folder


def _shrink(source: Path, target: Path, mutations: list[str], budget: float, terminal) -> dict:
    command = [simulator.program(), "--shrink", str(source), "--budget", f"{budget:g}s", "--out", str(target), "--json"]
    command += [word for bug in mutations for word in ("--mutate", bug)]
    terminal.live("shrink", f"up to {seconds(budget)} of smaller worlds")
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=budget * 2 + simulator.WORLD_LIMIT_S)
    except subprocess.TimeoutExpired as error:
        raise OrdealError(f"shrinking took far longer than its budget of {seconds(budget)}", "give a smaller world or report it") from error
    if done.returncode == USAGE:
        raise OrdealError(done.stderr.strip().splitlines()[0] if done.stderr.strip() else "refused", "./ordeal shrink --help", USAGE)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode not in (PASS, VIOLATION) or (done.returncode == PASS and (not rows or not target.is_file())):
        raise OrdealError(f"the shrinker ended with code {done.returncode}", "the world itself is untouched", HARNESS, done.stdout + done.stderr)
    return (rows[-1] if rows else {}) | {"exit": done.returncode, "said": done.stderr.strip()}


def _tell(found: dict, target: Path, mutations: list[str], arguments, terminal) -> None:
    again = ["./ordeal", "sim", "--scenario", paths.shown(target), *[w for bug in mutations for w in ("--mutate", bug)]]
    if arguments.json:
        print(json.dumps(found | {"scenario": str(target), "again": shlex.join(again)}))
    before, after = found.get("before") or {}, found.get("after") or {}
    for key, word in SIZES:
        if key in before or key in after:
            was, now = before.get(key, 0), after.get(key, 0)
            terminal.line(f"  {word:<12} {was:>8,} -> {now:,}" + ("" if was != now else "  (all of it is needed, or the budget ran out)"))
    terminal.line(f"still fails: {found.get('property', '?')}; {found.get('tries', 0):,} worlds tried in {seconds(found.get('took_ms', 0) / 1000)}")
    terminal.line(f"scenario: {paths.shown(target)}\n  next: {shlex.join(again)}")
