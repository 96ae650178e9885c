"""summary.md: fits a pull request comment. The sentence, the table, three lines a violation."""

from reports.model import PROMISE_WORDS, STATUS_WORDS, VERDICT_WORDS, Run, configuration, number, plural, sentence_case

MARKS = {"held": "✅", "violated": "❌", "allowed": "➖", "unknown": "❔"}
VERDICT_MARKS = {"pass": "✅", "fail": "❌", "unknown": "❔"}
STORIES = 5
STORY_LINES = 3


def summary(run: Run) -> str:
    out = [f"### {VERDICT_MARKS.get(run.kind, '❔')} Ordeal: {VERDICT_WORDS.get(run.kind, 'UNKNOWN')}", "",
           f"{_cell(run.verdict.get('sentence', ''))}", "", " · ".join(configuration(run)), ""]
    out += [f"- {_cell(reason)}" for reason in run.verdict.get("reasons", [])]
    out += ["", *_table(run), ""]
    for violation in run.violations[:STORIES]:
        out += [f"**{_cell(violation.get('title', ''))}**", ""]
        out += [f"> {line}" for line in violation.get("story", [])[:STORY_LINES]]
        out.append("")
    if len(run.violations) > STORIES:
        out += [f"… and {plural(len(run.violations) - STORIES, 'more violation')} in report.html.", ""]
    out += [_faults(run), "", f"Again: `{run.trial.get('command', './ordeal run')}`"]
    return "\n".join(_squeeze(out)) + "\n"


def _table(run: Run) -> list[str]:
    rows = ["| guarantee | here | outcome | seen |", "|---|---|---|---:|"]
    for row in run.properties:
        status = row.get("status", "unknown")
        rows.append(f"| {_cell(sentence_case(row.get('title') or row.get('name', '')))} | {PROMISE_WORDS.get(row.get('promised'), '–')} "
                    f"| {MARKS.get(status, '❔')} {STATUS_WORDS.get(status, status)} | {number(row.get('count') or 0)} |")
    return rows


def _faults(run: Run) -> str:
    faults = run.faults()
    if not faults:
        return "No faults were injected."
    acted = [f for f in faults if f.get("verified")]
    kinds = {}
    for fault in acted:
        kinds[fault.get("kind", "?")] = kinds.get(fault.get("kind", "?"), 0) + 1
    listed = ", ".join(f"{many} × {kind}" for kind, many in sorted(kinds.items()))
    return f"Faults that took hold: {len(acted)} of {len(faults)}" + (f" ({listed})." if listed else ".")


def _cell(text: str) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def _squeeze(lines: list[str]) -> list[str]:
    return [line for i, line in enumerate(lines) if line or i == 0 or lines[i - 1]]
