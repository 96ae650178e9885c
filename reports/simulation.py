"""Pages about many simulated worlds: a sweep of seeds (sim.html) and the known bugs (corpus.html)."""

import os
from pathlib import Path

import jinja2
from markupsafe import Markup

from reports import model
from reports.model import number, plural

HERE = Path(__file__).resolve().parent
PASS, VIOLATION, UNKNOWN, HARNESS = 0, 1, 2, 3
CHIPS = {PASS: "held", VIOLATION: "violated", UNKNOWN: "unknown", HARNESS: "unknown"}
OUTCOMES = {PASS: "passed", VIOLATION: "failed", UNKNOWN: "unknown", HARNESS: "harness failed"}


def environment() -> jinja2.Environment:
    env = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
                             undefined=jinja2.ChainableUndefined)
    env.filters.update(number=number, capital=model.sentence_case)
    return env


def write(page: Path, template: str, **values) -> Path:
    assets = HERE / "assets"
    page.write_text(environment().get_template(template).render(
        style=Markup((assets / "style.css").read_text()), script=Markup((assets / "plain.js").read_text()), **values), encoding="utf-8")
    return page


def render_sweep(folder: Path, document: dict) -> Path:
    worlds = document.get("worlds", [])
    codes = [w.get("exit", HARNESS) for w in worlds]
    worst = next((code for code in (VIOLATION, HARNESS, UNKNOWN) if code in codes), PASS)
    for world in worlds:
        report = world.get("report")
        world["link"] = os.path.relpath(report, folder) if report else None
    marks = document.get("marks") or {}
    components: dict[str, list] = {}
    for name, many in sorted(marks.items()):
        if many:
            components.setdefault(name.split(".", 1)[0], []).append((name.split(".", 1)[-1], many))
    tally = ", ".join(f"{codes.count(code):,} {word}" for code, word in OUTCOMES.items() if codes.count(code))
    return write(
        Path(folder) / "sim.html", "sweep.html.j2", name=folder.name, kind={PASS: "pass", VIOLATION: "fail"}.get(worst, "unknown"),
        word={PASS: "PASS", VIOLATION: "FAIL", HARNESS: "HARNESS FAILED"}.get(worst, "UNKNOWN"),
        sentence=f"{plural(len(worlds), 'simulated world')}: {tally}", command=document.get("command", "./ordeal sim"),
        configuration=_seeds(worlds), tiles=_tiles(worlds, marks), bad=[w for w in worlds if w.get("exit") != PASS], chip=CHIPS,
        outcome=OUTCOMES, components=sorted(components.items()), never=sorted(n for n, many in marks.items() if not many),
        sections=[("worlds", "Worlds"), *([("marks", "Rare branches")] if marks else []), ("facts", "Facts")], facts=facts_of(document))


def _seeds(worlds: list) -> list[str]:
    seeds = [w["seed"] for w in worlds if "seed" in w]
    if not seeds:
        return []
    return [f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {min(seeds):,} to {max(seeds):,}"]


def _tiles(worlds: list, marks: dict) -> list[tuple[str, str, str]]:
    def total(key):
        return sum(w.get(key) or 0 for w in worlds)

    simulated, real = total("simulated_s"), total("real_ms") / 1000
    rows = [(number(len(worlds)), "worlds", f"{sum(w.get('exit') == PASS for w in worlds):,} passed"),
            (f"{number(round(simulated / 60))} min", "simulated", f"{simulated / real:,.0f} times real time on a core" if real else "–"),
            (number(total("sends_ok")), "writes acknowledged", f"{number(total('operations'))} operations judged"),
            (number(total("faults")), "faults took hold", "each verified")]
    if marks:
        rows.append((f"{sum(1 for n in marks.values() if n)} / {len(marks)}", "rare branches reached", "marks in the broker and its world"))
    return rows


def facts_of(document: dict) -> list[tuple[str, list[tuple[str, str]]]]:
    groups = [("Versions", document.get("versions")), ("Machine", document.get("machine"))]
    return [(title, [(key, model.words_of(value)) for key, value in sorted(rows.items())]) for title, rows in groups if rows]
