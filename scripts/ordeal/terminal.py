"""What the terminal shows: phase lines, one live line that is redrawn, colours that only support words.

Without a terminal (a pipe, CI, TERM=dumb) the live line becomes a plain line every few seconds and there are no
escape sequences at all. All of it goes to stdout, or to stderr when stdout carries JSON for a machine.
"""

import os
import shutil
import sys
import time

LABEL_WIDTH = 9
PLAIN_EVERY_S = 10.0

_COLOURS = {"green": "32", "red": "31", "yellow": "33", "blue": "34", "dim": "2", "bold": "1"}


class Terminal:
    def __init__(self, stream=None, json_mode: bool = False):
        self.stream = stream or (sys.stderr if json_mode else sys.stdout)
        self.tty = self.stream.isatty() and os.environ.get("TERM") not in (None, "dumb")
        self.colour = self.tty and "NO_COLOR" not in os.environ
        self._live_rows = 0
        self._last_plain = time.monotonic()

    def paint(self, text: str, *styles: str) -> str:
        if not self.colour:
            return text
        return f"\x1b[{';'.join(_COLOURS[s] for s in styles)}m{text}\x1b[0m"

    def line(self, text: str = "") -> None:
        self._erase_live()
        self.stream.write(text + "\n")
        self.stream.flush()

    def phase(self, label: str, text: str) -> None:
        """A finished step: `  start     3/3 brokers up in 0.21 s`."""
        self._last_plain = time.monotonic()
        self.line(f"  {self.paint(label.ljust(LABEL_WIDTH), 'bold')} {text}")

    def live(self, label: str, text: str, below: str = "") -> None:
        """Work in progress: redrawn in place on a terminal, a plain line now and then elsewhere."""
        if not self.tty:
            now = time.monotonic()
            if now - self._last_plain >= PLAIN_EVERY_S:
                self._last_plain = now
                self.line(f"  {label.ljust(LABEL_WIDTH)} {text}{' · ' + below if below else ''}")
            return
        self._erase_live()
        rows = [f"  {self.paint(label.ljust(LABEL_WIDTH), 'bold')} {self._fit(text)}"]
        if below:
            rows.append(f"  {' ' * LABEL_WIDTH} {self.paint(self._fit(below), 'dim')}")
        self.stream.write("\n".join(rows))
        self.stream.flush()
        self._live_rows = len(rows)

    def clear(self) -> None:
        self._erase_live()
        self.stream.flush()

    def _fit(self, text: str) -> str:
        room = shutil.get_terminal_size((100, 24)).columns - LABEL_WIDTH - 4
        return text if len(text) <= room else text[: max(0, room - 1)] + "…"

    def _erase_live(self) -> None:
        if self._live_rows:
            self.stream.write("\r\x1b[2K" + "\x1b[1A\x1b[2K" * (self._live_rows - 1))
            self._live_rows = 0


def seconds(value: float) -> str:
    """A duration a person reads: 85 ms, 2.31 s, 4 min 10 s."""
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 100:
        return f"{value:.3g} s"
    return f"{int(value) // 60} min {int(value) % 60} s"


def clock(value: float) -> str:
    """Time since the start of the trial: 00:41."""
    return f"{int(value) // 60:02d}:{int(value) % 60:02d}"


def count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
