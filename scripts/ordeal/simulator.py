"""Runs ordeal-sim and reads what its worlds say: one world, or a sweep of seeds over several processes.

A process plays many seeds, since starting one costs as much as a small world. It prints a line as each world ends, so when
it crashes or hangs the world it was in is known: that seed counts as HARNESS, never as a pass, and the seeds behind it go
to another process.
"""

import json
import queue
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ordeal import paths
from ordeal.errors import HARNESS, PASS, UNKNOWN, USAGE, VIOLATION, OrdealError

KNOWN_CODES = (PASS, VIOLATION, UNKNOWN, HARNESS)
OUTCOMES = {"pass": PASS, "fail": VIOLATION, "unknown": UNKNOWN, "harness": HARNESS}
CHUNK = 16  # seeds a process
WORLD_LIMIT_S = 180.0  # a world that is silent for longer is taken for hung
SAID_LINES = 12  # of a process's stderr that are kept


def program() -> str:
    return str(paths.binary("ordeal-sim"))


def world(words: list[str], limit_s: float = WORLD_LIMIT_S) -> dict:
    """One world (or script) as ordeal-sim's JSON, with its exit code as `exit`."""
    command = [program(), *words, "--json"]
    again = f"again: ordeal-sim {' '.join(words)}"
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=limit_s)
    except subprocess.TimeoutExpired as error:
        raise OrdealError(f"the simulator was still at it after {limit_s:.0f} s", again, HARNESS) from error
    if done.returncode == USAGE:
        raise _refused(done.stderr)
    rows = _rows(done.stdout)
    if done.returncode not in KNOWN_CODES or not rows:
        raise OrdealError(f"the simulator ended with code {done.returncode}", again, HARNESS, done.stderr)
    return rows[-1] | {"exit": done.returncode, "said": done.stderr.strip()}


def ask(*words: str):
    """A question that is no world, such as --list bugs: its JSON."""
    done = subprocess.run([program(), *words, "--json"], capture_output=True, text=True, errors="replace", timeout=WORLD_LIMIT_S)
    if done.returncode == USAGE:
        raise _refused(done.stderr)
    try:
        return json.loads(done.stdout)
    except ValueError:
        rows = _rows(done.stdout)
    if done.returncode != 0 or not rows:
        raise OrdealError(f"ordeal-sim {' '.join(words)} ended with code {done.returncode}", "./ordeal build", HARNESS, done.stdout + done.stderr)
    return rows


def _refused(said: str) -> OrdealError:
    lines = said.strip().splitlines() or ["the simulator refused its options"]
    return OrdealError(lines[0].removeprefix("ordeal-sim: "), "./ordeal sim --help", USAGE)


def _rows(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]


@dataclass
class Sweep:
    """Seeds to play with the same options; the program itself plays one in twenty twice to prove that it repeats."""

    words: list[str]
    seeds: list[int]
    jobs: int = 1
    chunk: int = CHUNK
    out: Path | None = None
    marks: bool = False
    limit_s: float = WORLD_LIMIT_S
    counts: dict = field(default_factory=dict)  # marks, summed over the processes that ended in order

    def run(self, on_wait=lambda: None) -> Iterator[dict]:
        """Rows as worlds end, in no fixed order; `on_wait` is called several times a second. Closing it ends the processes."""
        with tempfile.TemporaryDirectory(prefix="ordeal-sim-") as scratch:
            yield from _Pool(self, Path(scratch)).rows(on_wait)


