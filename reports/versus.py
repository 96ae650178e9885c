"""The page of a comparison (report.html beside figures.json): what each aim came to, a chart of the factors, every row.

Nothing is computed here but places in the chart: values, factors and whether an aim holds are in the document, in words too.
"""

import json
import math
from pathlib import Path

from markupsafe import Markup, escape

from reports.simulation import facts_of, write

WIDTH, LABEL, PAD, LINE, HEAD = 1120, 560, 130, 24, 34
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def render(folder: Path, document: dict) -> Path:
    figures = document["figures"]
    theirs = figures["titles"].get(figures["theirs"], figures["theirs"])
    rows = figures["rows"]
    groups = [(title, [r for r in rows if r["kind"] == kind]) for kind, title in figures["kinds"]]
    groups = [(title, members) for title, members in groups if members]
    held, asked = sum(r["holds"] is True for r in rows), sum(r["aim"] is not None for r in rows)
    kind = "pass" if asked and held == asked else "unknown"
    return write(
        Path(folder) / "report.html", "versus.html.j2", name=Path(folder).name, kind=kind, word="ALL AIMS HOLD" if kind == "pass" else "FIGURES",
        sentence=f"Beside {theirs}, {held} of the {asked} figures that have an aim reach it", command=document["command"],
        configuration=[f"{figures['nodes']} nodes each", f"median of {figures['rounds']} alternating turn{'s' if figures['rounds'] != 1 else ''}",
                       *(["a quick look, not a record"] if document.get("quick") else [])],
        tiles=[(f"{a['holds']} / {a['of']}", a["title"].lower(), f"at least {a['factor']:g} times better") for a in figures["aims"]],
        groups=groups, theirs=theirs, chip={True: "held", False: "violated", None: "allowed"}, chart=Markup(chart(groups)), spread=spread,
        failures=figures["failures"], rates=figures["rates"], equal=figures["equal_timeouts"],
        sections=[("chart", "Chart"), ("rows", "Figures"), ("how", "How it was measured"), ("facts", "Facts")], facts=facts_of(document))


def spread(side: dict | None) -> str:
    return f"{side['min']:,.3g} to {side['max']:,.3g}" if side and len(side["samples"]) > 1 else ""


def span(rows: list[dict]) -> tuple[float, float]:
    """Ends of the logarithmic axis: ticks that take in every factor, every aim and 1."""
    values = [v for r in rows for v in (r["times"], r["aim"]) if v] + [1.0]
    low = max((t for t in TICKS if t <= min(values)), default=TICKS[0])
    high = min((t for t in TICKS if t >= max(values)), default=TICKS[-1])
    return (low, high) if low < high else (low / 2, high * 2)


def chart(groups: list) -> str:
    """Bars from 1, to the right where we are better; a mark where the aim is. Words carry what colours say."""
    rows = [r for _, members in groups for r in members if r["times"]]
    if not rows:
        return "<p>Nothing was measured on both sides.</p>"
    low, high = span(rows)

    def x(value: float) -> float:
        place = (math.log(min(max(value, low), high)) - math.log(low)) / (math.log(high) - math.log(low))
        return LABEL + place * (WIDTH - LABEL - PAD)

    parts, y = [], HEAD
    for title, members in groups:
        members = [r for r in members if r["times"]]
        if not members:
            continue
        parts.append(f'<text x="0" y="{y + 16}" class="group">{escape(title)}</text>')
        y += LINE
        for row in members:
            parts.append(_bar(row, x, y))
            y += LINE
        y += 8
    ticks = [t for t in TICKS if low <= t <= high]
    grid = "".join(f'<line x1="{x(t):.1f}" x2="{x(t):.1f}" y1="{HEAD - 8}" y2="{y}" class="{"one" if t == 1 else "grid"}"/>'
                   f'<text x="{x(t):.1f}" y="{HEAD - 14}" class="tick">{t:g}x</text>' for t in ticks)
    return (f'<svg viewBox="0 0 {WIDTH} {y + 6}" width="{WIDTH}" role="img" aria-label="How many times better our broker is, row by row, on a logarithmic axis">'
            f'{grid}{"".join(parts)}</svg>')


def _bar(row: dict, x, y: int) -> str:
    state = {True: "holds", False: "short", None: "plain"}[row["holds"]]
    begin, end = sorted((x(1.0), x(row["times"])))
    aim = f'<path d="M{x(row["aim"]):.1f} {y + 1}v{LINE - 4}" class="aim"><title>aim: {row["aim"]:g} times</title></path>' if row["aim"] else ""
    verdict = f" · {row['shown']['verdict']}" if row["shown"]["verdict"] else ""
    return (f'<text x="{LABEL - 10}" y="{y + 16}" class="label">{escape(row["title"])}</text>'
            f'<rect x="{begin:.1f}" y="{y + 4}" width="{max(end - begin, 1.5):.1f}" height="{LINE - 10}" rx="2" class="{state}">'
            f'<title>{escape(row["shown"]["ours"])} against {escape(row["shown"]["theirs"])} {escape(row["unit"])}</title></rect>{aim}'
            f'<text x="{max(end, x(row["aim"]) if row["aim"] else 0) + 6:.1f}" y="{y + 16}" class="value">{escape(row["shown"]["times"] + verdict)}</text>')


def markdown(document: dict) -> str:
    """The rows as a table for docs/benchmarks.md."""
    figures = document["figures"]
    theirs = figures["titles"].get(figures["theirs"], figures["theirs"])
    out = [f"| median of {figures['rounds']} alternating turns | ours | {theirs} | better by | aim |", "|---|---|---|---|---|"]
    titles = dict(figures["kinds"])
    for row in figures["rows"]:
        said = row["shown"]
        aim = f"{said['aim']}: {said['verdict']}" if said["aim"] else ""
        out.append(f"| {titles[row['kind']]}: {row['title']}, {row['unit']} | {said['ours']} | {said['theirs']} | {said['times']} | {aim} |")
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    import sys

    if len(sys.argv) != 2:
        sys.exit("usage: python -m reports.versus FIGURES.json    prints the table of docs/benchmarks.md")
    print(markdown(json.loads(Path(sys.argv[1]).read_text())), end="")
