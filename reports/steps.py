"""The steps of a scenario's script in words, for people who did not write it. Expressions stay as they are written.

A verb that is not known here is shown as its YAML, so that nothing of a schedule is ever left out.
"""

import re

DISK = {"eio": "fails with an I/O error", "enospc": "fails for lack of space", "short_write": "writes less than asked", "stall": "hangs until healed",
        "slow": "is slow", "lie": "answers a sync without doing it", "flip": "has a bit flipped", "full": "is full", "wipe": "loses everything"}
PLAIN = {"run": "{} pass", "kill": "kill {}", "start": "start {}", "stop": "stop {} in an orderly way", "power_cut": "cut the power of {}: what was not synced is gone",
         "pause": "pause {}", "resume": "resume {}", "release": "release the messages held as {}", "disk_heal": "end the disk faults of {}",
         "clients": "producers {}", "expect": "now {} must hold"}


def words(script: list, indent: int = 0) -> list[tuple[int, str]]:
    """(depth, sentence) in order."""
    lines: list[tuple[int, str]] = []
    for step in script or []:
        lines += _step(step, indent)
    return lines


def _step(step, depth: int) -> list[tuple[int, str]]:
    if not isinstance(step, dict) or not step:
        return [(depth, str(step))]
    verb, value = next(iter(step.items()))
    if verb == "repeat" and isinstance(value, dict):
        return [(depth, f"{value.get('times')} times:"), *words(value.get("do"), depth + 1)]
    if verb == "each" and isinstance(value, dict):
        return [(depth, f"for each {value.get('as')} of {_value(value.get('in'))}:"), *words(value.get("do"), depth + 1)]
    if verb == "if":
        out = [(depth, f"if {value}:"), *words(step.get("then"), depth + 1)]
        return out + ([(depth, "else:"), *words(step["else"], depth + 1)] if step.get("else") else [])
    return [(depth, _sentence(verb, value, step))]


def _sentence(verb: str, value, step: dict) -> str:
    if verb == "let":
        return "; ".join(f"{name} stands for {_value(v)}" for name, v in value.items())
    if verb == "wait":
        within = f", for at most {step['within']}" if step.get("within") else ""
        exact = ", looking between single steps" if step.get("every") == "step" else ""
        return f"wait until {value}{within}{exact}"
    if verb == "crash":
        how = "in a power cut " if step.get("kind", "power") == "power" else ""
        return f"{value} dies {how}inside its {_ordinal(step.get('call', 1))} changing file call" + (f" on {step['path']}" if step.get("path") else "")
    if verb == "clients":
        return "producers stop sending new records" if value in ("off", False) else "producers send again"
    if verb == "heal_all":
        return "heal every cut, held message and disk fault"
    if verb in PLAIN and not isinstance(value, dict):
        return PLAIN[verb].format(_value(value))
    if isinstance(value, dict) and verb in _SHAPED:
        return _SHAPED[verb](value)
    return f"{verb}: {_value(value)}"


def _value(value) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_value(v)}" for k, v in value.items())
    if isinstance(value, list):
        return ", ".join(_value(v) for v in value)
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _link(v: dict) -> str:
    ends = f"from {v.get('from')} to {v.get('to')}" if v.get("one_way") else f"between {v.get('from')} and {v.get('to')}"
    return ends + (f" ({v['listener']} listener)" if v.get("listener") else "")


def _node(v: dict, clients: str) -> str:
    return f"{v.get('node')}" + (f" ({v['listener']} listener only)" if v.get("listener") else "") + (clients if v.get("clients") else "")


def _message(v: dict) -> str:
    many = v.get("count", 1)
    what = f"{v.get('api', 'any')} {'reply' if v.get('reply') else 'request'}" if not str(v.get("api", "")).islower() else f"{v['api']} message"
    skip = f" after {v['skip']} that pass" if v.get("skip") else ""
    ends = "".join(f" {word} {v[word]}" for word in ("from", "to") if word in v)
    return (f"the next {what}" if many == 1 else f"the next {many} times a {what}") + ends + skip


def _disk(v: dict) -> str:
    where = f" under {v['path']}" if v.get("path") else ""
    what = f" on {v['op']}" if v.get("op") else ""
    many = f", {v['count']} times" if v.get("count", 1) != 1 else ""
    return f"the disk of {v.get('node')}{where} {DISK.get(v.get('fault'), v.get('fault'))}{what}" + (f" by {v['by']}" if v.get("by") else "") + many


def _clock(v: dict) -> str:
    parts = [f"is off by {v['offset']}" if "offset" in v else "", f"drifts by {v['drift_ppm']} ppm" if "drift_ppm" in v else ""]
    return f"the clock of {v.get('node')} " + " and ".join(p for p in parts if p)


_SHAPED = {
    "cut": lambda v: f"cut the link {_link(v)}", "heal": lambda v: f"heal the link {_link(v)}",
    "isolate": lambda v: "cut off " + _node(v, " from clients too"), "rejoin": lambda v: "reconnect " + _node(v, ", with clients"),
    "reset": lambda v: f"reset the connections from {v.get('from')} to {v.get('to')}",
    "delay": lambda v: f"delay {_message(v)} by {v.get('by')}", "drop": lambda v: f"drop {_message(v)}",
    "duplicate": lambda v: f"deliver {_message(v)} twice", "hold": lambda v: f"hold back {_message(v)} as {v.get('as')}",
    "disk": _disk, "clock": _clock,
    "send": lambda v: f"send {v.get('count', 1)} records to {v.get('topic')}/{v.get('partition', 0)}"
                      + (f" with acks={v['acks']}" if "acks" in v else "") + ("" if v.get("wait", True) else " without waiting"),
    "make_leader": lambda v: f"kill and restart leaders until {v.get('node')} leads {v.get('partition')}",
    "elect": lambda v: f"{'an unclean election' if v.get('unclean') else 'elect the preferred replica'} for {v.get('partition')}",
    "alter": lambda v: f"topic {v.get('topic')}: set {_value(v.get('set'))}",
    "create": lambda v: f"create topic {v.get('topic')} with {v.get('partitions', 1)} partitions and {v.get('replication', 1)} replicas",
    "delete": lambda v: f"delete topic {v.get('topic')}",
    "voters": lambda v: ", ".join(f"{word} {v[word]} {'to' if word == 'add' else 'from'} the Raft voters" for word in ("add", "remove") if word in v)
                        + ("" if v.get("wait", True) else ", without waiting"),
}


def _ordinal(number) -> str:
    text = str(number)
    if not re.fullmatch(r"\d+", text):
        return f"{text}th"
    suffix = "th" if text[-2:] in ("11", "12", "13") else {"1": "st", "2": "nd", "3": "rd"}.get(text[-1], "th")
    return text + suffix
