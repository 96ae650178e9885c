"""`ordeal corpus`: the known bugs, switched on one by one; each must be caught by name, or the harness is blind to it."""

from ordeal.cli import Parser
from ordeal.commands.sim import hand_over


def parser() -> Parser:
    p = Parser("corpus", "Switch the known bugs on, one by one, in simulated clusters, and see whether the checker names what they break. "
               "A bug counts as caught only if its branch ran.", "  ./ordeal corpus\n  ./ordeal corpus --bug repl.truncate_to_hw --search")
    p.add_argument("--group", metavar="LETTER", help="only bugs of this group: A (replication), B (idempotence), E (disk), ...")
    p.add_argument("--bug", metavar="NAME", help="only this bug, by name or id")
    p.add_argument("--search", action="store_true", help="look for the bug with random faults instead of its script")
    p.add_argument("--json", action="store_true", help="print one JSON object a bug")
    return p


def main(arguments, terminal) -> int:
    words = ["--corpus"]
    for name in ("group", "bug"):
        if getattr(arguments, name):
            words += [f"--{name}", getattr(arguments, name)]
    words += ["--search"] if arguments.search else []
    words += ["--json"] if arguments.json else []
    return hand_over(terminal, words)
