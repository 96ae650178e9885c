"""Reads what was added to a growing file of JSON lines. A half-written last line waits for its rest."""

import json
from pathlib import Path

LOG_LINES = 15


class Tail:
    def __init__(self, path: Path):
        self.path = Path(path)
        self._file = None
        self._rest = b""

    def read(self) -> list[dict]:
        if self._file is None:
            try:
                self._file = open(self.path, "rb")
            except FileNotFoundError:
                return []
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        rows = []
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                continue  # a program's plain words among its status lines
            if isinstance(row, dict):
                rows.append(row)
        return rows


def last_lines(path: Path) -> str:
    """The end of a log, for whoever has to say why its program gave up."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-LOG_LINES:]) if path.exists() else ""
