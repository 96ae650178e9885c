"""`ordeal replay RUN|SEED`: a real trial again with the same plan and resolved targets; a simulated world exactly."""

import dataclasses
import json

from ordeal import build, paths, replayed, runs
from ordeal.cli import Parser
from ordeal.commands import sim
from ordeal.errors import HARNESS, VIOLATION, OrdealError, usage, worst
from ordeal.errors import OUTCOME_WORDS as WORDS
from ordeal.options import Spec
from ordeal.trial import Trial


def parser() -> Parser:
    p = Parser("replay", "Run something again. A real trial gets the same plan, with the targets its roles resolved to; real time may differ, "
               "so --times says how often it failed. A number is a seed of the simulator and a stored world is a scenario: both repeat exactly, "
               "and the digest says whether they did. A replayed world gets a report of its own.",
               "  ./ordeal replay latest --times 5\n  ./ordeal replay 4711 --trace\n  ./ordeal replay runs/20260301-120000-sim/seed-4711")
    p.add_argument("what", help="a run's folder or name, a stored world, or a simulated seed")
    p.add_argument("--times", type=int, default=1, metavar="N", help="repeat N times and count the outcomes (real trials)")
    p.add_argument("--trace", action="store_true", help="print a line for every event (simulated worlds)")
    sim.add_world_options(p)
    p.add_argument("--json", action="store_true", help="print the outcomes as JSON")
    return p


def main(arguments, terminal) -> int:
    if arguments.times < 1:
        raise usage("--times must be at least 1")
    if arguments.what.isdigit():
        _once(arguments)
        return replayed.seed(int(arguments.what), sim.words_of(arguments), arguments, terminal)
    folder = runs.find(arguments.what)
    if (folder / "scenario.yaml").is_file():
        if extra := sim.words_of(arguments):
            raise usage(f"{extra[0]}: a stored world is replayed as it was", f"./ordeal sim --scenario {paths.shown(folder / 'scenario.yaml')} {' '.join(extra)}")
        _once(arguments)
        return replayed.stored(folder, arguments, terminal)
    if arguments.trace or sim.words_of(arguments):
        raise usage(f"{paths.shown(folder)} is a real trial: --trace and the options of a drawn world are for simulated ones",
                    f"its brokers' traces are in {paths.shown(folder)}/nodes")
    return _real(arguments, terminal)


def _once(arguments) -> None:
    if arguments.times > 1:
        raise usage("--times: a simulated world repeats exactly, so once is enough")


def _real(arguments, terminal) -> int:
    spec = load_spec(arguments.what)
    build.ensure(terminal)
    outcomes = []
    for turn in range(arguments.times):
        try:
            outcomes.append(Trial(spec, terminal).run())
        except OrdealError as error:
            if error.code != HARNESS:
                raise
            terminal.line(f"  {error.message}")
            outcomes.append(HARNESS)
        if arguments.times > 1:
            terminal.line(f"{turn + 1} of {arguments.times}: {WORDS[outcomes[-1]]}")
    failed = outcomes.count(VIOLATION)
    if arguments.json:
        print(json.dumps({"exit": worst(outcomes), "times": len(outcomes), "failed": failed, "outcomes": outcomes}))
    if arguments.times > 1:
        terminal.line(f"failed {failed} of {len(outcomes)} times; next: ./ordeal report latest")
    return worst(outcomes)


def load_spec(name: str) -> Spec:
    """The spec of an earlier run, with its plan as it was resolved then (or as written, when it never got so far)."""
    folder = runs.find(name)
    trial = folder / "trial.json"
    if not trial.is_file():
        raise usage(f"{paths.shown(folder)} has no trial.json: it is no run of a trial")
    saved = json.loads(trial.read_text()).get("spec")
    if not saved:
        raise usage(f"{paths.shown(trial)} does not say how the trial was set up")
    known = {f.name for f in dataclasses.fields(Spec)}
    spec = Spec(**{k: v for k, v in saved.items() if k in known})
    resolved = folder / "resolved-plan.json"
    drawn = resolved.is_file() and json.loads(resolved.read_text()).get("steps")
    spec.plan_text = resolved.read_text() if drawn else (folder / "plan.yaml").read_text()
    spec.out = None
    return spec
