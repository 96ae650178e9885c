"""`ordeal sim`: simulated worlds by seed, with progress, a folder for each world that did not pass, and how to see it again."""

import json
import shlex
import shutil
import time
from pathlib import Path

from ordeal import build, facts, marks, paths, runs, simulator, verdict
from ordeal.cli import Parser
from ordeal.errors import OUTCOME_WORDS as WORDS
from ordeal.errors import PASS, usage, worst
from ordeal.options import seconds_of
from ordeal.terminal import count, seconds

DEFAULT_SEEDS = 10
STORIES = 3  # violations shown of a world
MOST_STORED = 50  # failing worlds of a sweep that are stored; any other is one replay away


def parser() -> Parser:
    p = Parser("sim", "Whole clusters in one process: virtual time, network and disk, the same broker code. Each seed draws its own world "
               "and its faults, or takes those of --plan or --scenario, and repeats exactly; one seed in twenty is played twice to prove it. "
               "A world that does not pass is stored under runs/ with the command that replays it "
               f"(the first {MOST_STORED} of a sweep).",
               "  ./ordeal sim --seeds 1000 --jobs 2\n  ./ordeal sim 7 100-120 --marks\n  ./ordeal sim --seeds 20 --mutate repl.truncate_to_hw\n"
               "  ./ordeal sim --scenario repl.truncate_to_hw --mutate repl.truncate_to_hw")
    p.add_argument("given", nargs="*", metavar="SEED", help="these seeds: 7, or 100-120 (default: --seeds from --first on)")
    p.add_argument("--seeds", type=int, metavar="N", help=f"how many worlds (default {DEFAULT_SEEDS})")
    p.add_argument("--first", type=int, metavar="N", help="the first seed (default 1)")
    p.add_argument("--jobs", type=int, metavar="N", help="processes at a time (default: one a processor)")
    p.add_argument("--scenario", metavar="FILE|NAME", help="this world (docs/formats/scenario.md) instead of a drawn one; without seeds: with its own")
    add_world_options(p)
    p.add_argument("--twice", action="store_true", help="play every seed twice and compare (default: one in twenty, drawn)")
    p.add_argument("--marks", action="store_true", help="list the rare branches that were reached, and those that never were")
    p.add_argument("--until-fail", action="store_true", help="stop at the first world that does not pass")
    p.add_argument("--keep", action="store_true", help="store the worlds that passed, too")
    p.add_argument("--limit", default="180s", metavar="T", help="real time after which a silent world counts as a harness failure (default 180s)")
    p.add_argument("--out", metavar="DIR", help="where to store (default runs/<time>-sim)")
    p.add_argument("--json", action="store_true", help="print one JSON object a seed")
    return p


def add_world_options(p) -> None:
    """What shapes a drawn world; `replay` takes the same."""
    p.add_argument("--time", metavar="T", help="simulated time of each world (default: drawn)")
    p.add_argument("--plan", metavar="FILE|NAME", help="fault plan: a file or a built-in name (default: each seed draws its own)")
    p.add_argument("--nodes", type=int, metavar="N", help="brokers (default: drawn)")
    p.add_argument("--plain", action="store_true", help="three nodes and default settings instead of a drawn world")
    p.add_argument("--small", action="store_true", help="short worlds with strong faults")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help="a broker setting, Kafka's name")
    p.add_argument("--mutate", action="append", default=[], metavar="NAME", help="switch a known bug on")


def words_of(arguments) -> list[str]:
    words = []
    for name in ("scenario", "time", "plan", "nodes"):
        if getattr(arguments, name, None) is not None:
            words += [f"--{name}", str(getattr(arguments, name))]
    words += [f"--{name}" for name in ("plain", "small") if getattr(arguments, name)]
    for option, values in (("--set", arguments.settings), ("--mutate", arguments.mutate)):
        for value in values:
            words += [option, value]
    return words


def seeds_of(arguments) -> list[int]:
    if arguments.given and (arguments.seeds is not None or arguments.first is not None):
        raise usage("seeds are given twice: as a list, and with --seeds or --first")
    if arguments.given:
        return simulator.seeds_of(arguments.given)
    wanted, first = DEFAULT_SEEDS if arguments.seeds is None else arguments.seeds, 1 if arguments.first is None else arguments.first
    if wanted < 1 or first < 0:
        raise usage("--seeds must be at least 1 and --first not negative")
    return list(range(first, first + wanted))


def main(arguments, terminal) -> int:
    if arguments.jobs is not None and arguments.jobs < 1:
        raise usage("--jobs must be at least 1")
    if arguments.scenario and (more := [w for w in ("time", "plan", "nodes", "plain", "small", "settings") if getattr(arguments, w)]):
        raise usage(f"--{'set' if more[0] == 'settings' else more[0]}: a scenario says that itself", f"edit {arguments.scenario}, or leave --scenario out")
    limit_s = seconds_of(arguments.limit)
    own_seed = arguments.scenario and not (arguments.given or arguments.seeds or arguments.first)
    seeds = [] if own_seed else seeds_of(arguments)
    build.ensure(terminal, ("ordeal-sim",))
    folder = runs.create("sim", arguments.out)
    words = words_of(arguments) + (["--twice"] if arguments.twice else []) + (["--keep"] if arguments.keep else [])
    if own_seed:
        return _one(arguments, words, folder, limit_s, terminal)
    sweep = simulator.Sweep(words, seeds, arguments.jobs or build.jobs(), out=folder, marks=True, limit_s=limit_s)
    rows = play(sweep, terminal, arguments.json, arguments.until_fail, most=len(seeds) if arguments.keep else MOST_STORED)
    return finish(arguments, terminal, rows, sweep.counts, folder)


