"""`ordeal doctor`: what this machine can do, and what each missing thing costs."""

import json
import os
import shutil
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from ordeal import paths
from ordeal.cli import Parser

NEEDED, WANTED, EXTRA = "needed", "wanted", "extra"


@dataclass
class Finding:
    name: str
    there: bool
    weight: str
    detail: str
    cost: str  # what is lost without it, or what to do


def parser() -> Parser:
    p = Parser("doctor", "What this machine can do. Changes nothing.", "  ./ordeal doctor\n  ./ordeal doctor --json")
    p.add_argument("--json", action="store_true", help="print the findings as JSON")
    return p


def main(arguments, terminal) -> int:
    findings = [*_tools(), *_kernel(), *_machine()]
    nemesis, problem = _nemesis()
    if arguments.json:
        print(json.dumps({"findings": [asdict(f) for f in findings], "nemesis": nemesis, "nemesis_problem": problem}))
    for f in findings:
        mark = terminal.paint("yes", "green") if f.there else terminal.paint("no ", "red" if f.weight == NEEDED else "yellow")
        terminal.line(f"  {mark}  {f.name:<26} {f.detail if f.there else f.cost}")
    for row in nemesis.get("capabilities", []) if isinstance(nemesis, dict) else []:
        mark = terminal.paint("yes", "green") if row.get("ok") else terminal.paint("no ", "yellow")
        terminal.line(f"  {mark}  {str(row.get('name', '?')):<26} {row.get('detail' if row.get('ok') else 'costs', '')}")
    if problem:
        terminal.line(f"  --   fault injector             {problem}")
    missing = [f.name for f in findings if not f.there and f.weight == NEEDED]
    if missing:
        terminal.line(f"not ready: {', '.join(missing)}; next: ./ordeal build --yes installs what Debian has")
    else:
        terminal.line("ready: trials with kills, pauses and partitions can run here; next: ./ordeal run")
    return 3 if missing else 0


def _version(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    text = (done.stdout or done.stderr).strip()
    return text.splitlines()[0] if done.returncode == 0 and text else ""


def _tool(name: str, weight: str, cost: str, *command: str) -> Finding:
    version = _version(*command)
    return Finding(name, bool(version), weight, version, cost)


def _tools() -> list[Finding]:
    return [
        _tool("clang 19", NEEDED, "the compiler of record; g++ 12 miscompiles coroutines", "clang++-19", "--version"),
        _tool("cmake, ninja", NEEDED, "nothing can be built", "ninja", "--version"),
        _tool("ccache", WANTED, "rebuilds after a branch switch take minutes", "ccache", "--version"),
        _tool("nft", WANTED, "the injector needs libnftables only; you cannot look at its tables by hand", "nft", "--version"),
        _tool("kcat", EXTRA, "its client test fails", "kcat", "-V"),
        _tool("chromium", EXTRA, "the report's browser test fails", "chromium", "--version"),
        _tool("java", EXTRA, "no --target kafka and no --client java; the Java client test and dump-log comparison fail", "java", "-version"),
        _tool("maven", EXTRA, "--target kafka needs --kafka-home; --client java cannot be built, its tests fail", "mvn", "--version"),
        _tool("docker engine", EXTRA, "no --target compose; its tests start an engine of their own where they may, or are skipped", "docker", "version", "--format", "{{.Server.Version}}"),
    ]


def _namespaces() -> tuple[bool, str]:
    """Root makes network namespaces itself; anyone else needs user namespaces."""
    root = os.geteuid() == 0
    command = ["unshare", "-nm" if root else "-Urnm", "--propagation", "unchanged", "true"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode == 0, "as root" if root else "in a user namespace"


def _kernel() -> list[Finding]:
    there, how = _namespaces()
    limit = Path("/proc/sys/kernel/unprivileged_userns_clone")
    advice = "no partitions. Run as root" + (", or: sysctl kernel.unprivileged_userns_clone=1" if limit.exists() else "")
    uname = os.uname()
    return [
        Finding("network namespaces", there, NEEDED, how, advice),
        Finding("FUSE", os.access("/dev/fuse", os.R_OK | os.W_OK), EXTRA, "/dev/fuse", "no disk faults on real processes (the simulator has them)"),
        Finding("kernel", True, EXTRA, f"{uname.sysname} {uname.release} {uname.machine}", ""),
    ]


def _machine() -> list[Finding]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    free = shutil.disk_usage(paths.ROOT).free / 2**30
    return [
        Finding("processors", (os.cpu_count() or 1) >= 2, WANTED, str(os.cpu_count()), "one: trials are slow, pauses look like faults"),
        Finding("memory", memory >= 3.5, WANTED, f"{memory:.0f} GiB", f"{memory:.1f} GiB: the build may run out; 4 GiB are comfortable"),
        Finding("disk", free >= 5, NEEDED, f"{free:.0f} GiB free", f"{free:.1f} GiB free: a build and a trial need 5"),
    ]


def _nemesis() -> tuple[dict, str]:
    """What the injector itself finds out by trying; it knows best."""
    try:
        program = paths.binary("ordeal-nemesis")
    except Exception as error:  # not built is a finding here, not a failure
        return {}, str(error)
    done = subprocess.run([str(program), "--doctor", "--json"], capture_output=True, text=True)
    try:
        return json.loads(done.stdout), ""
    except ValueError:
        return {}, f"ordeal-nemesis --doctor said nothing readable (code {done.returncode})"
