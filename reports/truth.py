"""docs/truth.json and the table in docs/truth.md: what was measured of each configuration, on each broker.

Rows replace those of the same configuration and broker; the others stay as they were, each with its own commit and date. Of
truth.md only what stands between the two marks is written: the prose around it is by people.
"""

import json
from pathlib import Path

BEGIN, END = "<!-- table: ./ordeal truth --record -->", "<!-- end of table -->"
BROKERS = {"ordeal": "our broker", "kafka": "Apache Kafka"}
SETTLED = "undecided"
OMITTED = ("folder", "durable", "reasons")  # of the machine that ran it, or told elsewhere in the row


def record(path: Path, rows: list[dict]) -> None:
    known = json.loads(path.read_text())["rows"] if path.is_file() else []
    merged = merge(known, [kept(row) for row in rows])
    path.write_text(json.dumps({"schema": 1, "command": "./ordeal truth --record", "rows": merged}, indent=1) + "\n")
    page = path.with_suffix(".md")
    page.write_text(filled(page.read_text(encoding="utf-8"), table(merged)), encoding="utf-8")


def kept(row: dict) -> dict:
    found = {k: v for k, v in row.items() if k not in OMITTED}
    if row.get("durable"):
        found["durable"] = {"verdict": row["durable"]["verdict"], "lost": row["durable"]["lost"]}
        if row["durable"].get("witness"):
            found["witness"] = row["durable"]["witness"]
    return found


def merge(known: list[dict], fresh: list[dict]) -> list[dict]:
    """An undecided row takes no place from one that was decided: it says nothing about the configuration."""
    rows = {(r["name"], r["target"]): r for r in known}
    for row in fresh:
        at = (row["name"], row["target"])
        if row["code"] != SETTLED or at not in rows:
            rows[at] = row
    return list(rows.values())


def filled(text: str, middle: str) -> str:
    before, mark, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"docs/truth.md lacks the marks {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{middle}{END}{after}"


def table(rows: list[dict]) -> str:
    targets = [t for t in BROKERS if any(r["target"] == t for r in rows)]
    head = ["configuration", "plan", "no acknowledged write is lost", *(BROKERS[t] for t in targets)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name in dict.fromkeys(r["name"] for r in rows):
        mine = {r["target"]: r for r in rows if r["name"] == name}
        first = next(iter(mine.values()))
        lines.append("| " + " | ".join([f"**{name}**: {settings(first)}", f"`{first['plan']}`", f"{first['expected']}: {first['why']}",
                                        *(cell(mine[t]) if t in mine else "" for t in targets)]) + " |")
    lines += ["", "How each was held:", "", "| configuration | broker | driven | faults that acted | writes acknowledged / unknown | load at the start | took | commit | programs |", "|---" * 9 + "|"]
    for row in rows:
        sends = row.get("sends") or {}
        kinds = ", ".join(f"{n} {kind}" for kind, n in (row.get("faults") or {}).items())
        commit = row.get("commit", "")
        built = f"`{commit.split()[0]}`{'+' if 'local' in commit else ''}" if commit else ""
        lines.append(f"| {row['name']} | {row.get('broker') or BROKERS[row['target']]} | {row['time_s']:g} s, seed {row['seed']} | {kinds or '-'} | "
                     f"{sends.get('ok', 0):,} / {sends.get('info', 0):,} | {row.get('busy', 0):g} | {row.get('took_s', 0):.0f} s | {built} | "
                     f"`{row.get('programs', '')}` |")
    return "\n".join(lines) + "\n"


def settings(row: dict) -> str:
    words = [f"acks={row['acks']}", f"idempotence {'on' if row['idempotence'] else 'off'}", f"RF {row['rf']}", f"min ISR {row['min_isr']}"]
    return ", ".join([*words, f"unclean election {'on' if row['unclean'] else 'off'}"])


def cell(row: dict) -> str:
    if "lost_count" not in row:
        return f"{row['code']}: not held"
    verdict = row["verdict"] if not row.get("violated") else f"{row['verdict']} ({', '.join(row['violated'])})"
    lost = f"{row['lost_count']:,} lost" + (", allowed" if "lost-write" in row.get("allowed", {}) else "")
    if row.get("durable"):
        lost += f"; under `durable` {row['durable']['lost']:,} violations"
    code = row["code"] if row["code"] == "agrees" else f"**{row['code']}**"
    return f"{code}: {verdict}, {lost}" + (f" ({row['why_not']})" if row.get("why_not") else "")
