"""`ordeal COMMAND ...`: finds the command, parses its options, runs it, and turns what went wrong into an exit code.

Only the module of the wanted command is imported, so that `--help` and the launcher's fast path stay fast.
"""

import argparse
import difflib
import importlib
import json
import signal
import sys

from ordeal import __version__
from ordeal.errors import HARNESS, INTERRUPTED, USAGE, OrdealError
from ordeal.terminal import Terminal

COMMANDS = {
    "run": "a trial on real processes: start, drive, break, heal, drain, check, report",
    "sim": "simulated worlds by seed",
    "replay": "a simulated world again, exactly; a real trial again with the same plan",
    "shrink": "a failing simulated world, cut down to a small scenario",
    "check": "judge a recorded history",
    "corpus": "the known bugs, switched on one by one",
    "truth": "configurations that must lose writes and such that must not, on either broker",
    "bench": "figures, never verdicts",
    "soak": "many trials by seed, resumable, with a ledger",
    "report": "render the report of a run again",
    "test": "all tests, or the quick ones",
    "doctor": "what this machine can do, and what each missing thing costs",
    "build": "build only",
}

TOP_HELP = """ordeal {version}: puts a Kafka-protocol cluster through faults and judges what its guarantees were worth

usage: ./ordeal COMMAND [options]        ./ordeal COMMAND --help shows its options and an example

commands:
{commands}

start here:
  ./ordeal run                 one trial: three brokers, kills and partitions, a verdict, a report
  ./ordeal test --quick        the tests that take minutes, not tens of minutes

anywhere: --yes installs what is missing without asking; --json prints for a machine where a command has it
exit codes: 0 pass · 1 violation · 2 unknown · 3 the harness itself failed · 64 bad usage
"""


class Parser(argparse.ArgumentParser):
    """argparse that exits 64 on bad usage and suggests the option that was probably meant."""

    def __init__(self, command: str, description: str, example: str):
        super().__init__(prog=f"ordeal {command}", description=description, epilog=f"example:\n{example}",
                         formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)

    def error(self, message: str):
        hint = ""
        if message.startswith("unrecognized arguments:"):
            word = message.split(":", 1)[1].split()[0].split("=")[0]
            known = [o for a in self._actions for o in a.option_strings]
            near = difflib.get_close_matches(word, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
        sys.stderr.write(f"{self.prog}: {message}{hint}\n  next: {self.prog.replace('ordeal', './ordeal', 1)} --help\n")
        raise SystemExit(USAGE)


def top_help() -> str:
    rows = "\n".join(f"  {name:<9} {text}" for name, text in COMMANDS.items())
    return TOP_HELP.format(version=__version__, commands=rows)


def main(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(top_help(), end="")
        return 0 if argv else USAGE
    if argv[0] == "--version":
        print(f"ordeal {__version__}")
        return 0
    if argv[0] not in COMMANDS:
        near = difflib.get_close_matches(argv[0], COMMANDS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        sys.stderr.write(f"ordeal: there is no command '{argv[0]}'{hint}\n  next: ./ordeal --help\n")
        return USAGE
    # SIGTERM ends a command as Ctrl-C does: through the same clean-up.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    command = importlib.import_module(f"ordeal.commands.{argv[0]}")
    arguments = command.parser().parse_args(argv[1:])
    json_mode = getattr(arguments, "json", False)
    terminal = Terminal(json_mode=json_mode)
    try:
        return command.main(arguments, terminal)
    except OrdealError as error:
        return _report(error, terminal, json_mode)
    except KeyboardInterrupt:
        terminal.clear()
        sys.stderr.write("ordeal: interrupted; what was started has been stopped\n")
        return INTERRUPTED
    except BrokenPipeError:
        return HARNESS


def _report(error: OrdealError, terminal: Terminal, json_mode: bool) -> int:
    terminal.clear()
    if error.detail:
        sys.stderr.write(error.detail.rstrip("\n") + "\n")
    sys.stderr.write(f"ordeal: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"  next: {error.hint}\n")
    if json_mode:
        print(json.dumps({"exit": error.code, "error": error.message, "next": error.hint}))
    return error.code
