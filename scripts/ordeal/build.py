"""Builds what is stale, with progress, and shows everything the compiler said when it fails.

Ninja decides what is stale; asking it costs a tenth of a second when nothing is. One build at a time: a second
`./ordeal` waits on the lock instead of racing it.
"""

import fcntl
import os
import re
import subprocess
import time
from pathlib import Path

from ordeal import paths
from ordeal.errors import OrdealError
from ordeal.terminal import Terminal, seconds

TRIAL_TARGETS = ("ordeal-broker", "ordeal-nemesis", "ordeal-workload", "ordeal-check")
MEMORY_PER_JOB = 1_500_000_000  # a heavy translation unit (Asio, RocksDB) at its peak

_STATUS = re.compile(r"^\[(\d+)/(\d+)\] (.*)$")


def jobs() -> int:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(os.cpu_count() or 1, memory // MEMORY_PER_JOB))


def ensure(terminal: Terminal, targets=TRIAL_TARGETS, preset: str = "dev", quiet_when_fresh: bool = True) -> float:
    """Brings `targets` of `preset` up to date; an empty tuple means everything. Returns the seconds it took."""
    if paths.prebuilt():
        return 0.0
    started = time.monotonic()
    directory = paths.build_dir(preset)
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / ".ordeal.lock", "w") as lock:
        _take(lock, terminal)
        _configure_when_stale(terminal, preset, directory)
        steps = _ninja(terminal, directory, targets)
    took = time.monotonic() - started
    if steps or not quiet_when_fresh:
        terminal.phase("build", f"{steps} steps in {seconds(took)}" if steps else f"up to date ({seconds(took)})")
    return took


def _take(lock, terminal: Terminal) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        terminal.line("  build     another build is running here; waiting for it")
        fcntl.flock(lock, fcntl.LOCK_EX)


def _configure_when_stale(terminal: Terminal, preset: str, directory: Path) -> None:
    made = directory / "build.ninja"
    presets = paths.ROOT / "CMakePresets.json"
    if made.exists() and made.stat().st_mtime > presets.stat().st_mtime:
        return  # a changed CMakeLists.txt is Ninja's to notice
    terminal.live("build", f"cmake --preset {preset}")
    done = subprocess.run(["cmake", "--preset", preset], cwd=paths.ROOT, capture_output=True, text=True)
    terminal.clear()
    if done.returncode != 0:
        raise OrdealError(f"cmake --preset {preset} failed", "the messages above say what is missing; ./ordeal doctor",
                          detail=done.stdout + done.stderr)


def _ninja(terminal: Terminal, directory: Path, targets) -> int:
    """Runs ninja; returns the number of steps it took. Output is kept and shown in full when it fails."""
    command = ["ninja", "-C", str(directory), f"-j{jobs()}", *targets]
    environment = {**os.environ, "NINJA_STATUS": "[%f/%t] "}
    child = subprocess.Popen(command, cwd=paths.ROOT, env=environment, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, errors="replace")
    output, total, started = [], 0, time.monotonic()
    try:
        for line in child.stdout:
            status = _STATUS.match(line)
            if status:
                total = int(status[2])
                share = 100 * int(status[1]) // max(1, total)
                terminal.live("build", f"{share:3d}%  {status[1]}/{total}  {seconds(time.monotonic() - started)}",
                              status[3].strip()[-90:])
            else:
                output.append(line)
                if " warning: " in line:
                    terminal.line(line.rstrip())
        code = child.wait()
    except BaseException:
        child.terminate()
        child.wait()
        raise
    finally:
        terminal.clear()
    if code != 0:
        raise OrdealError("the build failed", f"mend what the compiler says above, or: ninja -C {paths.shown(directory)}",
                          detail="".join(output))
    return total
