"""Runs the checker over a run folder, renders the reports, and prints the verdict block of the terminal."""

import json
import subprocess
import textwrap
from pathlib import Path

from ordeal import paths
from ordeal.errors import HARNESS, UNKNOWN, VERDICT_CODES, OrdealError
from ordeal.terminal import Terminal, seconds

COLOURS = {"pass": "green", "fail": "red", "unknown": "yellow"}
STORY_WIDTH = 100
# Properties that the one-line tally of a pass names, and the word it uses.
TALLY = (("lost-write", "lost"), ("duplicate", "duplicated"), ("nonmonotonic-send", "reordered"))


def judge(folder: Path, promise: str | None = None) -> int:
    """ordeal-check RUNDIR: writes verdict.json and aggregates.json; returns the exit code that the verdict means."""
    command = [str(paths.binary("ordeal-check")), str(folder)]
    if promise:
        command += ["--promise", promise]
    done = subprocess.run(command, capture_output=True, text=True)
    verdict = folder / "verdict.json"
    if done.returncode not in VERDICT_CODES.values() or not verdict.is_file():
        raise OrdealError(f"the checker ended with code {done.returncode} and no verdict", "the history is kept: ./ordeal check "
                          f"{paths.shown(folder)}", HARNESS if done.returncode != 64 else 64, done.stdout + done.stderr)
    said = VERDICT_CODES.get(json.loads(verdict.read_text()).get("verdict"))
    if said != done.returncode:
        raise OrdealError(f"the checker exited {done.returncode} but wrote a verdict that means {said}", detail=done.stderr)
    return said


def doubt(folder: Path, reasons: list[str]) -> int:
    """Turns a pass that the harness's own records contradict into an unknown, in the file that everything else reads."""
    found = load(folder)
    found["verdict"] = "unknown"
    found["sentence"] = "no violation was found, but " + "; ".join(reasons)
    found["reasons"] = [*found.get("reasons", []), *reasons]
    (folder / "verdict.json").write_text(json.dumps(found, indent=1) + "\n")
    return UNKNOWN


def render(folder: Path) -> Path:
    from reports.render import render as write

    return write(folder)


def load(folder: Path) -> dict:
    return json.loads((folder / "verdict.json").read_text())


def checked_line(verdict: dict) -> str:
    checker, counts = verdict.get("checker") or {}, verdict.get("counts") or {}
    took = (checker.get("load_s") or 0) + (checker.get("check_s") or 0)
    return f"{counts.get('operations', 0):,} operations in {seconds(took)}"


def show(terminal: Terminal, folder: Path, verdict: dict, replay: str) -> None:
    kind = verdict.get("verdict", "unknown")
    word = {"pass": "PASS", "fail": "FAIL"}.get(kind, "UNKNOWN")
    indent = " " * (len(word) + 2)
    terminal.line()
    terminal.line(f"{terminal.paint(word, COLOURS.get(kind, 'yellow'), 'bold')}  {verdict.get('sentence', '')}")
    for line in _details(kind, verdict):
        for i, part in enumerate(textwrap.wrap(line, STORY_WIDTH) or [""]):
            terminal.line(indent + ("  " if i else "") + part)
    page = _page(folder)
    terminal.line(f"{indent}report  {page}     again  {replay}")


def _page(folder: Path) -> str:
    latest = paths.runs_dir() / "latest"
    if latest.is_symlink() and latest.resolve() == folder.resolve():
        return paths.shown(latest / "report.html")
    return paths.shown(folder / "report.html")


def _details(kind: str, verdict: dict) -> list[str]:
    lines = [f"- {reason}" for reason in verdict.get("reasons", [])]
    broken = [v for v in verdict.get("violations", []) if v.get("status") == "violated"]
    for violation in broken[:1]:
        lines += [f"first: {violation['story'][0]}"] if violation.get("story") else []
        lines += violation.get("story", [])[1:3]
        if violation.get("faults"):
            lines.append(f"active then: {', '.join(violation['faults'])}")
    if len(broken) > 1:
        lines.append("also: " + "; ".join(v.get("title", v.get("property", "?")) for v in broken[1:4]))
    allowed = [p for p in verdict.get("properties", []) if p.get("status") == "allowed" and p.get("count")]
    if allowed:
        lines.append("allowed by this configuration: " + ", ".join(f"{p['count']} {p['name']}" for p in allowed))
    return lines + [_tally(verdict)]


def _tally(verdict: dict) -> str:
    rows = {p.get("name"): p for p in verdict.get("properties", [])}
    counts = verdict.get("counts") or {}
    words = [f"{word} {rows[name].get('count', 0):,}" for name, word in TALLY if name in rows]
    unknown = counts.get("sends_info") or 0
    words.append(f"{unknown:,} unknown writes: {counts.get('info_landed') or 0:,} landed, {counts.get('info_absent') or 0:,} did not"
                 if unknown else "no write with unknown outcome")
    words.append(f"{counts.get('partitions_drained', 0)}/{counts.get('partitions', 0)} partitions read to their end")
    return " · ".join(words)
