"""What went over the network around a violation, as data for the lane diagram (assets/messages.js): lanes, messages, marks.

Only simulated worlds have messages.jsonl (docs/formats/sim.md). Times become microseconds since the first message, names
become indices: tens of thousands of messages fit a page that opens at once.
"""

import json
import re
from collections import Counter, deque

from reports.model import Run, plural

MOST = 20_000  # messages and marks embedded; those nearest to the violation stay
IDLE_SPREAD = 4  # bytes that terms and offsets add to an empty append as they grow

ROLE_WORDS = {"leader": "Raft leader", "candidate": "Raft candidate", "follower": "Raft follower", "observer": "Raft observer", "prevote": "asks for votes"}


def diagram(run: Run) -> dict | None:
    rows = _read(run.folder / "messages.jsonl")
    if not rows:
        return None
    focus = [v for v in run.violations if v.get("from_ns")]
    middle = (focus[0].get("to_ns") or focus[0]["from_ns"]) if focus else None
    rows = _quiet_fetches(_quietened(_nearest(rows, middle)))
    t0, t1 = rows[0]["t"], max(max(r["t"], r.get("a") or 0) for r in rows)
    marks = _nearest([m for m in _marks(run, t0, t1)], middle)
    lanes = _lanes(rows, marks)
    apis, parts, texts = _Names(), _Names(), _Names()
    texts.of("")  # number 0: nothing to say
    messages = [[_us(r["t"], t0), _us(r["a"], t0) if r.get("a") is not None else -1, lanes.index(r["from"]), lanes.index(r["to"]),
                 apis.of(r.get("api") or "unknown"), int(bool(r.get("reply"))), [parts.of(p) for p in r.get("p", [])], texts.of(r.get("say", "")), texts.of(r.get("lost") or ""),
                 [texts.of(words) for words in r["each"]] if "each" in r else 0, texts.of(r.get("note") or "")]
                for r in rows]
    drawn = [[_us(m["t"], t0), lanes.index(m["lane"]), m["class"], m["text"], parts.of(m["p"]) if m.get("p") else -1] for m in marks]
    return {"t0_us": (t0 - run.t0) // 1000, "length_us": _us(t1, t0), "lanes": lanes, "apis": apis.names, "partitions": parts.names,
            "texts": texts.names, "messages": messages, "marks": drawn, "bands": _bands(run, lanes, t0, t1),
            "focus": [[i, _us(v["from_ns"], t0), _us(v.get("to_ns") or v["from_ns"], t0), parts.known.get(_partition_of(v), -1)] for i, v in enumerate(run.violations)
                      if v.get("from_ns") and v["from_ns"] <= t1 and (v.get("to_ns") or v["from_ns"]) >= t0],
            "lead": f"{plural(len(messages), 'message')} between {run.moment(t0)} and {run.moment(t1)}"}


class _Names:
    def __init__(self):
        self.names: list[str] = []
        self.known: dict[str, int] = {}

    def of(self, name: str) -> int:
        if name not in self.known:
            self.known[name] = len(self.names)
            self.names.append(name)
        return self.known[name]


def _us(t: int, t0: int) -> int:
    return (t - t0) // 1000


def _read(path) -> list[dict]:
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            break  # a torn tail
        if isinstance(row, dict) and {"t", "from", "to"} <= row.keys():
            rows.append(row)
    return sorted(rows, key=lambda r: r["t"])


def _quietened(rows: list[dict]) -> list[dict]:
    """A Raft leader appends nothing again and again to be heard of: its smallest messages, and their answers, are set apart."""
    appends = [r for r in rows if r.get("api") == "raft_append" and "bytes" in r]
    least = min((r["bytes"] for r in appends if not r.get("reply")), default=0) + IDLE_SPREAD
    asked: dict[tuple, deque] = {}  # between two nodes answers come in the order of the questions
    for row in appends:
        if not row.get("reply"):
            idle = row["bytes"] <= least
            asked.setdefault((row["from"], row["to"]), deque()).append(idle)
        else:
            waiting = asked.get((row["to"], row["from"]))
            idle = waiting.popleft() if waiting else True
        if idle:
            row["api"] = "raft_append (idle)"
    return rows


