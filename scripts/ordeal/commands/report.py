"""`ordeal report RUN`: writes report.html, junit.xml and summary.md of a judged run again, or the page of a sweep or of the corpus."""

import json

from ordeal import corpus, paths, runs, verdict
from ordeal.cli import Parser
from ordeal.errors import OrdealError


def parser() -> Parser:
    p = Parser("report", "Render the pages of a run, of a sweep of worlds or of the corpus again, from what they wrote.",
               "  ./ordeal report latest\n  ./ordeal report log-7")
    p.add_argument("run", nargs="?", default="latest", help="a run's folder, its name, or latest (default)")
    p.add_argument("--json", action="store_true", help="print the paths as JSON")
    return p


def main(arguments, terminal) -> int:
    folder = runs.find(arguments.run)
    if page := _of_many(folder):
        if arguments.json:
            print(json.dumps({"exit": 0, "report": str(page)}))
        terminal.line(f"rendered: open {paths.shown(page)}")
        return 0
    if not (folder / "verdict.json").is_file():
        raise OrdealError(f"{paths.shown(folder)} was never judged: it has no verdict.json", f"./ordeal check {paths.shown(folder)}")
    page = verdict.render(folder)
    if arguments.json:
        names = {"report": page, "junit": folder / "junit.xml", "summary": folder / "summary.md"}
        print(json.dumps({"exit": 0, **{k: str(v) for k, v in names.items()}}))
    terminal.line(f"rendered: open {paths.shown(page)}")
    return 0


def _of_many(folder):
    """The page of a sweep or of the corpus, if that is what the folder holds."""
    from reports import corpus as bugs
    from reports import simulation

    if (folder / "sim.json").is_file():
        return simulation.render_sweep(folder, json.loads((folder / "sim.json").read_text()))
    if (folder / "corpus.json").is_file():
        return bugs.render(folder, json.loads((folder / "corpus.json").read_text()), corpus.SCRIPTS)
    return None
