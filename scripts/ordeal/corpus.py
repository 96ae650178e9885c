"""The known bugs, one at a time: its script with the switch off and on, searches by seed, and trials on real processes.

A bug is caught when its script passes without it, and with it on the mutated branch ran and what broke is what the registry
says must break. Anything less is MISSED, whatever the reason.
"""

import hashlib
import json
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import yaml

from ordeal import facts, paths, simulator
from ordeal.errors import HARNESS, PASS, UNKNOWN, USAGE, VIOLATION, OrdealError

CAUGHT, MISSED, NEEDS, NOT = "caught", "MISSED", "needs feature", "not applicable"
ABSENCES = {"needs feature": NEEDS, "needs_feature": NEEDS, "not applicable": NOT, "not_applicable": NOT}
SEARCHES = 3
SEARCH_STRIDE = 1_000_000  # the searches of a bug draw from ranges of seeds that do not overlap
SLOWEST = 10  # times its cap may a search take on a busy machine
SCRIPTS = paths.ROOT / "faults" / "scenario" / "corpus"


def bugs() -> list[dict]:
    """Every known bug of the registry, those without a switch included."""
    rows = []
    for bug in simulator.ask("--list", "bugs"):
        absence = bug.get("absence")
        row = {"id": bug["id"], "group": bug["id"][0], "name": bug["name"], "source": bug.get("source", ""), "summary": bug.get("summary", ""),
               "property": bug.get("property", "")}
        if absence:
            row |= {"code": ABSENCES.get(absence, str(absence).replace("_", " ")), "why": bug.get("why", "")}
        rows.append(row)
    return sorted(rows, key=lambda row: order(row["id"]))


def order(bug_id: str) -> tuple:
    """A2 before A10, A15a before A15b."""
    return bug_id[0], int("".join(c for c in bug_id if c.isdigit()) or 0), bug_id


def play(bug: dict, folder: Path) -> dict:
    """The bug's row, filled in from its script; absent bugs stay as they are."""
    if bug.get("code"):
        return bug
    row = dict(bug, ran=0, caught=False, property=expected(bug))
    stored = folder / f"{row['id']}-{row['name']}"
    try:
        off = simulator.world(["--scenario", row["name"]])
        on = simulator.world(["--scenario", row["name"], "--mutate", row["name"], "--keep", "--out", str(stored)])
    except OrdealError as error:
        refused = error.code == USAGE
        return row | {"code": MISSED, "why": "it has no script" if refused else error.message, "scripted": not refused}
    ran = (on.get("mutations_ran") or {}).get(row["name"], 0)
    names = [v.get("property") or v.get("invariant") for v in on.get("violations", [])]
    named = on.get("named") or (row["property"] if row["property"] in names else next(iter(names), None))
    caught = off["exit"] == PASS and on["exit"] == VIOLATION and ran > 0 and row["property"] in [named, *names]
    row |= {"scripted": True, "off": _told(off), "on": _told(on), "ran": ran, "named": row["property"] if caught else named, "caught": caught,
            "code": CAUGHT if caught else MISSED, "took_s": round((off.get("real_ms", 0) + on.get("real_ms", 0)) / 1000, 2)}
    if not caught:
        row["why"] = _why(row, off, on)
    if on.get("folder"):
        row["folder"] = on["folder"]
    return row


def expected(bug: dict) -> str:
    """What must be named: what its script says, else what the registry says."""
    path = SCRIPTS / f"{bug['name']}.yaml"
    try:
        own = (yaml.safe_load(path.read_text()) or {}).get("property") if path.is_file() else None
    except yaml.YAMLError:
        own = None  # the simulator says what is wrong with the file
    return str(own or bug["property"])


def _told(row: dict) -> dict:
    return {key: row.get(key) for key in ("outcome", "exit", "digest", "seed", "sentence", "violations", "real_ms")}


def _why(row: dict, off: dict, on: dict) -> str:
    if off["exit"] == VIOLATION:
        return f"its script fails without it: {off.get('sentence')}"
    if off["exit"] != PASS:
        return f"its script shows nothing without it: {off.get('sentence') or off.get('said')}"
    if on["exit"] == UNKNOWN:
        return f"its script did not come about with it on: {on.get('sentence')}"
    if not row["ran"]:
        return "its branch never ran"
    return f"named {row['named']} instead of {row['property']}" if row["named"] else "nothing was found broken"


def again(row: dict) -> str:
    return f"./ordeal sim --scenario {row['name']} --mutate {row['name']}"


