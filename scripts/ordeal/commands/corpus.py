"""`ordeal corpus`: the known bugs, switched on one by one; each must be caught by name, or the harness is blind to it."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from ordeal import build, corpus, corpus_real, facts, paths, runs, verdict
from ordeal.cli import Parser
from ordeal.errors import HARNESS, usage, worst
from ordeal.options import seconds_of
from ordeal.terminal import count, seconds

COLOURS = {corpus.CAUGHT: "green", corpus.MISSED: "red"}
RECORD = paths.ROOT / "docs" / "corpus.json"


def parser() -> Parser:
    p = Parser("corpus", "Switch the known bugs on, one by one, and see whether what they break is named. Each has a scripted schedule in "
               "faults/scenario/corpus: with the bug off it must pass; with it on its branch must run and the right property must be named. "
               "--search looks for each by seed, without the script; --real plays those that real processes can show.",
               "  ./ordeal corpus\n  ./ordeal corpus --bug A1\n  ./ordeal corpus --group F --search --cap 60s\n  ./ordeal corpus --real --bug B1")
    p.add_argument("--group", metavar="LETTER", help="only bugs of this group: A (replication), B (idempotence), E (disk), F (metadata)")
    p.add_argument("--bug", metavar="NAME", help="only this bug, by id (A1) or name (repl.truncate_to_hw)")
    p.add_argument("--search", action="store_true", help=f"look for each by seed, {corpus.SEARCHES} times; interrupted, it goes on where it stopped")
    p.add_argument("--cap", default="120s", metavar="T", help="processor time of one search (default 120s)")
    p.add_argument("--budget", metavar="T", help="real time for all searches of this call; what is left is for the next one (default: no limit)")
    p.add_argument("--time", metavar="T", help="simulated time of the worlds of a search (default: the simulator's)")
    p.add_argument("--real", action="store_true", help="also trials on real processes, for the bugs that real faults can show")
    p.add_argument("--jobs", type=int, metavar="N", help="bugs at a time (default: one a processor)")
    p.add_argument("--record", action="store_true", help="enter the results into docs/corpus.json and write docs/corpus.md from it")
    p.add_argument("--out", metavar="DIR", help="where corpus.json, junit.xml and corpus.html go (default runs/<time>-corpus)")
    p.add_argument("--json", action="store_true", help="print one JSON object a bug")
    return p


def main(arguments, terminal) -> int:
    cap_s, budget_s = seconds_of(arguments.cap), seconds_of(arguments.budget) if arguments.budget else None
    if arguments.budget and not arguments.search:
        raise usage("--budget needs --search")
    if cap_s <= 0 or budget_s == 0 or (arguments.jobs is not None and arguments.jobs < 1):
        raise usage("--cap and --budget must be more than nothing and --jobs at least 1")
    build.ensure(terminal, ("ordeal-sim",))
    chosen = wanted(arguments, corpus.bugs())
    folder, jobs, began = runs.create("corpus", arguments.out), arguments.jobs or build.jobs(), time.monotonic()
    rows = scripts(chosen, folder, jobs, arguments, terminal)
    try:
        if arguments.search:
            search(rows, cap_s, budget_s, ["--time", arguments.time] if arguments.time else [], jobs, terminal)
        if arguments.real:
            real(rows, folder, terminal)
    finally:
        page = write(rows, folder, began, cap_s)
    if arguments.json:
        for row in rows:
            print(json.dumps(row), flush=True)
    table(rows, terminal)
    if arguments.record:
        record(folder, terminal)
    terminal.line(f"{corpus.tally(rows)} · {seconds(time.monotonic() - began)}")
    missed = [row["id"] for row in rows if row["code"] == corpus.MISSED]
    terminal.line((f"missed: {', '.join(missed)}; " if missed else "") + f"next: open {paths.shown(page)}")
    return worst([corpus.outcome(rows), *[HARNESS for row in rows if (row.get("real") or {}).get("tried") and not row["real"]["caught"]]])


def wanted(arguments, bugs: list[dict]) -> list[dict]:
    chosen = bugs
    if arguments.bug:
        by_id = re.fullmatch(r"[A-Z]\d+[a-z]?", arguments.bug)
        chosen = [b for b in bugs if (by_id and re.fullmatch(f"{arguments.bug}[a-z]?", b["id"])) or arguments.bug == b["name"]]
    if arguments.group:
        chosen = [b for b in chosen if b["group"] == arguments.group.upper()]
    if not chosen:
        raise usage(f"there is no known bug {arguments.bug or ''}{' in group ' + arguments.group if arguments.group else ''}".rstrip(),
                    "one of: " + ", ".join(b["id"] for b in bugs))
    return chosen


def scripts(bugs: list[dict], folder: Path, jobs: int, arguments, terminal) -> list[dict]:
    found: dict[str, dict] = {}
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        futures = [pool.submit(corpus.play, bug, folder) for bug in bugs]
        try:
            for future in as_completed(futures):
                row = future.result()
                found[row["id"]] = row
                terminal.live("corpus", f"{len(found)}/{len(bugs)} played · {sum(r['code'] == corpus.CAUGHT for r in found.values())} caught", row["id"])
        finally:
            for future in futures:
                future.cancel()
    for row in found.values():
        where = Path(row["folder"]) if row.get("folder") else None
        if where and (where / "verdict.json").is_file():
            row["report"] = str(verdict.render(where))
    terminal.clear()
    return [found[bug["id"]] for bug in bugs]


def search(rows: list[dict], cap_s: float, budget_s: float | None, words: list[str], jobs: int, terminal) -> None:
    campaign = corpus.Search(paths.runs_dir() / "corpus-search.json", cap_s, words)
    applicable = [row for row in rows if row["code"] in (corpus.CAUGHT, corpus.MISSED)]
    todo = campaign.todo([row["name"] for row in applicable])
    known = corpus.SEARCHES * len(applicable) - len(todo)
    if known:
        terminal.line(f"  search    {known} of {corpus.SEARCHES * len(applicable)} searches are in {paths.shown(campaign.path)} already")
    state = {"ended": 0, "hits": 0}

    def on_world(name, turn, before, row):
        worlds, cpu = (before[key] + row[key] for key in ("seeds", "cpu_s"))
        terminal.live("search", f"{state['ended']}/{len(todo)} searches · {state['hits']} found",
                      f"{name} search {turn + 1}: {worlds} seeds, {before['variants'] + row['variants']} variants, {cpu:.0f} s")

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        futures = {pool.submit(campaign.run, name, turn, on_world): (name, turn) for name, turn in todo}
        try:
            for future in as_completed(futures, budget_s):
                name, turn = futures[future]
                result = future.result()
                state["ended"] += 1
                state["hits"] += result["found"]
                terminal.line(f"  search    {name} {turn + 1}/{corpus.SEARCHES}: {_searched(result)}")
        except TimeoutError:
            terminal.line(f"  search    the budget is spent: {len(todo) - state['ended']} searches are left for the next time")
        finally:
            for future in futures:
                future.cancel()
            campaign.stop()
    for row in applicable:
        row["search"] = corpus.summary_of(campaign.results(row["name"]), cap_s)
        if row["code"] == corpus.MISSED and not row.get("scripted") and row["search"] and row["property"] in row["search"]["named"]:
            row |= {"code": corpus.CAUGHT, "caught": True, "named": row["property"], "why": "by seed; it has no script"}


def _searched(result: dict) -> str:
    world = f"seed {result['seed']}" + (f", variant {result['variant']}," if result.get("variant") else "")
    what = f"{world} breaks {', '.join(result['named'])}" if result["found"] else f"not found; it decided something in {result['exercised']}"
    crashed = f" · {result['crashed']} crashed" if result["crashed"] else ""
    return f"{what} · {count(result['seeds'], 'seed')}, {count(result['variants'], 'variant')}, {result['cpu_s']:.0f} s{crashed}"


def real(rows: list[dict], folder: Path, terminal) -> None:
    for row in rows:
        if row["code"] in (corpus.CAUGHT, corpus.MISSED):
            row["real"] = corpus_real.play(row, folder, terminal)


def write(rows: list[dict], folder: Path, began: float, cap_s: float) -> Path:
    from reports import corpus as pages

    document = {"schema": 1, "command": "./ordeal corpus", "versions": facts.versions(), "machine": facts.machine(folder),
                "took_s": round(time.monotonic() - began, 1), "cap_s": cap_s, "bugs": [row | {"again": corpus.again(row)} for row in rows]}
    (folder / "corpus.json").write_text(json.dumps(document, indent=1) + "\n")
    (folder / "junit.xml").write_text(pages.junit(document), encoding="utf-8")
    return pages.render(folder, document, corpus.SCRIPTS)


def record(folder: Path, terminal) -> None:
    """Rows of this run replace those of the same bugs; what was not run this time stays as it was, with its own commit."""
    from reports import corpus as pages

    fresh = json.loads((folder / "corpus.json").read_text())
    merged = pages.merge(json.loads(RECORD.read_text()) if RECORD.is_file() else {}, fresh)
    RECORD.write_text(json.dumps(merged, indent=1) + "\n")
    page = RECORD.with_suffix(".md")
    page.write_text(pages.markdown(merged), encoding="utf-8")
    terminal.line(f"recorded: {paths.shown(RECORD)}, {paths.shown(page)}")


def table(rows: list[dict], terminal) -> None:
    for row in rows:
        code = terminal.paint(f"{row['code']:<14}", COLOURS.get(row["code"], "dim"))
        terminal.line(f"  {row['id']:<5}{row['name']:<42} {code} {_told(row)}".rstrip())
        for line in _more(row):
            terminal.line(f"       {line}")


def _told(row: dict) -> str:
    if row["code"] in (corpus.NEEDS, corpus.NOT):
        return row.get("why", "")
    words = [row["named"] or "", row.get("why", "")] if row.get("caught") else [row.get("why", "")]
    words += [f"ran {row['ran']:,}×"] if row.get("ran") else []
    words += [f"{row['took_s']:.1f} s"] if row.get("took_s") else []
    return " · ".join(w for w in words if w)


def _more(row: dict) -> list[str]:
    lines = []
    if found := row.get("search"):
        median = f"; median {found['median_seeds']:,} seeds, {found['median_cpu_s']:g} s" if "median_seeds" in found else ""
        why = "" if found["found"] else f": its branch ran in {found['exercised']:,} of {found['seeds_tried']:,} worlds"
        lines.append(f"search: found in {found['found']} of {found['searches']}" + (f" as {', '.join(found['named'])}" if found["named"] else "") + median + why)
    if (found := row.get("real")) and found["tried"]:
        lines.append(f"real processes, plan {found['plan']}: " + (f"caught at seed {found['seed']}" if found["caught"] else f"MISSED in {found['seeds']} seeds"))
    elif found:
        lines.append(f"real processes: {found['why']}")
    return lines
