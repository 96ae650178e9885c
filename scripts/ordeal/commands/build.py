"""`ordeal build`: brings a preset's binaries up to date and says where they are."""

import json

from ordeal import build, paths
from ordeal.cli import Parser

PRESETS = ("dev", "release", "asan", "tsan", "fuzz")


def parser() -> Parser:
    p = Parser("build", "Build only. Ninja decides what is stale; compiler output is shown in full on an error.",
               "  ./ordeal build\n  ./ordeal build --preset asan ordeal-broker")
    p.add_argument("targets", nargs="*", help="CMake targets (default: everything)")
    p.add_argument("--preset", choices=PRESETS, default="dev", help="which CMake preset (default: dev)")
    p.add_argument("--json", action="store_true", help="print the outcome as JSON")
    return p


def main(arguments, terminal) -> int:
    took = build.ensure(terminal, tuple(arguments.targets), arguments.preset, quiet_when_fresh=False)
    folder = paths.prebuilt() or paths.build_dir(arguments.preset) / "bin"
    if arguments.json:
        print(json.dumps({"exit": 0, "preset": arguments.preset, "seconds": round(took, 3), "binaries": str(folder)}))
    terminal.line(f"built: binaries in {paths.shown(folder)}; next: ./ordeal run")
    return 0
