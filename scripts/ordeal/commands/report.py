"""`ordeal report RUN`: writes report.html, junit.xml and summary.md of a judged run again."""

import json

from ordeal import paths, runs, verdict
from ordeal.cli import Parser
from ordeal.errors import OrdealError


def parser() -> Parser:
    p = Parser("report", "Render report.html, junit.xml and summary.md of a run again, from its verdict and aggregates.",
               "  ./ordeal report latest\n  ./ordeal report log-7")
    p.add_argument("run", nargs="?", default="latest", help="a run's folder, its name, or latest (default)")
    p.add_argument("--json", action="store_true", help="print the paths as JSON")
    return p


def main(arguments, terminal) -> int:
    folder = runs.find(arguments.run)
    if not (folder / "verdict.json").is_file():
        raise OrdealError(f"{paths.shown(folder)} was never judged: it has no verdict.json", f"./ordeal check {paths.shown(folder)}")
    page = verdict.render(folder)
    if arguments.json:
        names = {"report": page, "junit": folder / "junit.xml", "summary": folder / "summary.md"}
        print(json.dumps({"exit": 0, **{k: str(v) for k, v in names.items()}}))
    terminal.line(f"rendered: open {paths.shown(page)}")
    return 0