def _quiet_fetches(rows: list[dict]) -> list[dict]:
    """A fetch that asks what its connection asked before and is told the same nothing is set apart, with its answer."""
    asked: dict[tuple, dict] = {}
    last: dict[int, tuple] = {}  # by connection: what was asked and answered
    for row in rows:
        if row.get("api") != "Fetch" or "c" not in row:
            continue
        said = (row.get("say"), tuple(row.get("each", ())))
        if not row.get("reply"):
            asked[row["c"], row.get("id")] = row
            row["_said"] = said
            continue
        request = asked.pop((row["c"], row.get("id")), None)
        if request is None:
            continue
        new = [words for words in (row.get("each") or [row.get("say", "")]) if "nothing new" not in words]
        now = (request["_said"], said)
        if not new and last.get(row["c"]) == now and row.get("a") is not None:
            request["api"] = row["api"] = "Fetch (idle)"
        last[row["c"]] = now
    return rows


def _partition_of(violation: dict) -> str | None:
    """What it is about: the partition that most of its operations name, or that its title begins with ("t-0: ...")."""
    named = Counter(f"{o['topic']}/{o['partition']}" for o in violation.get("operations") or [] if o.get("topic") and o.get("partition") is not None)
    if named:
        return named.most_common(1)[0][0]
    found = re.search(r"\b([\w.-]+)[-/](\d+)(?=:| )", violation.get("title", ""))
    return f"{found[1]}/{found[2]}" if found else None


def _nearest(rows: list[dict], middle: int | None) -> list[dict]:
    if len(rows) <= MOST:
        return rows
    if middle is None:
        return rows[-MOST:]
    return sorted(sorted(rows, key=lambda r: abs(r["t"] - middle))[:MOST], key=lambda r: r["t"])


def _lanes(rows: list[dict], marks: list[dict]) -> list[str]:
    """Clients above, brokers below, as in the diagram of a violation."""
    names = {r["from"] for r in rows} | {r["to"] for r in rows} | {m["lane"] for m in marks}
    brokers = {n for n in names if n[0] == "n" and n[1:].isdigit()}
    return sorted(names - brokers) + sorted(brokers, key=lambda n: int(n[1:]))


def _marks(run: Run, t0: int, t1: int) -> list[dict]:
    out = []
    for path in run.folder.glob("nodes/*/trace.jsonl"):
        for event in _lines(path):
            if isinstance(event.get("t"), int) and t0 <= event["t"] <= t1 and (told := _told(event)):
                out.append({"t": event["t"], "lane": f"n{event.get('n')}", **told})
    return sorted(out, key=lambda m: m["t"])


def _lines(path):
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            return


def _told(event: dict) -> dict | None:
    """Class (how it is drawn) and words of a trace event; those that say nothing about leadership or data are left out."""
    kind, where = event.get("k", ""), f"{event.get('topic')}/{event.get('partition')}"
    told = {"partition.leader": ("lead", f"leads {where}, epoch {event.get('leader_epoch')}, ISR {event.get('isr')}"),
            "partition.follower": ("follow", f"follows n{event.get('leader')} in {where}, epoch {event.get('leader_epoch')}"),
            "partition.isr": ("isr", f"ISR of {where}: {event.get('isr')}"),
            "partition.hw": ("hw", f"HW of {where}: {event.get('hw')}"),
            "partition.truncate": ("cut", f"cuts {where} from {event.get('from')} to {event.get('to')}"),
            "raft.role": ("raft", f"{ROLE_WORDS.get(event.get('role'), 'Raft ' + str(event.get('role')))}, term {event.get('term')}"),
            "controller.active": ("raft", f"active controller, term {event.get('term')}"), "controller.resigned": ("raft", "no longer the controller"),
            "broker.start": ("node", "starts"), "broker.ready": ("node", "serves"), "broker.fenced": ("node", "fenced"), "broker.unfenced": ("node", "unfenced"),
            "mutation.ran": ("cut", f"bug {event.get('name')} decided")}.get(kind)
    if not told:
        return None
    return {"class": told[0], "text": told[1]} | ({"p": where} if "topic" in event else {})


def _bands(run: Run, lanes: list[str], t0: int, t1: int) -> list:
    """Where a broker was down, paused or cut off: [lane, from, to, words]."""
    words = {"down": "down", "paused": "paused", "cut": "cut off"}
    out = []
    for lane in run.aggregates.get("lanes", {}).get("brokers", []):
        name = f"n{lane.get('node')}"
        for span in lane.get("spans", []):
            if name in lanes and span.get("state") in words and span["to_ns"] > t0 and span["from_ns"] < t1:
                out.append([lanes.index(name), _us(max(span["from_ns"], t0), t0), _us(min(span["to_ns"], t1), t0), words[span["state"]]])
    return out
