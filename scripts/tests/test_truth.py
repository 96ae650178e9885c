"""`ordeal truth`: when a row agrees with what must come, campaigns that resume, and the record in docs."""

import json

import pytest
from test_cli import ordeal
from tree import ROOT

from ordeal import options, truth
from ordeal.cli import Parser
from ordeal.errors import HARNESS, PASS, UNKNOWN, VIOLATION
from reports import truth as pages

BY_NAME = {c.name: c for c in truth.CONFIGS}
WORDS = ("truth", "--target", "ordeal", "--only", "all-min2", "--time", "1s")


def verdict_of(kind="pass", promised="promised", count=0, broken=()) -> dict:
    status = "allowed" if count else "held"
    rows = [{"name": "lost-write", "promised": promised, "status": status, "count": count, "why": "as it is"}]
    rows += [{"name": name, "promised": "promised", "status": "violated", "count": 1, "why": "as it is"} for name in broken]
    return {"verdict": kind, "sentence": "so it was", "reasons": ["something was missing"] if kind == "unknown" else [], "properties": rows, "counts": {"sends_ok": 7}}


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """What is measured of a trial whose verdict was the given one; the checker finds `again` under the promise set durable."""
    monkeypatch.setattr(truth, "programs_key", lambda target: "p")

    def of(name: str, found: dict, again: int | None = None) -> dict:
        (tmp_path / "verdict.json").write_text(json.dumps(found))
        (tmp_path / "trial.json").write_text(json.dumps({"broker": "ordeal"}))
        (tmp_path / "faults.jsonl").write_text('{"event":"fault.begin","kind":"proc.kill","verified":true}\n{"event":"fault.begin","kind":"proc.pause","verified":false}\n')

        def judge(folder, promise=None):
            lost = found["properties"][0] | {"violated": again if again is not None else found["properties"][0]["count"]}
            (folder / "verdict.json").write_text(json.dumps(found | {"verdict": "fail", "properties": [lost]} if promise else found))

        monkeypatch.setattr(truth.verdict, "judge", judge)
        return truth.measured(truth.new_row(BY_NAME[name], "ordeal", 1, 90.0), tmp_path)

    return of


@pytest.mark.parametrize("name, found, code", [
    ("all-min2", verdict_of(), truth.AGREES),
    ("all-min2", verdict_of("fail", broken=["lost-write"]), truth.DIFFERS),
    ("all-min2", verdict_of("fail", broken=["duplicate"]), truth.DIFFERS),
    ("all-min2", verdict_of(promised="allowed"), truth.DIFFERS),  # what must be promised may not be excused
    ("all-min2", verdict_of("unknown"), truth.OPEN),
    ("acks1", verdict_of(promised="allowed", count=5), truth.AGREES),
    ("acks1", verdict_of(count=5), truth.AGREES),  # promised in the partitions whose leader stayed, and none of those lost any
    ("acks1", verdict_of(promised="allowed"), truth.DIFFERS),  # a loss that must be there and was not seen
    ("acks1", verdict_of("fail", promised="allowed", broken=["phantom-value"]), truth.DIFFERS),
    ("acks1", verdict_of("unknown", promised="allowed", count=5), truth.OPEN),
    ("acks1-one-copy", verdict_of(promised="allowed"), truth.AGREES),
    ("acks1-one-copy", verdict_of(promised="allowed", count=5), truth.AGREES),
])
def test_a_row_agrees_only_with_what_its_settings_are_worth(judged, name, found, code):
    row = judged(name, found)
    assert row["code"] == code, row["why_not"]
    assert bool(row["why_not"]) == (code != truth.AGREES)
    assert row["faults"] == {"proc.kill": 1} and row["sends"]["ok"] == 7


def test_losses_that_the_promise_set_durable_does_not_count_are_a_disagreement(judged):
    row = judged("acks1", verdict_of(promised="allowed", count=5), again=0)
    assert row["code"] == truth.DIFFERS and "durable" in row["why_not"]


def test_the_folder_keeps_its_declared_verdict(judged, tmp_path):
    judged("acks1", verdict_of(promised="allowed", count=5))
    assert json.loads((tmp_path / "verdict.json").read_text())["verdict"] == "pass"


@pytest.mark.parametrize("codes, code", [(["agrees"], PASS), (["agrees", "differs", "undecided"], VIOLATION), (["agrees", "undecided"], UNKNOWN)])
def test_the_worst_row_is_the_outcome(codes, code):
    assert truth.outcome([{"code": c, "exit": UNKNOWN if c == truth.OPEN else PASS} for c in codes]) == code
    assert truth.outcome([truth.failed({}, "the disk is full")]) == HARNESS


