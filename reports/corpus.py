"""The known bugs as a page (corpus.html), as JUnit, and as docs/corpus.md: all from corpus.json, so that none can claim more."""

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import yaml

from reports import model, steps
from reports.simulation import facts_of, write

GROUPS = {"A": "Replication and leader epochs", "B": "Idempotent producer", "C": "Transactions", "D": "Consumer groups and offsets",
          "E": "Storage and durability", "F": "Metadata, Raft and controller", "G": "Clients"}
CAUGHT, MISSED = "caught", "MISSED"
CHIPS = {CAUGHT: "held", MISSED: "violated", "needs feature": "unknown", "not applicable": "allowed"}
# Rows of docs/corpus.json keep what the page there shows; folders and reports are of one machine.
KEPT = ("id", "group", "name", "source", "summary", "property", "code", "why", "ran", "named", "caught", "scripted", "took_s", "search", "real", "again",
        "title")


def render(folder: Path, document: dict, scripts: Path) -> Path:
    rows = document["bugs"]
    for row in rows:
        row |= script_of(row["name"], scripts)
        row["story"] = story(row)
        row["link"] = os.path.relpath(row["report"], folder) if row.get("report") else None
    (folder / "corpus.json").write_text(json.dumps(document, indent=1) + "\n")
    missed = [row["id"] for row in rows if row["code"] == MISSED]
    kind = "fail" if missed else "pass"
    return write(
        folder / "corpus.html", "corpus.html.j2", name=folder.name, kind=kind, word="BLIND SPOTS" if missed else "ALL CAUGHT",
        sentence=headline(rows), command=document["command"], configuration=[], tiles=tiles(rows), groups=grouped(rows), chip=CHIPS, missed=missed,
        sections=[*[(f"group-{g}", f"{g} {title.split(' ')[0].rstrip(',')}") for g, title, _ in grouped(rows)], ("facts", "Facts")], facts=facts_of(document))


def script_of(name: str, scripts: Path) -> dict:
    """Title and steps of the bug's scenario; a file that cannot be read is the simulator's to complain about."""
    path = Path(scripts) / f"{name}.yaml"
    if not path.is_file():
        return {}
    try:
        scenario = yaml.safe_load(path.read_text())
    except yaml.YAMLError:
        return {}
    cluster, drawn = scenario.get("cluster") or {}, scenario.get("plan")
    out = {"title": scenario.get("title", ""), "steps": [list(line) for line in steps.words(scenario.get("script"))]}
    if drawn:
        many = len(drawn.get("steps") or []) if isinstance(drawn, dict) else 0
        out["steps"] = [[0, f"seed {scenario.get('seed')}, found by search: {model.plural(many, 'fault')} in {scenario.get('time', '60s')}"]]
    out["setting"] = f"{cluster.get('nodes', 3)} nodes" + "".join(f", {k}={v}" for k, v in (cluster.get("set") or {}).items())
    return out


def story(row: dict) -> list[str]:
    """What the checker told of the violation with the bug on."""
    verdict = Path(row["folder"]) / "verdict.json" if row.get("folder") else None
    if verdict and verdict.is_file():
        for violation in json.loads(verdict.read_text()).get("violations", []):
            if violation.get("property") == row.get("named"):
                return [model.sentence_case(violation.get("title", "")), *violation.get("story", [])]
    told = [v for v in (row.get("on") or {}).get("violations") or [] if (v.get("property") or v.get("invariant")) == row.get("named")]
    return [v.get("text", "") for v in told[:1]]


def grouped(rows: list) -> list[tuple[str, str, list]]:
    letters = sorted({row["group"] for row in rows})
    return [(letter, GROUPS.get(letter, "Other"), [row for row in rows if row["group"] == letter]) for letter in letters]


def headline(rows: list) -> str:
    applicable = [row for row in rows if row["code"] in (CAUGHT, MISSED)]
    caught = [row for row in applicable if row["code"] == CAUGHT]
    rest = len(rows) - len(applicable)
    return f"{len(caught)} of {len(applicable)} known bugs are caught and named" + (f"; {rest} cannot be switched on in this broker" if rest else "")


def tiles(rows: list) -> list[tuple[str, str, str]]:
    codes = [row["code"] for row in rows]
    out = [(f"{codes.count(CAUGHT)} / {codes.count(CAUGHT) + codes.count(MISSED)}", "caught by their scripts", "off: passes; on: runs and is named")]
    searched = [row["search"] for row in rows if row.get("search")]
    if searched:
        out.append((f"{sum(s['found'] > 0 for s in searched)} / {len(searched)}", "found by seed alone", f"cap {searched[0]['cap_s']:g} s of a processor each"))
    tried = [row["real"] for row in rows if (row.get("real") or {}).get("tried")]
    if tried:
        out.append((f"{sum(bool(r['caught']) for r in tried)} / {len(tried)}", "caught on real processes", "of those that real faults can show"))
    for code, what in (("needs feature", "wait for a feature"), ("not applicable", "do not apply")):
        if code in codes:
            out.append((str(codes.count(code)), what, "see their rows"))
    return out


