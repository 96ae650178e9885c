"""Where things are. Everything hangs off the folder the launcher stands in."""

import os
from pathlib import Path

from ordeal.errors import OrdealError

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build"
PLANS = ROOT / "faults" / "plan" / "plans"


def runs_dir() -> Path:
    return Path(os.environ.get("ORDEAL_RUNS", ROOT / "runs"))


def build_dir(preset: str = "dev") -> Path:
    return BUILD / preset


def prebuilt() -> Path | None:
    """ORDEAL_BIN names a folder of binaries built elsewhere (an image, another build directory): nothing is built."""
    value = os.environ.get("ORDEAL_BIN")
    return Path(value).resolve() if value else None


def binary(name: str, preset: str = "dev") -> Path:
    path = (prebuilt() or build_dir(preset) / "bin") / name
    if not path.is_file():
        raise OrdealError(f"{name} is not built ({path} does not exist)", "./ordeal build")
    return path


def shown(path: Path) -> str:
    """A path as the reader would type it: relative to where they stand when that is shorter."""
    try:
        relative = os.path.relpath(path)
    except ValueError:
        return str(path)
    return relative if len(relative) < len(str(path)) else str(path)
