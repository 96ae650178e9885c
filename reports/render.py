"""Renders a run folder: report.html (one file, no network), junit.xml and summary.md.

`python -m reports.render RUN` does it by hand; `./ordeal report RUN` and every trial call render().
"""

import json
import sys
from pathlib import Path

import jinja2
from markupsafe import Markup

from reports import facts, messages, model
from reports.junit import junit
from reports.spacetime import diagram
from reports.summary import summary

HERE = Path(__file__).resolve().parent
SCRIPTS = ("chart.js", "lanes.js", "timeline.js", "messages.js", "page.js")


def render(folder: Path) -> Path:
    """Writes the three files into `folder` and returns the page's path. verdict.json must be there."""
    run = model.load(Path(folder))
    page = run.folder / "report.html"
    page.write_text(html(run), encoding="utf-8")
    (run.folder / "junit.xml").write_text(junit(run), encoding="utf-8")
    (run.folder / "summary.md").write_text(summary(run), encoding="utf-8")
    return page


def html(run: model.Run) -> str:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True,
                                     lstrip_blocks=True, undefined=jinja2.ChainableUndefined)
    environment.filters.update(number=model.number, moment=run.moment, words=model.words_of, kind=model.kind_words,
                               process=model.process_words, capital=model.sentence_case)
    assets, lanes = HERE / "assets", messages.diagram(run)
    return environment.get_template("page.html.j2").render(
        run=run, verdict_word=model.VERDICT_WORDS.get(run.kind, "UNKNOWN"), configuration=model.configuration(run),
        tiles=model.tiles(run), status_words=model.STATUS_WORDS, promise_words=model.PROMISE_WORDS,
        diagrams=[Markup(diagram(run, v, i)) for i, v in enumerate(run.violations)], facts=facts.facts(run),
        messages=lanes, messages_data=Markup(_inside_script(lanes)) if lanes else "",
        not_covered=run.trial.get("not_covered", []),
        style=Markup((assets / "style.css").read_text()),
        script=Markup("\n".join((assets / name).read_text() for name in SCRIPTS)),
        data=Markup(embedded(run)))


def embedded(run: model.Run) -> str:
    """The aggregates for the timeline, safe inside a script element."""
    marks = [{"title": v.get("title", ""), "from_ns": v.get("from_ns"), "to_ns": v.get("to_ns")} for v in run.violations]
    return _inside_script({**run.aggregates, "violations": marks})


def _inside_script(value) -> str:
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m reports.render RUN")
    print(render(Path(sys.argv[1])))
