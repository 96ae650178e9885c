"""The small diagram of a violation: clients and brokers as columns, time downwards, messages as arrows.

Time is drawn by order, not to scale: a witness may span forty seconds and a microsecond, and what matters is which
came first. Rows that lie far apart are separated by a break that says how much time passed.
"""

from dataclasses import dataclass
from html import escape

from reports.model import SECOND, Run, kind_words, nodes_of, number, process_words

ROW = 40
HEAD = 46
TIME_WIDTH = 84
COLUMN = 128
BREAK_AFTER = 2 * SECOND


_FUNCTIONS = {"audit_end": "read up to", "audit_start": "log starts at", "list_end": "ends at", "poll": "poll"}


@dataclass
class Step:
    t: int
    kind: str  # arrow, event, begin, heal
    lane: str
    to: str = ""
    text: str = ""
    tone: str = ""
    fault: str = ""


def diagram(run: Run, violation: dict, index: int = 1) -> str:
    """SVG text, or nothing when the violation names no operation that can be placed."""
    steps = sorted(_operations(run, violation) + _traces(violation) + _faults(run, violation), key=lambda s: s.t)
    if not any(s.kind == "arrow" for s in steps):
        return ""
    lanes = _lanes(steps)
    x = {lane: TIME_WIDTH + COLUMN * i + COLUMN // 2 for i, lane in enumerate(lanes)}
    y, rows, previous = HEAD + 22, [], None
    for step in steps:
        if previous is not None and step.t - previous > BREAK_AFTER:
            rows.append(("break", y, (step.t - previous) / SECOND))
            y += 26
        rows.append(("step", y, step))
        y += ROW
        previous = step.t
    height, width = y + 4, TIME_WIDTH + COLUMN * len(lanes) + 12
    body = _bands(rows, x, height) + _columns(x, height) + "".join(_row(run, r, x, width, index) for r in rows)
    title = escape(f"Order of events: {violation.get('title', '')}")
    return (f'<svg class="spacetime" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
            f'aria-label="{title}">{_marker(index)}{body}</svg>')


def _marker(index: int) -> str:
    """The arrow head; ids are the whole page's, so each diagram has its own."""
    return (f'<defs><marker id="tip{index}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            'orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" class="tip"/></marker></defs>')


def _leader_at(run: Run, topic, partition, t: int, epoch) -> int | None:
    """The broker that led the partition in that epoch, or at that time when the epoch is unknown."""
    for lane in run.aggregates.get("lanes", {}).get("partitions", []):
        if lane.get("topic") != topic or lane.get("partition") != partition:
            continue
        spans = lane.get("spans", [])
        if epoch is not None and epoch >= 0:
            named = [s for s in spans if s.get("leader_epoch") == epoch]
            if named:
                return named[0].get("leader")
        for span in spans:
            if span["from_ns"] <= t < span["to_ns"]:
                return span.get("leader")
    return None


def _operations(run: Run, violation: dict) -> list[Step]:
    steps = []
    operations = violation.get("operations", [])
    answers = {(o.get("process"), o.get("function"), o.get("value")): o for o in operations if o.get("type") != "invoke"}
    for o in operations:
        client = str(o.get("writer") or process_words(o.get("process")))
        asked = o.get("type") == "invoke"
        pair = answers.get((o.get("process"), o.get("function"), o.get("value")), o) if asked else o
        leader = _leader_at(run, o.get("topic"), o.get("partition"), o["time_ns"], pair.get("leader_epoch"))
        broker = f"n{leader}" if leader else "cluster"
        epoch, offset, value = pair.get("leader_epoch"), o.get("offset"), o.get("value")
        where = f"offset {number(offset)}" if offset is not None and offset >= 0 else ""
        aged = f" e{epoch}" if epoch is not None and epoch >= 0 and not asked else ""
        function = o.get("function", "")
        if asked:
            steps.append(Step(o["time_ns"], "arrow", client, broker, f"{function} {number(value)}".removesuffix(" –")))
        elif function == "send":
            said = {"ok": f"{number(value)} at {where}{aged}", "fail": f"refused {o.get('error') or ''}", "info": f"unknown {o.get('error') or ''}"}
            steps.append(Step(o["time_ns"], "arrow", broker, client, said.get(o.get("type"), ""), o.get("type", "")))
        elif value is None:
            steps.append(Step(o["time_ns"], "arrow", broker, client, f"{_FUNCTIONS.get(function, function)} {where}{aged}", "read"))
        else:
            steps.append(Step(o["time_ns"], "arrow", broker, client, f"{where}: {number(value)}{aged}", "read"))
    return steps


def _traces(violation: dict) -> list[Step]:
    steps = []
    for event in violation.get("trace", []):
        kind, node = event.get("k", ""), event.get("n")
        if node is None or "t" not in event:
            continue
        text = {
            "partition.leader": f"leads, epoch {event.get('leader_epoch')}",
            "partition.follower": f"follows n{event.get('leader')}, e{event.get('leader_epoch')}",
            "partition.truncate": f"cuts {number(event.get('from'))} → {number(event.get('to'))}",
            "partition.isr": f"ISR {event.get('isr')}",
            "log.recovered": f"recovered to {number(event.get('end'))}",
            "controller.active": "is controller",
        }.get(kind, kind)
        steps.append(Step(event["t"], "event", f"n{node}", text=text, tone="cut" if kind == "partition.truncate" else ""))
    return steps


def _faults(run: Run, violation: dict) -> list[Step]:
    steps, known = [], {f.get("id"): f for f in run.faults()}
    for fault_id in violation.get("faults", []):
        fault = known.get(fault_id)
        nodes = nodes_of(fault.get("targets")) or nodes_of(fault.get("resolved")) if fault else []
        for i, node in enumerate(nodes):
            word = kind_words(fault.get("kind", ""))
            if fault.get("begin_ns"):
                steps.append(Step(fault["begin_ns"] + i, "begin", f"n{node}", text=f"{fault_id}: {word}", fault=fault_id))
            if fault.get("heal_ns"):
                steps.append(Step(fault["heal_ns"] + i, "heal", f"n{node}", text=f"{fault_id}: healed", fault=fault_id))
    return steps


def _lanes(steps: list[Step]) -> list[str]:
    names = {s.lane for s in steps} | {s.to for s in steps if s.to}
    brokers = sorted((n for n in names if n[0] == "n" and n[1:].isdigit()), key=lambda n: int(n[1:]))
    tail = sorted((n for n in names if n == "cluster" or n.endswith("auditor")), key=lambda n: n != "cluster")
    return sorted(names - set(brokers) - set(tail)) + brokers + tail


def _columns(x: dict, height: int) -> str:
    out = []
    for lane, middle in x.items():
        broker = lane[0] == "n" and lane[1:].isdigit()
        out.append(f'<line class="lane" x1="{middle}" x2="{middle}" y1="{HEAD - 10}" y2="{height}"/>'
                   f'<rect class="head{" broker" if broker else ""}" x="{middle - 52}" y="6" width="104" height="26" rx="13"/>'
                   f'<text class="headtext" x="{middle}" y="23" text-anchor="middle">{escape(lane)}</text>')
    return "".join(out)


def _bands(rows: list, x: dict, height: int) -> str:
    """A fault shades its broker's column from where it took hold to where it was healed."""
    out, open_ = [], {}
    for what, y, step in rows:
        if what != "step" or step.kind not in ("begin", "heal"):
            continue
        if step.kind == "begin":
            open_[(step.fault, step.lane)] = y
        else:
            top = open_.pop((step.fault, step.lane), HEAD - 8)
            out.append(_band(x[step.lane], top, y))
    out += [_band(x[lane], top, height) for (_, lane), top in open_.items()]
    return "".join(out)


def _band(middle: int, top: int, bottom: int) -> str:
    return f'<rect class="faultband" x="{middle - 18}" y="{top}" width="36" height="{max(2, bottom - top)}" rx="4"/>'


def _row(run: Run, row: tuple, x: dict, width: int, index: int) -> str:
    what, y, step = row
    if what == "break":
        return (f'<line class="gap" x1="{TIME_WIDTH}" x2="{width}" y1="{y - 12}" y2="{y - 12}"/>'
                f'<text class="gaptext" x="{TIME_WIDTH - 8}" y="{y - 8}" text-anchor="end">+{step:.1f} s</text>')
    out = f'<text class="when" x="4" y="{y + 4}">{run.moment(step.t)}</text>'
    if step.kind == "arrow":
        from_x, to_x = x[step.lane], x[step.to]
        middle = (from_x + to_x) / 2
        out += f'<line class="arrow {step.tone}" x1="{from_x}" x2="{to_x}" y1="{y}" y2="{y}" marker-end="url(#tip{index})"/>'
        return out + _label(middle, y - 7, step.text, "middle", step.tone)
    mark = {"begin": "fault", "heal": "fault heal"}.get(step.kind, f"event {step.tone}")
    out += f'<circle class="{mark}" cx="{x[step.lane]}" cy="{y}" r="5"/>'
    last = x[step.lane] + COLUMN > width
    tone = step.tone if step.kind == "event" else "broken" if step.kind == "begin" else "mended"
    return out + _label(x[step.lane] + (-10 if last else 10), y + 4, step.text, "end" if last else "start", tone)


def _label(x: float, y: float, text: str, anchor: str, tone: str) -> str:
    return f'<text class="label {tone}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
