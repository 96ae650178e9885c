"""`ordeal sim`: simulated worlds by seed, several at a time, with progress and a last line that counts them."""

import json
import subprocess

from ordeal import build, paths, simulator
from ordeal.cli import Parser
from ordeal.errors import OUTCOME_WORDS as WORDS
from ordeal.errors import PASS, worst
from ordeal.terminal import count


def parser() -> Parser:
    p = Parser("sim", "Whole clusters in one process: virtual time, network and disk, faults by plan, the same broker code. "
               "A seed repeats exactly.", "  ./ordeal sim --seeds 100\n  ./ordeal sim --seeds 20 --mutate repl.truncate_to_hw")
    p.add_argument("--seeds", type=int, default=10, metavar="N", help="how many worlds (default 10)")
    p.add_argument("--first", type=int, default=1, metavar="N", help="the first seed (default 1)")
    p.add_argument("--jobs", type=int, metavar="N", help="worlds at a time (default: one a processor)")
    p.add_argument("--time", metavar="T", help="simulated time of each world (default 60s)")
    p.add_argument("--plan", metavar="FILE|NAME", help="fault plan: a file or a built-in name (default: the simulator's own)")
    p.add_argument("--nodes", metavar="N", help="brokers (default 3)")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help="a broker setting, Kafka's name")
    p.add_argument("--mutate", action="append", default=[], metavar="NAME", help="switch a known bug on")
    p.add_argument("--twice", action="store_true", help="run each seed twice and compare the digests")
    p.add_argument("--json", action="store_true", help="print one JSON object a seed")
    return p


def main(arguments, terminal) -> int:
    build.ensure(terminal, ("ordeal-sim",))
    shared = words_of(arguments) + (["--twice"] if arguments.twice else [])
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    codes = []
    for found in simulator.worlds([["--seed", str(s), *shared] for s in seeds], arguments.jobs or build.jobs()):
        codes.append(found["exit"])
        if arguments.json:
            print(json.dumps(found), flush=True)
        elif found["exit"] != PASS or not terminal.tty:
            terminal.line(line_of(found))
        terminal.live("sim", f"{len(codes)}/{arguments.seeds} worlds · {codes.count(PASS)} passed", line_of(found).strip())
    bad = next((s for s, code in zip(seeds, codes) if code != PASS), None)
    again = f"; next: ./ordeal replay {bad} {' '.join(words_of(arguments))}".rstrip() if bad is not None else ""
    tally = ", ".join(f"{codes.count(code)} {word}" for code, word in WORDS.items() if codes.count(code))
    terminal.line(f"{count(len(codes), 'world')}: {tally}{again}")
    return worst(codes)


def line_of(found: dict) -> str:
    lines = [f"  seed {found['seed']:<6} {WORDS.get(found['exit'], '?'):<14} {found.get('sends_ok', 0):,} writes · "
             f"{count(found.get('faults', 0), 'fault')} · digest {found.get('digest', '?')} · {found.get('real_ms', 0) / 1000:.1f} s"]
    lines += [f"    {v.get('property') or v.get('invariant')}: {v.get('text')}" for v in found.get("violations", [])[:3]]
    if found["exit"] != PASS and len(lines) == 1:
        lines.append(f"    {found.get('sentence') or found.get('said')}")
    return "\n".join(lines)


def again(arguments, terminal) -> int:
    """`ordeal replay SEED`: twice, to show that it repeats exactly."""
    build.ensure(terminal, ("ordeal-sim",))
    words = ["--seed", arguments.what, "--twice", *words_of(arguments)]
    words += [f"--{name}" for name in ("trace", "json") if getattr(arguments, name)]
    return subprocess.run([str(paths.binary("ordeal-sim")), *words]).returncode


def words_of(arguments) -> list[str]:
    words = []
    for name in ("time", "plan", "nodes"):
        if getattr(arguments, name, None):
            words += [f"--{name}", str(getattr(arguments, name))]
    for option, values in (("--set", getattr(arguments, "settings", [])), ("--mutate", arguments.mutate)):
        for value in values:
            words += [option, value]
    return words