def test_the_configurations_cover_what_decides_about_losses():
    for field, values in {"acks": {"0", "1", "all"}, "idempotence": {True, False}, "min_isr": {1, 2}, "rf": {1, 3}, "unclean": {True, False}}.items():
        assert {getattr(c, field) for c in truth.CONFIGS} == values, field
    assert len({c.name for c in truth.CONFIGS}) == len(truth.CONFIGS) >= 8
    assert all(c.promised == "allowed" for c in truth.CONFIGS if c.acks != "all" or c.unclean)
    assert all(c.lost == truth.NONE for c in truth.CONFIGS if c.promised == "promised")


@pytest.mark.parametrize("config", truth.CONFIGS, ids=lambda c: c.name)
def test_every_configuration_is_a_trial(config):
    parser = Parser("run", "", "")
    options.add_trial_options(parser)
    spec = options.resolve(parser.parse_args(truth.again(config, "ordeal", 1, 90.0).split()[2:]))
    assert (spec.acks, spec.idempotence, spec.min_isr, spec.rf) == ({"all": -1}.get(config.acks) or int(config.acks), config.idempotence, config.min_isr, config.rf)
    assert len(spec.required) == 3 and spec.min_faults == 3 and spec.durability == "page-cache"


def test_a_campaign_goes_on_where_it_stopped(tmp_path):
    done = ordeal(*WORDS, "--json", runs=tmp_path)
    ledger = tmp_path / "truth" / "ledger.jsonl"
    assert json.loads(done.stdout)["code"] in (truth.AGREES, truth.DIFFERS), done.stdout + done.stderr
    done = ordeal(*WORDS, runs=tmp_path)
    assert done.stdout.count("from the ledger") == 1 and len(ledger.read_text().splitlines()) == 1
    ordeal(*WORDS, "--seed", "2", runs=tmp_path)
    ordeal(*WORDS, "--afresh", runs=tmp_path)
    assert len(ledger.read_text().splitlines()) == 3


def test_a_violation_is_an_exit_code_and_shows_its_folder(tmp_path):
    done = ordeal(*WORDS, runs=tmp_path, ORDEAL_FAKE_VERDICT="fail")
    assert done.returncode == 1 and "differs" in done.stdout and "ordeal-all-min2" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "truth" / "ordeal-all-min2" / "report.html").is_file()


def test_a_trial_that_could_not_be_held_is_undecided_and_held_again(tmp_path):
    assert ordeal(*WORDS, runs=tmp_path, ORDEAL_FAKE="broker-never-starts").returncode == 3
    assert "from the ledger" not in ordeal(*WORDS, runs=tmp_path).stdout


def test_an_unknown_configuration_is_bad_usage(tmp_path):
    assert ordeal("truth", "--only", "acks2", runs=tmp_path).returncode == 64


def row(name="acks1", target="kafka", code="agrees", **more) -> dict:
    config = BY_NAME[name]
    told = config._asdict() | {"target": target, "expected": config.expected, "seed": 1, "time_s": 90.0, "commit": "abc with local changes", "code": code, "verdict": "pass",
                               "lost_count": 5, "allowed": {"lost-write": 5}, "durable": {"verdict": "fail", "lost": 5, "witness": None}, "folder": "x", "why_not": ""}
    return told | more


def test_rows_replace_those_of_the_same_configuration_and_broker_only():
    known = [row(), row(target="ordeal"), row("unclean")]
    fresh = [row(lost_count=9), row("unclean", code="undecided")]
    merged = {(r["name"], r["target"]): r for r in pages.merge(known, fresh)}
    assert len(merged) == 3 and merged["acks1", "kafka"]["lost_count"] == 9 and merged["unclean", "kafka"]["code"] == "agrees"


def test_the_record_replaces_the_table_and_nothing_else(tmp_path):
    page = tmp_path / "truth.md"
    page.write_text(f"before\n{pages.BEGIN}\nold\n{pages.END}\nafter\n")
    pages.record(tmp_path / "truth.json", [row(), row(target="ordeal", code="differs", why_not="no lost write was found")])
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "agrees: pass, 5 lost, allowed; under `durable` 5 violations" in text and "**differs**" in text and "no lost write was found" in text
    assert "folder" not in json.loads((tmp_path / "truth.json").read_text())["rows"][0]


def test_the_page_in_docs_is_that_of_its_figures():
    path = ROOT / "docs" / "truth.json"
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    assert pages.filled(text, pages.table(json.loads(path.read_text())["rows"])) == text
