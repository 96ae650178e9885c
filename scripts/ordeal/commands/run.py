"""`ordeal run`: one trial on real processes."""

import json

from ordeal import build, options, runs, verdict
from ordeal.cli import Parser
from ordeal.trial import Trial


def parser() -> Parser:
    p = Parser("run", "A trial on real processes: start brokers, drive them with Kafka clients, break things, heal, drain, check, report.",
               "  ./ordeal run --seed 7\n  ./ordeal run --plan acks1-loss --promise durable\n"
               "  ./ordeal run --time 2m --nodes 5 --rate 20000 --set log.segment.bytes=1048576")
    options.add_trial_options(p)
    return p


def main(arguments, terminal) -> int:
    spec = options.resolve(arguments)
    build.ensure(terminal)
    try:
        trial = Trial(spec, terminal)
        code = trial.run()
    except OSError as error:
        raise runs.harness_error(error) from error
    if arguments.json:
        print(json.dumps({"exit": code, "run": str(trial.folder), "verdict": verdict.load(trial.folder)}))
    return code
