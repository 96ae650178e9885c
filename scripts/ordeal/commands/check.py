"""`ordeal check RUN|FILE`: judges a recorded or imported history again and prints the verdict."""

import json
import subprocess
from pathlib import Path

from ordeal import build, paths, runs, verdict
from ordeal.cli import Parser
from ordeal.errors import OrdealError, usage
from ordeal.options import PROMISES


def parser() -> Parser:
    p = Parser("check", "Judge a recorded history: a run's folder, or a file of another format.",
               "  ./ordeal check latest --promise durable\n  ./ordeal check history.jsonl --format jsonl")
    p.add_argument("history", help="a run's folder or name, or a history file")
    p.add_argument("--promise", choices=PROMISES, help="judge against this promise set instead of the trial's")
    p.add_argument("--format", choices=("ordeal", "jsonl", "edn"), default="ordeal", help="of a history file (default: ordeal)")
    p.add_argument("--json", action="store_true", help="print the verdict as JSON")
    return p


def main(arguments, terminal) -> int:
    build.ensure(terminal, ("ordeal-check",))
    given = Path(arguments.history)
    if given.is_file():
        return _file(arguments, given)
    folder = runs.find(arguments.history)
    if (folder / "scenario.yaml").is_file():  # its verdict also says what broke inside the cluster, which no history shows
        raise usage(f"{paths.shown(folder)} is a simulated world, judged while it runs", f"./ordeal replay {paths.shown(folder)}")
    code = verdict.judge(folder, arguments.promise)
    verdict.render(folder)
    found = verdict.load(folder)
    if arguments.json:
        print(json.dumps({"exit": code, "verdict": found}))
    terminal.phase("check", verdict.checked_line(found))
    verdict.show(terminal, folder, found, "./ordeal check " + paths.shown(folder) + (f" --promise {arguments.promise}" if arguments.promise else ""))
    return code


def _file(arguments, path: Path) -> int:
    """A single file has no trial around it: the checker prints its verdict itself."""
    command = [str(paths.binary("ordeal-check")), str(path), "--format", arguments.format]
    command += ["--promise", arguments.promise] if arguments.promise else []
    command += ["--json"] if arguments.json else []
    code = subprocess.run(command).returncode
    if code not in (0, 1, 2, 3, 64):
        raise OrdealError(f"the checker crashed (code {code}) on {paths.shown(path)}", "please report the file")
    return code
