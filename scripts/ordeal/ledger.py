"""The ledger of simulated seeds: docs/ledger.json, and its table in docs/simulation.md.

A row says: at this commit these seeds were played with these options, and so many were violated. Rows are only ever entered
when asked for, by a program built from exactly the commit that they name; more seeds of the same commit and options extend
its row.
"""

import json
import re
from pathlib import Path

from ordeal import facts, paths
from ordeal.errors import OrdealError, usage
from ordeal.terminal import seconds

FILE = paths.ROOT / "docs" / "ledger.json"
PAGE = paths.ROOT / "docs" / "simulation.md"
BEGIN, END = "<!-- ledger: written by ./ordeal soak --sim --ledger -->", "<!-- end of the ledger -->"
SUMS = ("worlds", "violations", "unknown", "harness", "took_s", "cpu_s", "simulated_s")


def refuse_unless_exact() -> str:
    """The commit; or why a row would not be true of one."""
    if paths.prebuilt():
        raise usage("--ledger: ORDEAL_BIN names programs of an unknown commit", "unset ORDEAL_BIN, so that the program is built from this tree")
    if changed := facts.code_changes():
        raise usage(f"--ledger: the tree differs from its commit ({changed[0]}{' and others' if len(changed) > 1 else ''})", "commit first, then soak")
    return facts.commit()


def read(path: Path = FILE) -> list[dict]:
    try:
        return json.loads(path.read_text())["rows"] if path.is_file() else []
    except (ValueError, KeyError) as error:
        raise OrdealError(f"{paths.shown(path)} is damaged: {error}", f"git checkout {paths.shown(path)}") from error


def next_seed(rows: list[dict], commit: str, words: list[str]) -> int:
    """Behind the last seed that the commit has been through with these options."""
    return max([row["last"] for row in rows if row["commit"] == commit and row["words"] == words], default=0) + 1


def entry(commit: str, words: list[str], worlds: list[dict], counts: dict, took_s: float, date: str) -> dict:
    codes = [world["exit"] for world in worlds]
    seeds = sorted(world["seed"] for world in worlds)
    if seeds != list(range(seeds[0], seeds[-1] + 1)):
        raise OrdealError("the sweep has holes; nothing was entered into the ledger")
    return {"commit": commit, "date": date, "words": words, "first": seeds[0], "last": seeds[-1], "worlds": len(worlds), "violations": codes.count(1),
            "unknown": codes.count(2), "harness": codes.count(3), "bad": [w["seed"] for w in worlds if w["exit"]][:20],
            "took_s": round(took_s), "cpu_s": round(sum(w.get("cpu_ms") or 0 for w in worlds) / 1000),
            "simulated_s": round(sum(w.get("simulated_s") or 0 for w in worlds)),
            "marks": len(counts), "never": sorted(name for name, many in counts.items() if not many)}


def add(rows: list[dict], new: dict) -> list[dict]:
    """Newest first. A row that goes on where one of the same commit and options ended becomes part of it."""
    for row in rows:
        if row["commit"] == new["commit"] and row["words"] == new["words"] and row["last"] + 1 == new["first"]:
            row |= {key: row[key] + new[key] for key in SUMS} | {"last": new["last"], "date": new["date"], "bad": (row["bad"] + new["bad"])[:20],
                                                                 "marks": max(row["marks"], new["marks"]), "never": sorted(set(row["never"]) & set(new["never"]))}
            return rows
    return [new, *rows]


def write(rows: list[dict], path: Path = FILE, page: Path = PAGE) -> None:
    path.write_text(json.dumps({"schema": 1, "rows": rows}, indent=1) + "\n")
    if page.is_file():
        page.write_text(inserted(page.read_text(), rows))


def inserted(text: str, rows: list[dict]) -> str:
    if BEGIN not in text or END not in text:
        raise OrdealError("docs/simulation.md has lost the place of the ledger", f"put the lines {BEGIN} and {END} back")
    return re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: BEGIN + "\n" + table(rows) + END, text, flags=re.DOTALL)


def table(rows: list[dict]) -> str:
    if not rows:
        return "No sweep has been entered yet.\n"
    out = ["| commit | seeds | worlds | violations | unknown | harness failed | simulated | took | marks reached | command |", "|---|---|---:|---:|---:|---:|---|---|---|---|"]
    for row in rows:
        command = " ".join(["./ordeal soak --sim", f"--first {row['first']}", f"--seeds {row['worlds']}", *row["words"]])
        out.append(f"| `{row['commit']}`<br>{row['date']} | {row['first']} to {row['last']} | {row['worlds']:,} | {row['violations']} | {row['unknown']} "
                   f"| {row['harness']} | {row['simulated_s'] / 3600:.1f} h | {seconds(row['took_s'])} | {row['marks'] - len(row['never'])} of {row['marks']} | `{command}` |")
    never = rows[0]["never"]
    return "\n".join(out) + "\n\n" + (f"Never reached by the newest: {', '.join(f'`{n}`' for n in never)}.\n" if never else "The newest reached every mark.\n")
