"""The report's files, rendered from made-up runs: right words, safe text, valid JUnit, nothing from the network."""

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from reports import model, render
from reports.samples import make

KINDS = ("pass", "fail", "unknown")
VOID = {"meta", "link", "br", "hr", "input", "img"}


class Outline(HTMLParser):
    """Counts elements, checks that they nest, and collects what would be fetched."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.fetched, self.links = [], set(), [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if attributes.get("id"):
            assert attributes["id"] not in self.ids, f"id {attributes['id']} twice"
            self.ids.add(attributes["id"])
        for name in ("src", "href"):
            value = attributes.get(name) or ""
            (self.links if value.startswith("#") else self.fetched).append(value) if value else None
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes something else"


@pytest.fixture(params=KINDS)
def run(request, tmp_path):
    folder = make.write(request.param, tmp_path / request.param)
    render.render(folder)
    return request.param, folder


def test_the_page_nests_and_fetches_nothing(run):
    _, folder = run
    page = (folder / "report.html").read_text()
    outline = Outline()
    outline.feed(page)
    assert not outline.open
    assert [f for f in outline.fetched if f != "data:,"] == []
    assert {link[1:] for link in outline.links} <= outline.ids
    assert not re.search(r"""(?:src|href)=["']https?:|@import|url\(["']?http""", page)


def test_the_page_names_the_verdict_and_every_guarantee(run):
    kind, folder = run
    page, verdict = (folder / "report.html").read_text(), json.loads((folder / "verdict.json").read_text())
    assert f"<title>{model.VERDICT_WORDS[kind]}" in page
    for row in verdict["properties"]:
        assert row["name"] in page
    for violation in verdict["violations"]:
        assert model.sentence_case(violation["title"]) in page
    assert page.count('class="spacetime"') == len(verdict["violations"])


def test_junit_has_a_case_a_property_and_no_green_unknown(run):
    kind, folder = run
    suite = ElementTree.parse(folder / "junit.xml").getroot().find("testsuite")
    verdict = json.loads((folder / "verdict.json").read_text())
    assert int(suite.get("tests")) == len(verdict["properties"]) + 1 == len(suite.findall("testcase"))
    assert int(suite.get("failures")) == len(suite.findall("testcase/failure")) == (3 if kind == "fail" else 0)
    assert int(suite.get("errors")) == len(suite.findall("testcase/error")) == (3 if kind == "unknown" else 0)
    if kind == "fail":
        assert "n2 was killed" in suite.find("testcase[@name='lost-write']/failure").text


def test_the_summary_fits_a_comment(run):
    kind, folder = run
    text = (folder / "summary.md").read_text()
    assert model.VERDICT_WORDS[kind] in text.splitlines()[0]
    assert len(text) < 8000 and "./ordeal run --seed 7" in text
    assert text.count("\n> ") <= 15


def test_text_from_a_run_cannot_become_markup(tmp_path):
    folder = make.write("fail", tmp_path)
    verdict = json.loads((folder / "verdict.json").read_text())
    evil = "</script><script>alert(1)</script>"
    verdict["sentence"] = verdict["violations"][0]["title"] = verdict["violations"][0]["story"][0] = evil
    verdict["violations"][0]["operations"][0]["process"] = evil
    (folder / "verdict.json").write_text(json.dumps(verdict))
    render.render(folder)
    assert "<script>alert" not in (folder / "report.html").read_text()
    ElementTree.parse(folder / "junit.xml")


def test_a_run_that_ended_early_still_renders(tmp_path):
    """Only a verdict: no aggregates, no trial, no faults."""
    folder = make.write("unknown", tmp_path)
    for name in ("aggregates.json", "trial.json", "faults.jsonl"):
        (folder / name).unlink()
    render.render(folder)
    assert "UNKNOWN" in (folder / "report.html").read_text()


def test_broken_promises_come_before_what_is_allowed(tmp_path):
    folder = make.write("fail", tmp_path)
    verdict = json.loads((folder / "verdict.json").read_text())
    verdict["violations"][0]["status"] = "allowed"
    (folder / "verdict.json").write_text(json.dumps(verdict))
    run = model.load(folder)
    assert [v["property"] for v in run.violations] == ["duplicate", "lost-write"]
    first = {p["name"]: p["first_violation"] for p in run.properties if p["first_violation"] is not None}
    assert first == {"duplicate": 0, "lost-write": 1}


@pytest.mark.parametrize(("targets", "nodes"), [("n2", [2]), (["n1", "n3"], [1, 3]), ({"targets": ["n2"], "epoch": 5}, [2]),
                                               ("leader n2 and n1", [2, 1]), (["c1"], []), (None, [])])
def test_nodes_are_found_in_every_form_of_target(targets, nodes):
    assert model.nodes_of(targets) == nodes


def test_a_simulated_world_has_its_messages_on_the_page(tmp_path):
    from reports import messages
    from reports.samples import world

    folder = world.write(tmp_path)
    page = render.render(folder).read_text()
    assert 'id="message-lanes"' in page and "Show its messages" in page
    found = messages.diagram(model.load(folder))
    assert found["lanes"] == ["c1", "c2", "n1", "n2", "n3"]
    assert {"Fetch", "Produce", "BrokerHeartbeat"} == set(found["apis"]) and "t/0" in found["partitions"]
    assert len(found["messages"]) > 3000 and found["messages"] == sorted(found["messages"], key=lambda m: m[0])
    lost = [m for m in found["messages"] if m[1] < 0]
    assert lost and all(m[8] for m in lost)
    assert [0, "down"] in [[band[0] - 3, band[3]] for band in found["bands"]], "n2 was killed"
    assert any(m[2] == "lead" and "epoch 5" in m[3] for m in found["marks"]) and any(m[2] == "raft" for m in found["marks"])


def test_fetches_that_bring_nothing_new_are_set_apart(tmp_path):
    from reports import messages
    from reports.samples import world

    folder = world.write(tmp_path)
    exchange = [("fetch t/0 from 5", "fetched t/0 5..6 of epoch 1, hw 5"), ("fetch t/0 from 7", "fetched t/0 nothing new, hw 7"), ("fetch t/0 from 7", "fetched t/0 nothing new, hw 7"),
                ("fetch t/0 from 7", "fetched t/0 nothing new, hw 7"), ("fetch t/0 from 7", "fetched t/0 nothing new, hw 8")]
    rows = [{"t": 10 + 2 * i + reply, "a": 20 + 2 * i, "from": ("n1", "n2")[reply], "to": ("n2", "n1")[reply], "api": "Fetch", "reply": bool(reply), "c": 3, "id": i, "p": ["t/0"], "say": said[reply]}
            for i, said in enumerate(exchange) for reply in (0, 1)]
    (folder / "messages.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    found = messages.diagram(model.load(folder))
    idle = [found["apis"][m[4]] == "Fetch (idle)" for m in found["messages"]]
    assert idle == [False] * 4 + [True] * 4 + [False] * 2, "the first and a new high watermark are news"


@pytest.mark.parametrize(("violation", "partition"), [({"operations": [{"topic": "t", "partition": 3}, {"topic": "u", "partition": 0}, {"topic": "t", "partition": 3}]}, "t/3"),
                                                      ({"title": "my-topic-7: leader 3 ends at 4117", "operations": []}, "my-topic/7"),
                                                      ({"title": "term 6 has two leaders", "operations": [{"topic": None, "partition": None}]}, None)])
def test_a_violation_names_its_partition(violation, partition):
    from reports import messages

    assert messages._partition_of(violation) == partition


def test_a_page_takes_only_the_messages_nearest_to_the_violation(tmp_path, monkeypatch):
    from reports import messages
    from reports.samples import world

    folder = world.write(tmp_path)
    monkeypatch.setattr(messages, "MOST", 500)
    found = messages.diagram(model.load(folder))
    assert len(found["messages"]) == 500
    [focus] = [f for f in found["focus"] if f[0] == 0]
    assert found["messages"][0][0] < focus[2] < found["messages"][-1][0]


def test_a_torn_or_missing_message_file_is_no_obstacle(tmp_path):
    from reports import messages
    from reports.samples import world

    folder = world.write(tmp_path)
    path = folder / "messages.jsonl"
    path.write_text("\n".join(path.read_text().splitlines()[:40]) + '\n{"t": 12')
    assert len(messages.diagram(model.load(folder))["messages"]) == 40
    path.unlink()
    assert messages.diagram(model.load(folder)) is None
    assert 'id="message-lanes"' not in render.render(folder).read_text()


def test_a_broken_invariant_is_told_in_words_with_what_happened_before(tmp_path):
    from reports.samples import world

    folder = world.write(tmp_path)
    verdict = json.loads((folder / "verdict.json").read_text())
    moment = make.at(24.25)
    verdict["properties"].insert(0, {"name": "LeaderCompleteness", "title": "invariant of the simulated cluster", "promised": "promised", "status": "violated",
                                     "count": 1, "why": "t-0: leader 3 ends at 4117", "first_violation": 0})
    verdict["violations"].insert(0, {"property": "LeaderCompleteness", "status": "violated", "title": "t-0: leader 3 ends at 4117", "story": [], "operations": [],
                                     "records": [], "faults": [], "trace": [], "from_ns": moment, "to_ns": moment})
    (folder / "verdict.json").write_text(json.dumps(verdict))
    run = model.load(folder)
    assert run.properties[0]["title"] == "a leader holds all that is committed"
    told = run.violations[0]
    assert told["story"][0] == "The invariant: a leader holds all that is committed."
    assert {"f3", "f4"} <= set(told["faults"]) and all(e["t"] <= moment and e["k"] != "partition.hw" for e in told["trace"]) and told["trace"]
    page = render.render(folder).read_text()
    assert "A leader holds all that is committed" in page and "<h3>t-0: leader 3 ends at 4117</h3>" in page
    assert model.load(make.write("fail", tmp_path / "real")).violations[0]["property"] == "lost-write", "real trials are left alone"


def test_every_invariant_of_the_simulator_has_words():
    from reports.invariants import TITLES

    root = render.HERE.parent
    sources = [p for folder in ("invariants", "cluster") for p in (root / "faults" / "sim" / folder).glob("*.cpp") if not p.name.endswith("_test.cpp")]
    reported = {name for p in sources for name in re.findall(r'(?:report|violate)\w*\(\s*"([A-Z][A-Za-z]+)"', p.read_text())}
    assert len(reported) > 10 and reported <= TITLES.keys(), reported - TITLES.keys()


def test_appends_of_nothing_are_set_apart_from_those_that_carry_records(tmp_path):
    from reports import messages
    from reports.samples import world

    folder = world.write(tmp_path)
    rows = [{"t": 10 + i, "a": 20 + i, "from": ("n1", "n2")[i % 2], "to": ("n2", "n1")[i % 2], "api": "raft_append", "reply": i % 2 == 1, "c": 3 + i % 2, "id": 0, "bytes": 52 + 60 * (i == 2)}
            for i in range(6)]
    (folder / "messages.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    found = messages.diagram(model.load(folder))
    assert [found["apis"][m[4]] for m in found["messages"]] == ["raft_append (idle)"] * 2 + ["raft_append"] * 2 + ["raft_append (idle)"] * 2