class _Pool:
    """Threads that each watch one process at a time; rows and troubles arrive through one queue."""

    def __init__(self, sweep: Sweep, scratch: Path):
        self.sweep, self.scratch = sweep, scratch
        self.found, self.lock = queue.Queue(), threading.Lock()
        self.chunks = self._chunks(sweep.seeds)
        self.children, self.stopped, self.started = [], False, 0

    def rows(self, on_wait) -> Iterator[dict]:
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(max(1, self.sweep.jobs))]
        for thread in threads:
            thread.start()
        try:
            # Not until the last row but until the last process has ended: its marks and its exit code count, too.
            while any(thread.is_alive() for thread in threads) or not self.found.empty():
                try:
                    row = self.found.get(timeout=0.1)
                except queue.Empty:
                    on_wait()
                    continue
                if isinstance(row, Exception):
                    raise row
                yield row
        finally:
            with self.lock:
                self.stopped = True
                self.chunks.clear()
                for child in self.children:
                    child.kill()
            for thread in threads:
                thread.join()

    def _chunks(self, seeds: list[int]) -> list[list[int]]:
        """Runs of neighbours, at most `chunk` long and short enough that every job has work to the end."""
        size = max(1, min(self.sweep.chunk, -(-len(seeds) // (2 * max(1, self.sweep.jobs)))))
        chunks: list[list[int]] = []
        for seed in sorted(set(seeds)):
            if chunks and chunks[-1][-1] == seed - 1 and len(chunks[-1]) < size:
                chunks[-1].append(seed)
            else:
                chunks.append([seed])
        return chunks

    def _work(self) -> None:
        try:
            while True:
                with self.lock:
                    if not self.chunks:
                        return
                    seeds = self.chunks.pop(0)
                rest = self._play(seeds)
                with self.lock:
                    if rest and not self.stopped:
                        self.chunks.insert(0, rest)
        except Exception as error:  # whoever reads the queue must hear of it, or would wait for ever
            self.found.put(error)

    def _play(self, seeds: list[int]) -> list[int]:
        """Plays one chunk; returns the seeds that the process did not get to."""
        with self.lock:
            if self.stopped:
                return []
            self.started += 1
            marks = self.scratch / f"marks-{self.started}.json"
            child = subprocess.Popen(self._command(seeds, marks), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                     errors="replace")
            self.children.append(child)
        said, hung = [], threading.Event()
        listener = threading.Thread(target=lambda: said.extend(child.stderr), daemon=True)
        listener.start()
        codes = self._listen(child, hung)
        code = child.wait()
        listener.join()
        with self.lock:
            self.children.remove(child)
            if self.stopped:
                return []
        self._add_marks(marks)
        return self._settle(seeds, codes, code, "".join(said[-SAID_LINES:]).strip(), hung.is_set())

    def _command(self, seeds: list[int], marks: Path) -> list[str]:
        sweep = self.sweep
        command = [program(), "--seeds", str(len(seeds)), "--first", str(seeds[0]), *sweep.words, "--json"]
        command += ["--out", str(sweep.out)] if sweep.out else []
        return command + (["--marks", str(marks)] if sweep.marks else [])

    def _listen(self, child, hung: threading.Event) -> list[int]:
        """Reads rows until the process closes its output; a watchdog kills it when it falls silent."""
        heard, done, codes = [time.monotonic()], threading.Event(), []

        def watch():
            while not done.wait(min(1.0, self.sweep.limit_s / 4)):
                if time.monotonic() - heard[0] > self.sweep.limit_s:
                    hung.set()
                    child.kill()
                    return

        watchdog = threading.Thread(target=watch, daemon=True)
        watchdog.start()
        try:
            for line in child.stdout:
                heard[0] = time.monotonic()
                if line.startswith("{") and line.endswith("}\n"):
                    row = json.loads(line)
                    row["exit"] = OUTCOMES.get(row.get("outcome"), HARNESS)
                    codes.append(row["exit"])
                    self.found.put(row)
        finally:
            done.set()
            watchdog.join()
        return codes

    def _settle(self, seeds: list[int], codes: list[int], code: int, said: str, hung: bool) -> list[int]:
        """What became of the seeds that printed nothing, and of exit codes that no row explains."""
        if code == USAGE:
            raise _refused(said)
        left = seeds[len(codes):]
        if left:
            why = f"no sign of life for {self.sweep.limit_s:.0f} s" if hung else f"the simulator ended with code {code}"
            self.found.put({"seed": left[0], "outcome": "harness", "exit": HARNESS, "sentence": why, "said": said, "violations": []})
            return left[1:]
        if code not in codes and code != PASS:
            raise OrdealError(f"the simulator ended with code {code} after seeds {seeds[0]} to {seeds[-1]}, which no world explains",
                              "two runs of one world that differ are a bug of the simulator; the message above names the seed", HARNESS, said)
        return []

    def _add_marks(self, path: Path) -> None:
        if not path.is_file():
            return
        with self.lock:
            for name, count in json.loads(path.read_text()).items():
                self.sweep.counts[name] = self.sweep.counts.get(name, 0) + count


def seeds_of(texts: list[str]) -> list[int]:
    """7, 12-20 and so on, as typed."""
    seeds = []
    for text in texts:
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
        if not found or int(found[2] or found[1]) < int(found[1]):
            raise OrdealError(f"{text}: not a seed", "write 7 or 100-120", USAGE)
        seeds += range(int(found[1]), int(found[2] or found[1]) + 1)
    return seeds
