"""`ordeal sim`: simulated worlds by seed. The simulator is one C++ program; this builds it and hands the options over."""

import subprocess

from ordeal import build, paths
from ordeal.cli import Parser
from ordeal.errors import OrdealError

KNOWN_CODES = (0, 1, 2, 3, 64)


def parser() -> Parser:
    p = Parser("sim", "Whole clusters in one process: virtual time, network and disk, faults by plan, the same broker code. "
               "A seed repeats exactly.", "  ./ordeal sim --seeds 100\n  ./ordeal sim --seeds 20 --mutate repl.truncate_to_hw")
    p.add_argument("--seeds", type=int, default=10, metavar="N", help="how many worlds (default 10)")
    p.add_argument("--first", type=int, default=1, metavar="N", help="the first seed (default 1)")
    p.add_argument("--jobs", type=int, metavar="N", help="worlds at a time (default: one a processor)")
    p.add_argument("--time", metavar="T", help="simulated time of each world (default 60s)")
    p.add_argument("--plan", metavar="FILE|NAME", help="fault plan: a file or a built-in name")
    p.add_argument("--mutate", action="append", default=[], metavar="NAME", help="switch a known bug on")
    p.add_argument("--twice", action="store_true", help="run each seed twice and compare the digests")
    p.add_argument("--json", action="store_true", help="print one JSON object a seed")
    return p


def main(arguments, terminal) -> int:
    words = ["--seeds", str(arguments.seeds), "--first", str(arguments.first), "--jobs", str(arguments.jobs or build.jobs())]
    words += ["--twice"] if arguments.twice else []
    return hand_over(terminal, words + shared(arguments))


def again(arguments, terminal) -> int:
    """`ordeal replay SEED`."""
    words = ["--seeds", "1", "--first", arguments.what, "--twice"] + (["--trace"] if arguments.trace else [])
    return hand_over(terminal, words + shared(arguments))


def shared(arguments) -> list[str]:
    words = []
    for name in ("time", "plan"):
        if getattr(arguments, name, None):
            words += [f"--{name}", getattr(arguments, name)]
    for mutation in arguments.mutate:
        words += ["--mutate", mutation]
    return words + (["--json"] if arguments.json else [])


def hand_over(terminal, words: list[str]) -> int:
    build.ensure(terminal, ("ordeal-sim",))
    code = subprocess.run([str(paths.binary("ordeal-sim")), *words]).returncode
    if code not in KNOWN_CODES:
        raise OrdealError(f"the simulator crashed (code {code}); the seed above repeats it", "./ordeal replay SEED --trace")
    return code