class Search:
    """Looks for bugs by seed, without their scripts, and remembers what it did in a file: going on skips what is done.

    The searching itself is `ordeal-sim --search`. It says each world before playing it; when it dies in one, the next
    process goes on behind that seed with the processor time that is left.
    """

    def __init__(self, path: Path, cap_s: float, words: list[str]):
        self.path, self.cap_s, self.words, self.key = path, cap_s, words, code_key()
        self.lock, self.stopped, self.children = threading.Lock(), False, set()
        self.done = json.loads(path.read_text()) if path.is_file() else {}

    def results(self, name: str) -> list[dict]:
        return [found for turn in range(SEARCHES) if (found := self.done.get(self._slot(name, turn)))]

    def todo(self, names: list[str]) -> list[tuple[str, int]]:
        """First searches of every bug before second ones, so that an interrupted campaign has something of each."""
        return [(name, turn) for turn in range(SEARCHES) for name in names if self._slot(name, turn) not in self.done]

    def _slot(self, name: str, turn: int) -> str:
        return " ".join([self.key, name, str(turn + 1), f"{self.cap_s:g}s", *self.words])

    def stop(self) -> None:
        """Ends the searches that are under way; nothing is remembered of them."""
        with self.lock:
            self.stopped = True
            for child in self.children:
                child.kill()

    def run(self, name: str, turn: int, on_world) -> dict | None:
        """One search; None when it was stopped half-way, and then nothing is remembered."""
        first, left_s = 1 + turn * SEARCH_STRIDE, self.cap_s
        sums = {"seeds": 0, "variants": 0, "exercised": 0, "crashed": 0, "cpu_s": 0.0}
        end, began = {"found": False}, time.monotonic()
        while left_s > 0 and time.monotonic() - began < SLOWEST * self.cap_s:
            last, code, said = self._process(name, first, left_s, lambda row: on_world(name, turn, sums, row))
            if self.stopped:
                return None
            for key in ("seeds", "variants", "exercised", "cpu_s"):
                sums[key] += last.get(key, 0)
            if "found" in last:
                end = last
                break
            if "searching" not in last:
                raise OrdealError(f"the simulator ended with code {code} before its first world", f"ordeal-sim --search {name}", HARNESS, said)
            sums["crashed"] += 1
            first, left_s = int(last["seed"]) + 1 if not last["variant"] else first + int(last["seeds"]), self.cap_s - sums["cpu_s"]
        named = [end["named"]] if end["found"] else []
        result = sums | {"found": end["found"], "seed": end.get("seed"), "variant": end.get("variant") or None, "named": named, "cpu_s": round(sums["cpu_s"], 1)}
        with self.lock:
            self.done[self._slot(name, turn)] = result
            fresh = self.path.with_suffix(".tmp")
            fresh.write_text(json.dumps(self.done, indent=1) + "\n")
            fresh.replace(self.path)
        return result

    def _process(self, name: str, first: int, left_s: float, on_world) -> tuple[dict, int, str]:
        """One process: the last row that it printed (its result, or the world it died in), its code, what it said."""
        command = [simulator.program(), "--search", name, "--first", str(first), "--budget", f"{max(1, round(left_s * 1000))}ms", *self.words, "--json"]
        with tempfile.TemporaryFile("w+") as said:
            with self.lock:
                if self.stopped:
                    return {}, 0, ""
                child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, errors="replace")
                self.children.add(child)
            last: dict = {}
            silence = threading.Timer(simulator.WORLD_LIMIT_S, child.kill)
            try:
                silence.start()
                for line in child.stdout:
                    silence.cancel()  # a world that is silent for longer is taken for hung
                    silence = threading.Timer(simulator.WORLD_LIMIT_S, child.kill)
                    silence.start()
                    if line.startswith("{") and line.endswith("}\n"):
                        last = json.loads(line)
                        if "searching" in last:
                            on_world(last)
                code = child.wait()
            finally:
                silence.cancel()
                with self.lock:
                    self.children.discard(child)
                    child.kill()
            said.seek(0)
            text = said.read()
        if code == USAGE:
            raise OrdealError((text.strip().splitlines() or ["the simulator refused its options"])[0], "./ordeal corpus --help", USAGE)
        if code == HARNESS and not self.stopped:
            raise OrdealError(text.strip() or "the search gave up", f"ordeal-sim --search {name} --first {first}", HARNESS)
        return last, code, text


def summary_of(results: list[dict], cap_s: float) -> dict | None:
    """What three searches say together. The median is over those that found it, and only when most did."""
    if not results:
        return None
    hits = [r for r in results if r["found"]]
    out = {"searches": len(results), "found": len(hits), "cap_s": cap_s, "named": sorted({n for r in hits for n in r["named"]}),
           "first_seed": hits[0]["seed"] if hits else None, "seeds_tried": sum(r["seeds"] for r in results),
           "variants_tried": sum(r.get("variants", 0) for r in results), "exercised": sum(r["exercised"] for r in results)}
    if hits and hits[0].get("variant"):
        out["first_variant"] = hits[0]["variant"]
    if len(hits) * 2 > len(results):
        # A search that ended at its cap counts as a large value, which the median of three can bear.
        out["median_seeds"] = round(statistics.median([r["seeds"] if r["found"] else 10**9 for r in results]))
        out["median_cpu_s"] = round(statistics.median([r["cpu_s"] if r["found"] else 10**9 for r in results]), 1)
    return out


def code_key() -> str:
    """What the results are true of: the commit, and the program itself where the tree differs from it."""
    commit = facts.versions().get("commit", "unknown")
    if "local changes" in commit or commit == "unknown":
        commit = commit.split()[0] + "+" + hashlib.sha256(Path(simulator.program()).read_bytes()).hexdigest()[:12]
    return commit


def tally(rows: list[dict]) -> str:
    codes = [row["code"] for row in rows]
    applicable = sum(code in (CAUGHT, MISSED) for code in codes)
    words = [f"{codes.count(CAUGHT)} of {applicable} known bugs caught"]
    words += [f"{codes.count(code)} {word}" for code, word in ((NEEDS, "need a feature"), (NOT, "not applicable")) if code in codes]
    searched = [row["search"] for row in rows if row.get("search")]
    if searched:
        words.append(f"the search finds {sum(s['found'] > 0 for s in searched)} of {len(searched)} without a script")
    return " · ".join(words)


def outcome(rows: list[dict]) -> int:
    """A script that fails without its bug accuses the broker; a bug that is missed accuses the harness."""
    if any((row.get("off") or {}).get("exit") == VIOLATION for row in rows):
        return VIOLATION
    return HARNESS if any(row["code"] == MISSED for row in rows) else PASS
