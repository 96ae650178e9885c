"""Runs `./ordeal` commands and looks at what they left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TRIAL_TIMEOUT_S = 400


def environment(runs: Path, **more: str) -> dict:
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'scripts'}:{ROOT}", "ORDEAL_RUNS": str(runs), "NO_COLOR": "1", **more}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "ordeal", *words]


def ordeal(runs: Path, *words: str, **more: str) -> subprocess.CompletedProcess:
    return subprocess.run(command(*words), capture_output=True, text=True, env=environment(runs, **more), timeout=TRIAL_TIMEOUT_S)


def verdict(runs: Path) -> dict:
    return json.loads((runs / "latest" / "verdict.json").read_text())


def row(found: dict, name: str) -> dict:
    return next(p for p in found["properties"] if p["name"] == name)


def events(runs: Path) -> list[dict]:
    return [json.loads(line) for line in (runs / "latest" / "faults.jsonl").read_text().splitlines() if line.endswith("}")]


def told(done: subprocess.CompletedProcess) -> str:
    """For assertion messages: everything the command said."""
    return f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"


def processes_of(run: Path) -> list[int]:
    """Living processes whose command line names the run's folder: its brokers and clients."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(str(run).encode() in word for word in words[1:]) and words[0].split(b"/")[-1].startswith(b"ordeal-"):
                found.append(int(entry.name))
    return found


def start(runs: Path, *words: str, **more: str) -> subprocess.Popen:
    return subprocess.Popen(command(*words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(runs, **more),
                            start_new_session=True)


def until(ready, seconds: float, what: str):
    end = time.monotonic() + seconds
    while not (value := ready()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.1)
    return value


def until_driving(runs: Path) -> Path:
    """Waits until the first trial under `runs` drives its cluster; returns its folder."""
    def driving():
        for path in runs.glob("*/faults.jsonl"):
            if '"event":"plan.start"' in path.read_text().replace(" ", ""):
                return path.parent
        return None

    return until(driving, 60, "a trial that drives its cluster")


def kill(child: subprocess.Popen, number: signal.Signals) -> str:
    child.send_signal(number)
    return child.communicate(timeout=60)[0]
