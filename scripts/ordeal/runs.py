"""Run folders: made, found again by name, and cleaned up after a pass."""

import errno
import os
import shutil
import time
from pathlib import Path

from ordeal import paths
from ordeal.errors import USAGE, OrdealError

FREE_AT_LEAST = 300 * 2**20  # below this a trial would fill the disk before it said anything


def create(name: str, out: str | None) -> Path:
    if out:
        folder = Path(out).resolve()
        if folder.exists() and any(folder.iterdir()):
            raise OrdealError(f"--out {out} exists and is not empty", "give a new folder", USAGE)
    else:
        base = paths.runs_dir() / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}"
        folder, copy = base, 2
        while folder.exists():
            folder, copy = base.with_name(f"{base.name}.{copy}"), copy + 1
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def point_latest(folder: Path) -> None:
    """runs/latest -> folder, swapped in one step; only for runs inside runs/."""
    parent = paths.runs_dir()
    if folder.parent.resolve() != parent.resolve():
        return
    fresh = parent / f".latest.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(folder.name)
    fresh.replace(parent / "latest")


def find(name: str) -> Path:
    """A run by path, by folder name, by trial name (the newest one), or `latest`."""
    given = Path(name)
    if given.is_dir():
        return given.resolve()
    base = paths.runs_dir()
    if (base / name).is_dir():
        return (base / name).resolve()
    named = sorted(p for p in base.glob(f"*-{name}*") if p.is_dir()) if base.is_dir() else []
    exact = [p for p in named if p.name.split("-", 2)[-1].split(".")[0] == name] or named
    if exact:
        return exact[-1].resolve()
    raise OrdealError(f"there is no run '{name}' in {paths.shown(base)}", "ls runs/", USAGE)


def check_space(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    need = max(wanted, FREE_AT_LEAST)
    if free < need:
        raise OrdealError(f"{free / 2**20:.0f} MiB are free under {paths.shown(folder)}, this trial may need {need / 2**20:.0f} MiB",
                          "free some space, shorten --time, lower --rate, or set ORDEAL_RUNS to a folder elsewhere")


def drop_node_data(folder: Path) -> None:
    for data in sorted(folder.glob("nodes/*/data")):
        shutil.rmtree(data, ignore_errors=True)


def harness_error(error: OSError) -> OrdealError:
    """What the operating system refused, in words; a full disk is the one that people meet."""
    if error.errno == errno.ENOSPC:
        return OrdealError(f"the disk is full: could not write {error.filename or 'the run folder'}",
                           "free some space or set ORDEAL_RUNS to a folder elsewhere; the run says nothing about the cluster")
    return OrdealError(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "), "./ordeal doctor")
