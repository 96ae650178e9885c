"""The test suites, as data and three ways to run one: a doctest program, a pytest folder, a libFuzzer target.

Each yields a Result; `./ordeal test` prints them as they come and adds them up. A suite that cannot even start counts
as one failure, never as nothing.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from ordeal import build, paths
from ordeal.errors import OrdealError
from ordeal.terminal import Terminal, seconds

UNIT_TIMEOUT_S = 600  # one of them plays the script of every known bug, twice
SUITE_TIMEOUT_S = 3600
FUZZ_SECONDS = {True: 5, False: 30}  # quick: so long a target

_DOCTEST = re.compile(r"test cases:\s*(\d+)\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed\s*\|\s*(\d+) skipped")
_LIBFUZZER = re.compile(r"(?:#|stat::number_of_executed_units:\s*)(\d+)")


@dataclass
class Result:
    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    took_s: float = 0.0
    output: str = ""  # shown when something failed
    failures: list[str] = field(default_factory=list)


@dataclass
class Suite:
    name: str
    what: str
    quick: bool  # part of `test --quick`
    run: object  # (terminal, quick) -> list[Result]


def unit(terminal: Terminal, quick: bool) -> list[Result]:
    """Every doctest program of the dev build, two at a time at most: they are short and some measure time."""
    folder = paths.build_dir("dev")
    programs = sorted(p for p in folder.rglob("*_test") if p.is_file() and os.access(p, os.X_OK))
    if not programs:
        return [Result("unit", failed=1, output=f"no test program in {folder}", failures=["no test program was built"])]
    return [_doctest(terminal, program) for program in programs]


def _doctest(terminal: Terminal, program: Path) -> Result:
    name = program.name.removesuffix("_test")
    terminal.live("unit", name)
    began = time.monotonic()
    try:
        done = subprocess.run([str(program)], cwd=paths.ROOT, capture_output=True, text=True, errors="replace", timeout=UNIT_TIMEOUT_S)
        output, code = done.stdout + done.stderr, done.returncode
    except subprocess.TimeoutExpired as error:
        output, code = f"{error.stdout or ''}\nstill running after {UNIT_TIMEOUT_S} s", -1
    found = _DOCTEST.search(output)
    result = Result(name, took_s=time.monotonic() - began, output=output)
    if found:
        result.passed, result.failed, result.skipped = int(found[2]), int(found[3]), int(found[4])
        result.failures = re.findall(r"^TEST CASE:\s*(.+)$", output, re.MULTILINE)
    if code != 0 and not result.failed:  # crashed, or a leak after the last test
        result.failed, result.failures = 1, [f"ended with code {code}"]
    return result


def pytest_suite(folder: str, ignore: tuple[str, ...] = (), marker: str = ""):
    def run(terminal: Terminal, quick: bool) -> list[Result]:
        select = [marker] if marker else []
        select += ["not slow"] if quick else []
        words = [folder, *(w for i in ignore for w in ("--ignore", i)), *(["-m", " and ".join(select)] if select else [])]
        return [_pytest(terminal, folder.rsplit("/", 1)[-1], words)]

    return run


def _pytest(terminal: Terminal, name: str, words: list[str]) -> Result:
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "junit.xml"
        command = [sys.executable, "-m", "pytest", "-v", "--tb=short", "-p", "no:cacheprovider", f"--junitxml={report}", *words]
        began, lines = time.monotonic(), []
        child = subprocess.Popen(command, cwd=paths.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        try:
            for line in child.stdout:
                lines.append(line)
                if "::" in line:
                    terminal.live(name, line.split("::", 1)[1].strip(), f"{seconds(time.monotonic() - began)}")
            child.wait(SUITE_TIMEOUT_S)
        except BaseException:
            child.terminate()
            child.wait()
            raise
        result = Result(name, took_s=time.monotonic() - began, output="".join(lines))
        if report.is_file():
            _count(result, ElementTree.parse(report).getroot())
        if child.returncode not in (0, 5) and not result.failed:
            result.failed, result.failures = 1, [f"pytest ended with code {child.returncode}"]
        return result


def _count(result: Result, root: ElementTree.Element) -> None:
    for case in root.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            result.failed += 1
            result.failures.append(case.get("name", "?"))
        elif case.find("skipped") is not None:
            result.skipped += 1
        else:
            result.passed += 1


def fuzz(terminal: Terminal, quick: bool) -> list[Result]:
    """A short run of every libFuzzer target, from its corpus if it has one."""
    names = sorted(n for p in paths.ROOT.glob("*/*/CMakeLists.txt") for n in re.findall(r"^ordeal_fuzzer\((\w+)", p.read_text(), re.MULTILINE))
    if not names:
        return [Result("fuzz", failed=1, output="no CMakeLists.txt names a fuzzer", failures=["no fuzz target"])]
    build.ensure(terminal, tuple(names), "fuzz")
    return [_fuzz(terminal, paths.build_dir("fuzz") / "fuzz" / name, FUZZ_SECONDS[quick]) for name in names]


def _fuzz(terminal: Terminal, target: Path, limit: int) -> Result:
    name = target.name
    terminal.live("fuzz", f"{name} for {limit} s")
    with tempfile.TemporaryDirectory() as scratch:
        command = [str(target), f"-max_total_time={limit}", "-print_final_stats=1", "-rss_limit_mb=2048", f"-artifact_prefix={scratch}/", scratch]
        began = time.monotonic()
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, errors="replace", timeout=limit + 120)
        result = Result(name, took_s=time.monotonic() - began, output=done.stdout[-4000:] + done.stderr[-8000:])
        runs = [int(n) for n in _LIBFUZZER.findall(done.stderr)]
        if done.returncode == 0 and runs and max(runs) > 0:
            result.passed = 1
        else:
            found = next(Path(scratch).glob("*-*"), None)
            kept = found.read_bytes().hex() if found else "no input was saved"
            result.failed, result.failures = 1, [f"{name}: input {kept[:400]}"]
        return result


def nemesis(terminal: Terminal, quick: bool) -> list[Result]:
    """The injector's own integration test: real namespaces, small servers as nodes."""
    terminal.live("nemesis", "real namespaces, firewall tables and processes")
    test, program, began = paths.ROOT / "faults" / "real" / "nemesis_test.py", paths.binary("ordeal-nemesis"), time.monotonic()
    done = subprocess.run([sys.executable, str(test), str(program)], cwd=paths.ROOT, capture_output=True, text=True, errors="replace", timeout=300)
    result = Result("nemesis", took_s=time.monotonic() - began, output=done.stdout + done.stderr)
    result.passed = len(re.findall(r"^ok ", done.stdout, re.MULTILINE))
    result.failures = re.findall(r"^FAIL (.+)$", done.stdout, re.MULTILINE)
    result.failed, result.skipped = len(result.failures), int(done.returncode == 77)
    if done.returncode not in (0, 77) and not result.failed:
        result.failed, result.failures = 1, [f"ended with code {done.returncode}"]
    return [result]


