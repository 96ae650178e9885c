"""`ordeal bench`: figures of the broker, the checker and the simulator, with the machine's facts and ratios within one run."""

import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time

from ordeal import build, facts, paths, targets
from ordeal.cli import Parser
from ordeal.errors import OrdealError, usage
from ordeal.terminal import seconds

TARGETS = {"broker": ("ordeal-broker", "ordeal-nemesis", "ordeal-load"), "versus": ("ordeal-broker", "ordeal-nemesis", "ordeal-load", "ordeal-workload"), "check": ("ordeal-check",), "sim": ("ordeal-sim",)}
VERSUS_ONLY = ("target", "full", "rounds", "kafka_version", "kafka_home")
CHECK_SIZES = (1_000_000, 10_000_000)
SIM_SEEDS = 10
SIM_TURNS = 3


def parser() -> Parser:
    p = Parser("bench", "Figures, never verdicts. The brokers of `bench broker` are a release build without bug switches.",
               "  ./ordeal bench broker\n  ./ordeal bench versus --target kafka\n  ./ordeal bench check --json\n  ./ordeal bench broker --quick --out figures.json")
    p.add_argument("what", choices=sorted(TARGETS), help="what is measured")
    p.add_argument("--quick", action="store_true", help="fewer and shorter repetitions: a look, not a record")
    versus = p.add_argument_group("versus", "our broker and another, turn by turn, under the same load and faults: ratios (15 minutes)")
    targets.add_options(versus)
    versus.add_argument("--full", action="store_true", help="every combination, longer and more often (over an hour)")
    versus.add_argument("--rounds", type=int, metavar="N", help="turns of each side (default 3; with --full 5)")
    p.add_argument("--preset", help="the build measured (default release; of sim dev, which is what ./ordeal sim runs)")
    p.add_argument("--out", metavar="FILE", help="also write the JSON there")
    p.add_argument("--json", action="store_true", help="print JSON only")
    return p


def main(arguments, terminal) -> int:
    arguments.preset = arguments.preset or ("dev" if arguments.what == "sim" else "release")
    _refuse(arguments)
    build.ensure(terminal, TARGETS[arguments.what], preset=arguments.preset)
    folder = paths.runs_dir() / f"bench-{time.strftime('%Y%m%dT%H%M%S')}"
    folder.mkdir(parents=True)
    began, preset = time.monotonic(), "prebuilt" if paths.prebuilt() else arguments.preset
    figures = {"broker": _broker, "check": _check, "sim": _sim, "versus": _versus}[arguments.what](arguments, folder, terminal)
    terminal.clear()
    document = {"schema": 1, "bench": arguments.what, "quick": arguments.quick, "preset": preset,
                "machine": facts.machine(folder), "versions": facts.versions() | figures.pop("versions", {}), "command": "./ordeal " + shlex.join(sys.argv[1:]), "took_s": round(time.monotonic() - began, 1),
                "figures": figures}
    (folder / "figures.json").write_text(json.dumps(document, indent=2) + "\n")
    if arguments.out:
        shutil.copy(folder / "figures.json", arguments.out)
    if arguments.what == "versus":
        from reports import versus

        terminal.line(f"report: {paths.shown(versus.render(folder, document))}")
    if arguments.json:
        print(json.dumps(document))
    terminal.line()
    machine = document["machine"]
    terminal.line("machine: " + ", ".join(f"{key} {value}" for key, value in machine.items() if isinstance(value, (str, int, float))))
    terminal.line(f"measured in {seconds(time.monotonic() - began)}; figures: {paths.shown(folder / 'figures.json')}")
    return 0


