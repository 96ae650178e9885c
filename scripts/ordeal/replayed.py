"""Replays of simulated worlds: play them again, compare the digest, show the trace, draw the report.

The claim "this repeats exactly" is checked each time: against the digest of the stored world where there is one, against a
second run of the same world where there is none. Unequal digests are a failure of the harness.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ordeal import build, paths, runs, simulator, verdict
from ordeal.commands import sim
from ordeal.errors import HARNESS, PASS, USAGE, OrdealError
from ordeal.terminal import Terminal


def seed(number: int, words: list[str], arguments, terminal: Terminal) -> int:
    """A seed as `ordeal sim` would play it with the same options."""
    build.ensure(terminal, ("ordeal-sim",))
    known, where, same_build = _recorded(number, words)
    again = [] if same_build else ["--twice"]
    return _play(["--seed", str(number), *words, *again], f"replay-{number}", Stored(known, where, same_build), arguments, terminal)


def stored(folder: Path, arguments, terminal: Terminal) -> int:
    """A stored world from its scenario.yaml, with the bugs that were switched on then."""
    build.ensure(terminal, ("ordeal-sim",))
    trial = json.loads((folder / "trial.json").read_text()) if (folder / "trial.json").is_file() else {}
    words = ["--scenario", str(folder / "scenario.yaml")]
    words += [word for bug in trial.get("mutations") or [] for word in ("--mutate", bug)]
    known = trial.get("digest")
    stored_one = Stored(known, paths.shown(folder), bool(known))
    return _play([*words, *([] if known else ["--twice"])], f"replay-{trial.get('seed', folder.name)}", stored_one, arguments, terminal)


def _recorded(number: int, words: list[str]) -> tuple[str | None, str, bool]:
    """The digest that the newest sweep with these options wrote down for the seed, and whether this build must give it again."""
    from ordeal import facts

    commit = facts.versions().get("commit", "")
    for path in sorted(paths.runs_dir().glob("*/sim.json"), reverse=True):
        try:
            document = json.loads(path.read_text())
        except ValueError:
            continue  # a sweep that was killed while it wrote
        row = next((w for w in document.get("worlds", []) if w.get("seed") == number and w.get("digest")), None)
        if row and document.get("words") == words:
            same_build = commit != "" and "local changes" not in commit and document.get("versions", {}).get("commit") == commit
            return row["digest"], paths.shown(path), same_build
    return None, "", False


@dataclass
class Stored:
    digest: str | None
    where: str
    binding: bool  # this build must give that digest again


def _play(words: list[str], name: str, stored_one: Stored, arguments, terminal: Terminal) -> int:
    folder = runs.create(name, None)
    terminal.live("replay", " ".join(words))
    row = _traced(words, folder, terminal) if arguments.trace else simulator.world([*words, "--keep", "--out", str(folder)])
    kept = Path(row["folder"]) if row.get("folder") else folder
    same = row.get("digest") == stored_one.digest if stored_one.binding else row["exit"] != HARNESS
    page = verdict.render(kept) if (kept / "verdict.json").is_file() else None
    code = row["exit"] if same else HARNESS
    if arguments.json:
        print(json.dumps(row | {"exit": code, "stored_digest": stored_one.digest, "same": same, "report": str(page) if page else None}))
    terminal.line(sim.line_of({k: v for k, v in row.items() if k != "folder"}))
    if row["exit"] == PASS and row.get("sentence"):
        terminal.line(f"    {row['sentence']}")
    terminal.line(f"  {_compared(row.get('digest'), stored_one, same)}")
    if not same and row.get("said"):
        terminal.line(f"  {row['said']}")
    if not same and stored_one.binding:
        terminal.line("  next: another build explains it (trial.json and sim.json name theirs); with the same one it is a bug of the simulator")
    if page:
        terminal.line(f"  report  {paths.shown(page)}")
    return code


def _compared(digest: str | None, stored_one: Stored, same: bool) -> str:
    if stored_one.binding:
        return f"digest {digest}: " + (f"equal to the stored one ({stored_one.where})" if same else f"NOT the stored one, {stored_one.digest} ({stored_one.where})")
    twice = "played twice, the same both times" if same else "played twice, NOT the same"
    if not stored_one.digest:
        return f"digest {digest}: no earlier one is stored; {twice}"
    word = "equal to" if digest == stored_one.digest else f"not {stored_one.digest},"
    return f"digest {digest}: {word} the one stored by another build ({stored_one.where}); {twice}"


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
