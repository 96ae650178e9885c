"""Runs ordeal-sim, one process a world and several at a time, and reads what each world said."""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from ordeal import paths
from ordeal.errors import HARNESS, PASS, UNKNOWN, USAGE, VIOLATION, OrdealError

KNOWN_CODES = (PASS, VIOLATION, UNKNOWN, HARNESS)


def world(words: list[str]) -> dict:
    """One world (or script) as ordeal-sim's JSON, with its exit code as `exit`."""
    done = subprocess.run([str(paths.binary("ordeal-sim")), *words, "--json"], capture_output=True, text=True)
    if done.returncode == USAGE:
        raise OrdealError(done.stderr.strip().splitlines()[0], "./ordeal sim --help", USAGE)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode not in KNOWN_CODES or not rows:
        raise OrdealError(f"the simulator ended with code {done.returncode}", f"again: ordeal-sim {' '.join(words)}", HARNESS, done.stderr)
    return rows[-1] | {"exit": done.returncode, "said": done.stderr.strip()}


def worlds(all_words: list[list[str]], jobs: int) -> Iterator[dict]:
    """In the order asked for, each as soon as it and those before it are done."""
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        running = [pool.submit(world, words) for words in all_words]
        try:
            for future in running:
                yield future.result()
        finally:
            for future in running:
                future.cancel()