def _refuse(arguments) -> None:
    if arguments.what != "versus":
        given = next((name for name in VERSUS_ONLY if getattr(arguments, name, None)), None)
        if given:
            raise usage(f"--{given.replace('_', '-')} is an option of `bench versus`")
        return
    target = targets.find(arguments.target or "kafka")
    arguments.target = target.name
    if target.name == targets.DEFAULT:
        raise usage("--target ordeal is our own broker: there is nothing to compare", "./ordeal bench versus --target kafka")
    if not target.controlled:
        raise usage(f"--target {target.name}: its nodes cannot be started and killed from here", "./ordeal bench versus --target kafka")
    if arguments.quick and arguments.full:
        raise usage("--quick and --full exclude each other")
    if arguments.rounds is not None and arguments.rounds < 1:
        raise usage("--rounds must be at least 1")
    targets.options_of(arguments.target, arguments)


def _versus(arguments, folder, terminal) -> dict:
    from ordeal.bench import versus

    if not paths.prebuilt():  # targets name their programs without a preset
        os.environ["ORDEAL_BIN"] = str(paths.build_dir(arguments.preset) / "bin")
    figures, versions = versus.measure(folder, arguments, terminal)
    terminal.clear()
    versus.show(terminal, figures)
    return figures | {"versions": versions}


def _broker(arguments, folder, terminal) -> dict:
    from ordeal.bench import broker

    figures = broker.measure(folder, arguments.preset, arguments.quick, terminal)
    broker.show(terminal, figures)
    return figures


def _check(arguments, folder, terminal) -> dict:
    rows = []
    for size in CHECK_SIZES[:1] if arguments.quick else CHECK_SIZES:
        terminal.live("check", f"{size:,} operations")
        rows.append(_program("ordeal-check", arguments.preset, "--bench", str(size), "--json"))
    terminal.line(f"\n{'operations':>12}{'load s':>9}{'check s':>9}{'million/s':>11}{'bytes/op':>10}{'peak MB':>9}")
    for row in rows:
        terminal.line(f"{row['operations']:>12,}{row['load_s']:>9.3f}{row['check_s']:>9.3f}{row['ops_per_s'] / 1e6:>11.1f}"
                      f"{row['bytes_per_op']:>10.1f}{row['peak_rss'] / 1e6:>9.0f}")
    return {"rows": rows}


def _sim(arguments, folder, terminal) -> dict:
    """Always the same worlds (`ordeal-sim --bench`); the median of the repetitions, since a noisy machine makes single ones worthless."""
    rows, turns = [], 1 if arguments.quick else SIM_TURNS
    for turn in range(turns):
        terminal.live("sim", f"repetition {turn + 1} of {turns}")
        rows.append(_program("ordeal-sim", arguments.preset, "--bench", "--seeds", str(2 if arguments.quick else SIM_SEEDS), "--json"))
    middle = {key: statistics.median(row[key] for row in rows) for key in rows[0] if isinstance(rows[0][key], (int, float))}
    terminal.line(f"\n{'worlds a minute and core':>26}{'CPU s a world':>15}{'slowest':>9}{'simulated / real':>18}{'events/s':>12}{'records, least':>16}")
    for name, row in [*[(str(i + 1), row) for i, row in enumerate(rows)], ("median", middle)]:
        terminal.line(f"{name:<8}{row['worlds_per_minute']:>18.1f}{row['cpu_s_per_world']:>15.2f}{row['slowest_cpu_s']:>9.2f}{row['simulated_to_real']:>18.1f}"
                      f"{row['events_per_s']:>12,.0f}{row['acknowledged_least']:>16,}")
    terminal.line("a world: three brokers, 60 simulated seconds, clients at work, a kill, a power cut and a partition")
    return {"repetitions": rows, "median": middle}


def _program(name: str, preset: str, *words: str) -> dict:
    done = subprocess.run([str(paths.binary(name, preset)), *words], capture_output=True, text=True)
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        raise OrdealError(f"{name} {' '.join(words)} ended with {done.returncode}", detail=done.stdout + done.stderr)
    try:
        return json.loads(done.stdout)
    except ValueError:
        return json.loads(lines[-1])
