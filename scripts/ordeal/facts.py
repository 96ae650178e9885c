"""What is written into trial.json about the machine and the versions, for the last section of the report."""

import os
import platform
import subprocess
from pathlib import Path

from ordeal import __version__, paths


def machine(folder: Path) -> dict:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    facts = {"system": _pretty_name(), "kernel": platform.release(), "processors": os.cpu_count(), "processor": _processor(),
             "memory": f"{memory / 2**30:.1f} GiB", "filesystem": _filesystem(folder)}
    return {k: v for k, v in facts.items() if v}


def versions() -> dict:
    found = {"ordeal": __version__, "commit": _git("rev-parse", "--short=12", "HEAD"), "python": platform.python_version()}
    if _git("status", "--porcelain", "--untracked-files=no"):
        found["commit"] += " with local changes"
    return {k: v for k, v in found.items() if v}


def code_changes() -> list[str]:
    """Changed or new files that could change what a program does: documents and figures do not."""
    lines = _git("status", "--porcelain").splitlines()
    names = [line[2:].strip().split(" -> ")[-1] for line in lines]
    return [n for n in names if not n.startswith(("docs/", "runs/")) and not n.endswith(".md")]


def commit() -> str:
    return _git("rev-parse", "--short=12", "HEAD")


def _pretty_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return platform.system()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return " ".join(line.split(":", 1)[1].split())
    return platform.machine()


def _filesystem(folder: Path) -> str:
    done = subprocess.run(["stat", "-f", "-c", "%T", str(folder)], capture_output=True, text=True)
    return done.stdout.strip()


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(paths.ROOT), *arguments], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
