"""`ordeal test`: every suite, with its time; the last line is `N passed, N failed`."""

import json
import time
from xml.etree import ElementTree

from ordeal import build, paths, suites
from ordeal.cli import Parser
from ordeal.errors import OrdealError
from ordeal.terminal import Terminal, seconds

OUTPUT_SHOWN = 80  # lines of a failed suite's output


def parser() -> Parser:
    names = ", ".join(s.name for s in suites.SUITES)
    p = Parser("test", "Run the tests. Each suite is a step with its time; what failed is shown in full.",
               "  ./ordeal test --quick\n  ./ordeal test unit browser --junit build/tests.xml")
    p.add_argument("suites", nargs="*", metavar="SUITE", help=f"only these: {names} (default: all)")
    p.add_argument("--quick", action="store_true", help="the subset that takes minutes")
    p.add_argument("--junit", metavar="FILE", help="write the outcome as JUnit XML too")
    p.add_argument("--json", action="store_true", help="print the outcome as JSON")
    return p


def main(arguments, terminal) -> int:
    chosen = suites.by_name(arguments.suites) if arguments.suites else [s for s in suites.SUITES if s.quick or not arguments.quick]
    build.ensure(terminal, ())
    began, outcomes = time.monotonic(), []
    for suite in chosen:
        results = _run(suite, terminal, arguments.quick)
        outcomes.append((suite, results))
        _show(terminal, suite, results)
    flat = [r for _, results in outcomes for r in results]
    passed, failed, skipped = (sum(getattr(r, key) for r in flat) for key in ("passed", "failed", "skipped"))
    if arguments.junit:
        _junit(arguments.junit, outcomes)
    if arguments.json:
        print(json.dumps({"exit": 1 if failed else 0, "passed": passed, "failed": failed, "skipped": skipped,
                          "seconds": round(time.monotonic() - began, 1), "failures": [f for r in flat for f in r.failures]}))
    terminal.line()
    took = seconds(time.monotonic() - began)
    terminal.line(f"tests took {took}{f'; {skipped} skipped' if skipped else ''}" + ("; next: mend what is shown above" if failed else ""))
    terminal.line(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def _run(suite: suites.Suite, terminal: Terminal, quick: bool) -> list[suites.Result]:
    began = time.monotonic()
    try:
        return suite.run(terminal, quick)
    except (OrdealError, OSError) as error:  # a suite that cannot start is a failure of the suite, not of the run
        detail = getattr(error, "detail", "")
        return [suites.Result(suite.name, failed=1, took_s=time.monotonic() - began, output=f"{detail}\n{error}", failures=[str(error)])]


def _show(terminal: Terminal, suite: suites.Suite, results: list[suites.Result]) -> None:
    passed, failed, skipped = (sum(getattr(r, key) for r in results) for key in ("passed", "failed", "skipped"))
    word = terminal.paint("FAIL", "red", "bold") if failed else terminal.paint("ok", "green")
    took = seconds(sum(r.took_s for r in results))
    terminal.line(f"  {suite.name:<9} {word:<5} {passed:>5} passed, {failed} failed"
                  + (f", {skipped} skipped" if skipped else "") + f"  {took:>9}  {suite.what}")
    for result in results:
        if result.failed:
            terminal.line("\n".join(result.output.splitlines()[-OUTPUT_SHOWN:]))
            for name in result.failures:
                terminal.line(f"            {terminal.paint('failed', 'red')}: {suite.name}: {result.name}: {name}")


def _junit(path: str, outcomes: list) -> None:
    root = ElementTree.Element("testsuites")
    for suite, results in outcomes:
        for r in results:
            element = ElementTree.SubElement(root, "testsuite", name=f"{suite.name}.{r.name}", tests=str(r.passed + r.failed + r.skipped),
                                             failures=str(r.failed), skipped=str(r.skipped), time=f"{r.took_s:.2f}")
            case = ElementTree.SubElement(element, "testcase", classname=suite.name, name=r.name, time=f"{r.took_s:.2f}")
            if r.failed:
                ElementTree.SubElement(case, "failure", message="; ".join(r.failures)).text = "".join(
                    c for c in r.output[-8000:] if c in "\n\t" or ord(c) >= 32)
    target = paths.ROOT / path if not path.startswith("/") else path
    ElementTree.ElementTree(root).write(target, encoding="unicode", xml_declaration=True)
