"""Talks to ordeal-nemesis over its stdin and stdout (docs/formats/nemesis.md).

The nemesis is the parent of every broker and client and owns the network; this side only asks. It runs in a session of
its own, so that Ctrl-C in the terminal reaches us first; when we die, however we die, the end of its input makes it
heal, reap and leave.
"""

import collections
import json
import subprocess
import threading
import time
from pathlib import Path

from ordeal.errors import OrdealError

STDERR_SHOWN = 30  # lines
SHUTDOWN_S = 20


class Refused(Exception):
    """The nemesis answered a command with an error."""


class Pending:
    """A command that was sent; its reply may come later than others."""

    def __init__(self, owner: "Nemesis", number: int, cmd: str):
        self._owner, self._number, self.cmd = owner, number, cmd

    def done(self) -> bool:
        return self._number in self._owner.replies or not self._owner.alive()

    def wait(self, timeout: float) -> dict:
        with self._owner.changed:
            self._owner.changed.wait_for(self.done, timeout)
            reply = self._owner.replies.pop(self._number, None)
        if reply is None:
            if not self._owner.alive():
                raise self._owner.died()
            raise OrdealError(f"the fault injector did not answer '{self.cmd}' within {timeout:.0f} s")
        if not reply.get("ok"):
            raise Refused(str(reply.get("error", "no reason given")))
        return reply


class Nemesis:
    def __init__(self, program: Path, log: Path):
        self._log = log
        self._stderr = open(log, "ab")
        self._child = subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr,
                                       start_new_session=True)
        self.replies: dict[int, dict] = {}
        self.changed = threading.Condition()
        self._events = collections.deque()
        self._next = 0
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def alive(self) -> bool:
        return not self._ended

    def send(self, cmd: str, **fields) -> Pending:
        self._next += 1
        self._write({"cmd": cmd, "re": self._next, **fields})
        return Pending(self, self._next, cmd)

    def call(self, cmd: str, timeout: float = 30, **fields) -> dict:
        return self.send(cmd, **fields).wait(timeout)

    def tell(self, cmd: str, **fields) -> None:
        """A command whose reply nobody needs."""
        self._write({"cmd": cmd, **fields})

    def events(self) -> list[dict]:
        rows = []
        while self._events:
            rows.append(self._events.popleft())
        return rows

    def close(self) -> None:
        """Ends it whatever state it is in: asks, then closes its input, then kills; its children die with it."""
        try:
            self.tell("shutdown")
        except OrdealError:
            pass  # already gone, which is what we want
        try:
            self._child.stdin.close()
        except OSError:
            pass
        try:
            self._child.wait(SHUTDOWN_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._reader.join(5)
        self._stderr.close()

    def died(self) -> OrdealError:
        try:
            code = self._child.wait(2)
        except subprocess.TimeoutExpired:
            code = None
        lines = self._log.read_text(errors="replace").splitlines()[-STDERR_SHOWN:] if self._log.exists() else []
        return OrdealError(f"the fault injector ended by itself (code {code})", "./ordeal doctor", detail="\n".join(lines))

    def _write(self, message: dict) -> None:
        try:
            self._child.stdin.write((json.dumps(message) + "\n").encode())
            self._child.stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            time.sleep(0.2)  # so that its last words are in the log
            raise self.died() from error

    def _read(self) -> None:
        for line in self._child.stdout:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            with self.changed:
                if "re" in row:
                    self.replies[row["re"]] = row
                else:
                    self._events.append(row)
                self.changed.notify_all()
        with self.changed:
            self._ended = True
            self.changed.notify_all()