def junit(document: dict) -> str:
    rows = document["bugs"]
    suite = ElementTree.Element("testsuite", name="ordeal.corpus", tests=str(len(rows)), time=str(document.get("took_s", 0)),
                                failures=str(sum(r["code"] == MISSED for r in rows)), skipped=str(sum(r["code"] not in (CAUGHT, MISSED) for r in rows)))
    for row in rows:
        case = ElementTree.SubElement(suite, "testcase", classname=f"ordeal.corpus.{row['group']}", name=f"{row['id']} {row['name']}",
                                      time=str(row.get("took_s", 0)))
        if row["code"] == MISSED:
            ElementTree.SubElement(case, "failure", message=row.get("why", "")).text = f"expected {row['property']}\n{row.get('again', '')}"
        elif row["code"] != CAUGHT:
            ElementTree.SubElement(case, "skipped", message=f"{row['code']}: {row.get('why', '')}")
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def merge(old: dict, fresh: dict) -> dict:
    """The record: fresh rows over old ones, each with the commit that it was run at. What was not searched or tried this time keeps its result."""
    rows = {row["id"]: row for row in old.get("bugs", [])}
    commit = fresh.get("versions", {}).get("commit", "unknown")
    for row in fresh["bugs"]:
        before = rows.get(row["id"], {})
        rows[row["id"]] = {key: row[key] for key in KEPT if row.get(key) not in (None, [], "")} | {"commit": commit}
        for part in ("search", "real"):
            if row.get(part):
                rows[row["id"]][part] = {k: v for k, v in row[part].items() if k not in ("folder",)} | {"commit": commit}
            elif before.get(part):
                rows[row["id"]][part] = before[part]
    return {"schema": 1, "bugs": sorted(rows.values(), key=lambda row: order(row["id"]))}


def order(bug_id: str) -> tuple:
    digits = "".join(c for c in bug_id if c.isdigit())
    return bug_id[0], int(digits or 0), bug_id


def markdown(record: dict) -> str:
    """docs/corpus.md."""
    rows = record["bugs"]
    out = ["# The known bugs", "", "<!-- Written by `./ordeal corpus --record` from docs/corpus.json. -->", "",
           "Every bug of the Kafka family that this broker can be told to have is a switch at one decision point, with a script that shows it. "
           "`./ordeal corpus` plays each script twice: with the switch off it must pass, with it on the mutated branch must run and the property "
           "named here must be what breaks. `--search` looks for each without its script, by seed alone, three times; `--real` plays those that real "
           "processes under real faults can show. [simulation.md](simulation.md) says what a world is; [scenarios.md](scenarios.md) how to write a script.", "",
           headline(rows) + ".", ""]
    for letter, title, members in grouped(rows):
        out += [f"## {letter}: {title}", "", "| id | switch, source | what the bug does | code | named | search, seeds and CPU s | real processes |",
                "|---|---|---|---|---|---|---|"]
        out += [_line(row) for row in members]
        out.append("")
    searched = [row["search"] for row in rows if row.get("search")]
    if searched:
        out += [f"Search: cap {searched[0]['cap_s']:g} s of one core each, worlds drawn by `--small` and, of those in which the switch's branch ran "
                "without harm, variants to which more happens afterwards: the search sees that the branch runs, it knows neither the script nor what must "
                "break. \"2 of 3\" says how many of the searches, each with seeds of its own and three in a whole campaign, broke something while the branch "
                "ran; seeds and seconds are their median.", ""]
    commits = sorted({row["commit"] for row in rows if row.get("commit")})
    out.append("Taken at " + ", ".join(f"`{c}`" for c in commits) + ".")
    return "\n".join(out) + "\n"


def _line(row: dict) -> str:
    code = {CAUGHT: "caught", MISSED: "**MISSED**"}.get(row["code"], row["code"])
    what = row.get("summary") or "–"
    if row["code"] != CAUGHT and row.get("why"):
        code += f": {row['why']}"
    cells = [row["id"], f"`{row['name']}`<br>{row.get('source', '')}", what, code, f"{row.get('named') or row.get('property') or '–'}", _searched(row), _real(row)]
    return "| " + " | ".join(str(c).replace("|", "\\|").replace("\n", " ") for c in cells) + " |"


def _searched(row: dict) -> str:
    found = row.get("search")
    if not found:
        return "–"
    median = f": {found['median_seeds']:,} seeds, {found['median_cpu_s']:g} s" if "median_seeds" in found else ""
    if not found["found"]:
        ran = found.get("exercised", 0)
        return f"0 of {found['searches']}: its branch " + (f"ran in {ran:,} of {found['seeds_tried']:,} worlds, without harm" if ran else f"never ran in {found['seeds_tried']:,} worlds")
    other = [n for n in found["named"] if n != row["property"]] if found["found"] and row["property"] not in found["named"] else []
    return f"{found['found']} of {found['searches']}{median}" + (f" (as {', '.join(other)})" if other else "")


def _real(row: dict) -> str:
    real = row.get("real")
    if not real:
        return "–"
    if not real["tried"]:
        return real["why"]
    other = f" (as {real['expected']})" if real.get("expected", row["property"]) != row["property"] else ""
    return f"caught by `--plan {real['plan']}`{other}" if real["caught"] else f"**not caught** by `--plan {real['plan']}` in {model.plural(real['seeds'], 'trial')}"