SUITES = (
    Suite("unit", "C++ test programs, beside the code", True, unit),
    Suite("harness", "Python: include graph, command line, reports, documents", True,
          pytest_suite("scripts/tests", ignore=("scripts/tests/browser",))),
    Suite("browser", "the report in headless Chromium, phone and wide", True, pytest_suite("scripts/tests/browser")),
    Suite("fuzz", "short runs of the libFuzzer targets", True, fuzz),
    Suite("nemesis", "the fault injector on real namespaces", True, nemesis),
    Suite("sim", "simulated worlds: a fixed set of seeds, digests, replay, shrinking, known bugs", True, pytest_suite("scripts/trials/sim")),
    Suite("clients", "foreign clients against a real cluster", True, pytest_suite("scripts/trials/clients")),
    Suite("tools", "Apache Kafka's command line tools against a real cluster and on its files, where Java and Kafka can be had", True,
          pytest_suite("scripts/trials/tools")),
    Suite("trials", "whole trials on real processes, and what must make them fail", True, pytest_suite("scripts/trials/real")),
    Suite("kafka", "trials of a real Apache Kafka cluster, where Java and Kafka can be had", True, pytest_suite("scripts/trials/kafka")),
    Suite("compose", "the container files, where a Docker engine answers", True, pytest_suite("scripts/trials/compose")),
)


def by_name(names: list[str]) -> list[Suite]:
    known = {s.name: s for s in SUITES}
    wrong = [n for n in names if n not in known]
    if wrong:
        raise OrdealError(f"there is no suite '{wrong[0]}'", f"one of: {', '.join(known)}", 64)
    return [known[n] for n in names]
