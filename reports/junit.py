"""junit.xml: one test case a property, the story as the failure's text. Unknown is an error, never a pass."""

from xml.etree import ElementTree

from reports.model import VERDICT_WORDS, Run


def junit(run: Run) -> str:
    suite = ElementTree.Element("testsuite", name=f"ordeal.{run.name}", time=str(run.trial.get("time_s") or 0))
    tally = {"failure": 0, "error": 0, "skipped": 0}
    for row in run.properties:
        case = ElementTree.SubElement(suite, "testcase", classname=f"ordeal.{run.name}", name=row.get("name", "?"), time="0")
        outcome = _outcome(run, row)
        if outcome:
            tag, message, text = outcome
            ElementTree.SubElement(case, tag, message=_clean(message)).text = _clean(text)
            tally[tag] += 1
    cases = len(run.properties)
    # The verdict itself is a case, so that an unknown without an unknown property cannot look green.
    case = ElementTree.SubElement(suite, "testcase", classname=f"ordeal.{run.name}", name="verdict", time="0")
    if run.kind != "pass":
        tag = "failure" if run.kind == "fail" else "error"
        reasons = "\n".join(run.verdict.get("reasons", []))
        ElementTree.SubElement(case, tag, message=_clean(sentence(run))).text = _clean(reasons)
        tally[tag] += 1
    suite.set("tests", str(cases + 1))
    for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(name, str(tally[tag]))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def sentence(run: Run) -> str:
    return f"{VERDICT_WORDS.get(run.kind, 'UNKNOWN')}: {run.verdict.get('sentence', '')}"


def _outcome(run: Run, row: dict) -> tuple[str, str, str] | None:
    status = row.get("status")
    stories = [v for v in run.violations if v.get("property") == row.get("name")]
    if status == "violated":
        text = "\n\n".join("\n".join([v.get("title", ""), *v.get("story", [])]) for v in stories)
        return "failure", f"{row.get('title')}: violated {row.get('count')} times", text or row.get("why", "")
    if status == "unknown":
        return "error", f"{row.get('title')}: unknown", row.get("why", "")
    if status == "allowed":
        return "skipped", f"not promised by this configuration; {row.get('count')} seen", row.get("why", "")
    return None


def _clean(text: str) -> str:
    """XML 1.0 has no way to write most control characters."""
    return "".join(c for c in text if c in "\n\t" or ord(c) >= 32)
