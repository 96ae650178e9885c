"""Documents tell the truth: links lead somewhere, commands exist, options are spelt as the program spells them."""

import importlib
import re

import pytest
from tree import ROOT

from ordeal.cli import COMMANDS
from ordeal.suites import SUITES

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
WORKFLOW = ROOT / "docs" / "examples" / "ci-workflow.yml"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    targets = [t for t in re.findall(r"\]\(([^)#\s]+)", text) if not re.match(r"[a-z]+:", t)]
    missing = [t for t in targets if not (page.parent / t).exists()]
    assert not missing


@pytest.mark.parametrize("page", [*PAGES, WORKFLOW], ids=lambda p: p.name)
def test_commands_and_options_exist(page):
    for command, rest in re.findall(r"\./ordeal (\w+)([^\n`|\"]*)", page.read_text()):
        assert command in COMMANDS, f"{page.name}: ./ordeal {command}"
        known = {o for a in importlib.import_module(f"ordeal.commands.{command}").parser()._actions for o in a.option_strings}
        for option in re.findall(r"(?<!\S)(--[a-z-]+)", rest.split("#")[0]):
            assert option in known | {"--yes"}, f"{page.name}: ./ordeal {command} {option}"


def test_every_command_stands_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    assert not [c for c in COMMANDS if c != "build" and f"./ordeal {c}" not in readme]


def test_the_readme_starts_with_the_two_commands():
    code = re.search(r"```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    assert [line.split("#")[0].strip() for line in code.splitlines()] == ["./ordeal run", "./ordeal test"]


def test_the_workflow_is_valid_and_uploads_what_a_run_writes():
    import yaml

    steps = yaml.safe_load(WORKFLOW.read_text())["jobs"]["trial"]["steps"]
    assert any("./ordeal run" in step.get("run", "") for step in steps)
    uploaded = "\n".join(str(step.get("with", {}).get("path", "")) for step in steps)
    for name in ("report.html", "junit.xml", "summary.md", "verdict.json"):
        assert f"runs/latest/{name}" in uploaded


def test_every_folder_of_code_stands_on_the_map():
    """The map nests folders by indentation; a name under its parent counts."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for top in ("broker", "faults", "workloads"):
        for folder in sorted(p for p in (ROOT / top).iterdir() if list(p.glob("*.h"))):
            assert f"{folder.name}/" in text or f"{top}/{folder.name}" in text, f"{top}/{folder.name} is not on the map"


def test_suites_have_folders():
    assert [s.name for s in SUITES] == sorted({s.name for s in SUITES}, key=[s.name for s in SUITES].index)
    for folder in ("scripts/tests/browser", "scripts/trials/sim", "scripts/trials/clients", "scripts/trials/tools", "scripts/trials/real", "scripts/trials/compose"):
        assert list((ROOT / folder).glob("test_*.py")), folder
