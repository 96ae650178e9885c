"""Exit codes, and the one exception that carries them.

A trial that could not be held is never dressed as a pass: everything that goes wrong outside the judged cluster
becomes an OrdealError with HARNESS (or UNKNOWN, where the history exists but cannot be judged).
"""

PASS = 0
VIOLATION = 1
UNKNOWN = 2
HARNESS = 3
USAGE = 64
INTERRUPTED = 130

VERDICT_CODES = {"pass": PASS, "fail": VIOLATION, "unknown": UNKNOWN}


OUTCOME_WORDS = {PASS: "passed", VIOLATION: "failed", UNKNOWN: "unknown", HARNESS: "harness failed"}


def worst(codes: list[int]) -> int:
    """Of several outcomes: a violation outweighs everything, then a harness that failed, then unknown."""
    return next((code for code in (VIOLATION, HARNESS, UNKNOWN) if code in codes), PASS)


class OrdealError(Exception):
    """What went wrong, what to do about it, and the exit code that says whose fault it was."""

    def __init__(self, message: str, hint: str = "", code: int = HARNESS, detail: str = ""):
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.detail = detail  # shown before the message, as it is (compiler output, the end of a log)


def usage(message: str, hint: str = "") -> OrdealError:
    return OrdealError(message, hint or "the command with --help shows its options", USAGE)