def play(sweep: simulator.Sweep, terminal, as_json: bool = False, until_fail: bool = False, most: int = MOST_STORED) -> list[dict]:
    """The whole sweep with progress; worlds that did not pass are printed as they come, and the first of them stay stored."""
    began, rows, total, stored = time.monotonic(), [], len(sweep.seeds), 0

    def show():
        took = time.monotonic() - began
        bad = sum(row["exit"] != PASS for row in rows)
        left = f" · {seconds((total - len(rows)) * took / len(rows))} left" if rows and len(rows) < total else ""
        terminal.live("sim", f"{len(rows):,}/{total:,} worlds · {len(rows) - bad:,} passed" + (f", {bad} did not" if bad else "")
                      + f" · {len(rows) / took:.2f} seeds/s{left}" if rows else f"0/{total:,} worlds", line_of(rows[-1]).splitlines()[0].strip() if rows else "")

    found = sweep.run(show)
    for row in found:
        rows.append(row)
        if row.get("folder"):
            stored += 1
            if stored > most:
                shutil.rmtree(row.pop("folder"), ignore_errors=True)
        if as_json:
            print(json.dumps(row), flush=True)
        elif row["exit"] != PASS:
            terminal.line(line_of(row))
        show()
        if until_fail and row["exit"] != PASS:
            break
    found.close()
    terminal.clear()
    return sorted(rows, key=lambda row: row["seed"])


def _one(arguments, words: list[str], folder: Path, limit_s: float, terminal) -> int:
    """A scenario with its own seed."""
    terminal.live("sim", arguments.scenario)
    row = simulator.world([*words, "--out", str(folder)], limit_s)
    if arguments.json:
        print(json.dumps(row))
    terminal.line(line_of(row))
    return finish(arguments, terminal, [row], {}, folder)


def finish(arguments, terminal, rows: list[dict], counts: dict, folder: Path) -> int:
    from reports import simulation

    codes = [row["exit"] for row in rows]
    words = words_of(arguments)
    for row in rows:
        row["again"] = replay_of(row, words)
        _render(row, terminal)
    document = {"schema": 1, "command": "./ordeal sim " + shlex.join(_typed(arguments, words)), "words": words, "versions": facts.versions(),
                "machine": facts.machine(folder), "worlds": [_small(row) for row in rows], "marks": counts}
    (folder / "sim.json").write_text(json.dumps(document, indent=1) + "\n")
    page = simulation.render_sweep(folder, document)
    if counts:
        reached = sum(1 for n in counts.values() if n)
        terminal.line(f"marks: {reached} of {len(counts)} rare branches reached" + ("" if arguments.marks else "; --marks lists them"))
        if arguments.marks:
            marks.show(terminal, counts)
    tally = ", ".join(f"{codes.count(code)} {word}" for code, word in WORDS.items() if codes.count(code))
    bad = next((row for row in rows if row["exit"] == worst(codes)), None) if worst(codes) != PASS else None
    terminal.line(f"{count(len(codes), 'world')}: {tally} · {paths.shown(page)}" + (f"\n  next: {bad['again']}" if bad else ""))
    return worst(codes)


def _typed(arguments, words: list[str]) -> list[str]:
    seeds = [] if arguments.given else [w for name in ("seeds", "first") if getattr(arguments, name) is not None
                                        for w in (f"--{name}", str(getattr(arguments, name)))]
    return [*arguments.given, *seeds, *words]


def replay_of(row: dict, words: list[str]) -> str:
    """The one command that shows this world again: the stored one where there is a folder, else its seed and options."""
    if row.get("folder"):
        return f"./ordeal replay {paths.shown(Path(row['folder']))}"
    if "--scenario" in words:
        return "./ordeal sim " + shlex.join(([str(row["seed"])] if row.get("seed") else []) + words)
    return "./ordeal replay " + shlex.join([str(row["seed"]), *words])


def _render(row: dict, terminal) -> None:
    """A stored world gets its report; that it cannot be drawn must not hide what it found."""
    folder = Path(row["folder"]) if row.get("folder") else None
    if folder and (folder / "verdict.json").is_file():
        try:
            row["report"] = str(verdict.render(folder))
        except (OSError, ValueError, KeyError, TypeError) as error:
            terminal.line(f"  seed {row['seed']}: its report could not be drawn: {error!r}")


def _small(row: dict) -> dict:
    return {key: row[key] for key in ("seed", "digest", "outcome", "exit", "sentence", "operations", "sends_ok", "faults", "events", "simulated_s",
                                      "real_ms", "cpu_ms", "violations", "mutations_ran", "scenario", "caught", "named", "folder", "report", "again",
                                      "said") if row.get(key) not in (None, "", [])}


def line_of(row: dict) -> str:
    head = f"  seed {row['seed']:<6} {WORDS.get(row['exit'], '?'):<14} "
    if "digest" in row:
        head += (f"{row.get('sends_ok', 0):,} writes · {count(row.get('faults', 0), 'fault')} · digest {row['digest']} · "
                 f"{row.get('real_ms', 0) / 1000:.1f} s")
    lines = [head.rstrip()]
    lines += [f"    {v.get('property') or v.get('invariant')}: {v.get('text')}" for v in row.get("violations", [])[:STORIES]]
    if row["exit"] != PASS and len(lines) == 1:
        lines.append(f"    {row.get('sentence') or row.get('said')}")
        lines += [f"      {line}" for line in row.get("said", "").splitlines()[-3:] if row["exit"] == 3]
    if row.get("folder"):
        lines.append(f"    stored: {paths.shown(Path(row['folder']))}")
    return "\n".join(lines)
