"""Replays of simulated worlds: play them again, compare the digest, show the trace, draw the report.

The claim "this repeats exactly" is checked each time: against the digest of the stored world where there is one, against a
second run of the same world where there is none. Unequal digests are a failure of the harness.
"""

import json
import subprocess
from pathlib import Path

from ordeal import build, paths, runs, simulator, verdict
from ordeal.commands import sim
from ordeal.errors import HARNESS, PASS, USAGE, OrdealError
from ordeal.terminal import Terminal


def seed(number: int, words: list[str], arguments, terminal: Terminal) -> int:
    """A seed as `ordeal sim` would play it with the same options."""
    build.ensure(terminal, ("ordeal-sim",))
    known, where = _recorded(number, words)
    return _play(["--seed", str(number), *words, *([] if known else ["--twice"])], f"replay-{number}", known, where, arguments, terminal)


def stored(folder: Path, arguments, terminal: Terminal) -> int:
    """A stored world from its scenario.yaml, with the bugs that were switched on then."""
    build.ensure(terminal, ("ordeal-sim",))
    trial = json.loads((folder / "trial.json").read_text()) if (folder / "trial.json").is_file() else {}
    words = ["--scenario", str(folder / "scenario.yaml")]
    words += [word for bug in trial.get("mutations") or [] for word in ("--mutate", bug)]
    known = trial.get("digest")
    return _play([*words, *([] if known else ["--twice"])], f"replay-{trial.get('seed', folder.name)}", known, paths.shown(folder), arguments, terminal)


def _recorded(number: int, words: list[str]) -> tuple[str | None, str]:
    """The digest that the newest sweep with these options and this commit wrote down for the seed."""
    from ordeal import facts

    commit = facts.versions().get("commit")
    for path in sorted(paths.runs_dir().glob("*/sim.json"), reverse=True):
        try:
            document = json.loads(path.read_text())
        except ValueError:
            continue
        if document.get("words") == words and document.get("versions", {}).get("commit") == commit and "local changes" not in commit:
            for row in document.get("worlds", []):
                if row.get("seed") == number and row.get("digest"):
                    return row["digest"], paths.shown(path)
    return None, ""


def _play(words: list[str], name: str, known: str | None, where: str, arguments, terminal: Terminal) -> int:
    folder = runs.create(name, None)
    terminal.live("replay", " ".join(words))
    row = _traced(words, folder, terminal) if arguments.trace else simulator.world([*words, "--keep", "--out", str(folder)])
    kept = Path(row["folder"]) if row.get("folder") else folder
    same = row.get("digest") == known if known else row["exit"] != HARNESS and "--twice" in words
    if known:
        says = f"digest {row.get('digest')}: " + (f"equal to the stored one ({where})" if same else f"NOT the stored one, {known} ({where})")
    else:
        says = f"digest {row.get('digest')}: " + ("no earlier one is stored; played twice, the same both times" if same else "played twice, NOT the same")
    page = verdict.render(kept) if (kept / "verdict.json").is_file() else None
    code = row["exit"] if same else HARNESS
    if arguments.json:
        print(json.dumps(row | {"exit": code, "stored_digest": known, "same": same, "report": str(page) if page else None}))
    terminal.line(sim.line_of({k: v for k, v in row.items() if k != "folder"}))
    if row["exit"] == PASS and row.get("sentence"):
        terminal.line(f"    {row['sentence']}")
    terminal.line(f"  {says}")
    if not same and row.get("said"):
        terminal.line(f"  {row['said']}")
    if not same and known:
        terminal.line("  next: another build explains it (trial.json and sim.json name theirs); with the same one it is a bug of the simulator")
    if page:
        terminal.line(f"  report  {paths.shown(page)}")
    return code


def _traced(words: list[str], folder: Path, terminal: Terminal) -> dict:
    """As simulator.world, but showing the program's line an event; the line of JSON is the world's."""
    command = [simulator.program(), *[w for w in words if w != "--twice"], "--keep", "--out", str(folder), "--trace", "--json"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    row = None
    try:
        for line in child.stdout:
            if line.startswith("{") and line.endswith("}\n"):
                row = json.loads(line)
            else:
                terminal.line(line.rstrip("\n"))
        said = child.stderr.read().strip()
        child.wait()
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    if child.returncode == USAGE:
        raise OrdealError(said.splitlines()[0] if said else "the simulator refused its options", "./ordeal replay --help", USAGE)
    if child.returncode not in simulator.KNOWN_CODES or row is None:
        raise OrdealError(f"the simulator ended with code {child.returncode}", f"again: {' '.join(command)}", HARNESS, said)
    row |= {"exit": child.returncode, "said": said}
    if "--twice" in words:  # the trace is of one run; the second is played without one
        again = simulator.world([w for w in words if w != "--twice"])
        if again.get("digest") != row.get("digest"):
            row["exit"] = HARNESS
    return row
