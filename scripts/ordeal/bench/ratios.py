"""Medians, ratios and aims of a comparison. Nothing here measures; what a row claims is decided here and nowhere else.

A row's factor says how many times better we are: ours over theirs where more is better, theirs over ours where less is.
It is cut off, never rounded, so a row that says 2.00 is at least two; whether an aim holds is asked of the exact value.
"""

import math
import statistics
from decimal import ROUND_DOWN, Decimal

MORE, LESS = "more", "less"
# What we want to be better by. `p99` is of latencies; every row of these kinds is held against its aim.
AIMS = {"produce": 2.0, "p99": 3.0, "failover": 5.0, "start": 20.0, "memory": 10.0}
KINDS = (("start", "Start-up"), ("memory", "Memory"), ("produce", "Produce throughput"), ("fetch", "Fetch throughput"), ("cpu", "Processor time of the brokers"),
         ("p50", "Latency at a fixed rate, p50"), ("p99", "Latency at a fixed rate, p99"), ("p999", "Latency at a fixed rate, p99.9"),
         ("failover", "Failover"), ("catchup", "Return of a replica"))


def spread(samples: list[float]) -> dict:
    return {"median": statistics.median(samples), "min": min(samples), "max": max(samples), "samples": samples}


def factor(ours: float, theirs: float, better: str) -> float | None:
    above, below = (ours, theirs) if better == MORE else (theirs, ours)
    return above / below if below > 0 and above >= 0 else None


def row(key: str, kind: str, title: str, unit: str, better: str, ours: list[float], theirs: list[float], remarks=()) -> dict:
    """One line of the comparison. `pairs` are the factors of neighbours in time: how far one run may be from the next."""
    made = {"key": key, "kind": kind, "title": title, "unit": unit, "better": better, "remarks": list(remarks)}
    if not ours or not theirs:
        return made | {"ours": spread(ours) if ours else None, "theirs": spread(theirs) if theirs else None, "times": None, "aim": AIMS.get(kind), "holds": None}
    made |= {"ours": spread(ours), "theirs": spread(theirs)}
    times = factor(made["ours"]["median"], made["theirs"]["median"], better)
    pairs = [f for f in (factor(a, b, better) for a, b in zip(ours, theirs)) if f is not None]
    aim = AIMS.get(kind)
    return made | {"times": times, "pairs": pairs, "aim": aim, "holds": None if aim is None or times is None else times >= aim}


def cut(value: float, digits: int = 2) -> str:
    """The number with so many decimals, towards zero."""
    return f"{Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), ROUND_DOWN):,}"


def times_words(one: dict) -> str:
    if one["times"] is None:
        return "–"
    return f"{cut(one['times'])}x"


def verdict_words(one: dict) -> str:
    if one["aim"] is None:
        return ""
    if one["holds"] is None:
        return "not measured"
    return "holds" if one["holds"] else "falls short"


def value_words(value: float | None) -> str:
    if value is None:
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def shown(one: dict) -> dict:
    """The row in words, so that terminal, page and document say the same."""
    ours, theirs = (value_words(one[side]["median"]) if one[side] else "–" for side in ("ours", "theirs"))
    return {"ours": ours, "theirs": theirs, "times": times_words(one), "aim": f"{one['aim']:g}x" if one["aim"] else "", "verdict": verdict_words(one)}


def aims_met(rows: list[dict]) -> list[tuple[str, str, int, int]]:
    """(kind, title, rows that hold, rows held against the aim) of each aim."""
    titles = dict(KINDS)
    out = []
    for kind in AIMS:
        asked = [r for r in rows if r["kind"] == kind and r["holds"] is not None]
        if asked:
            out.append((kind, titles[kind], sum(r["holds"] for r in asked), len(asked)))
    return out


def fixed_rate(records_per_s: float, share: float = 0.2, least: int = 100, most: int = 20_000) -> int:
    """A rate for latencies from a maximum: that share of it, cut to two digits, so that it never comes out above."""
    wanted = records_per_s * share
    if wanted <= least:
        return max(1, min(least, math.floor(records_per_s * 0.3)))
    digits = 10 ** (math.floor(math.log10(wanted)) - 1)
    return int(min(most, math.floor(wanted / digits) * digits))
