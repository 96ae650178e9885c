"""Reads every #include "..." in the tree and fails on an arrow that ARCHITECTURE.md does not have.

The rules are in include_rules.py. The tests at the end feed the checks a wrong file each, so that a check that went
blind is noticed.
"""

import fnmatch
import re

import include_rules as rules
import pytest
from tree import ROOT

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
SUFFIXES = (".h", ".cpp", ".hpp", ".cc")
TOP_FOLDERS = ("broker", "faults", "workloads", "checker")
GENERATED = re.compile(r"\.pb\.h$")


def sources() -> list[str]:
    return sorted(str(p.relative_to(ROOT)) for top in TOP_FOLDERS for p in (ROOT / top).rglob("*") if p.suffix in SUFFIXES)


def folder_of(path: str) -> str | None:
    """The folder of rules.ALLOWED that a path lies in; the longest one wins."""
    owners = [f for f in rules.ALLOWED if path.startswith(f + "/")]
    return max(owners, key=len) if owners else None


def wrong_arrows(path: str, text: str) -> list[str]:
    own, found = folder_of(path), []
    allowed = rules.ALLOWED.get(own, set())
    if re.search(r"_(test|bench|fuzz)\.(cpp|h)$", path):
        allowed = allowed | rules.TEST_EXTRA.get(own, set())
    for target in INCLUDE.findall(text):
        to = folder_of(target)
        if to is None or to == own or to in allowed or (path, to) in rules.EXCEPTIONS:
            continue
        found.append(f"{path} includes {target}: {own} may not look at {to}")
    return found


def impure_decider(path: str, text: str) -> list[str]:
    if path.endswith("_test.cpp") or not any(fnmatch.fnmatch(path, pattern) for pattern in rules.DECIDER_FILES):
        return []
    includes = re.findall(r'#\s*include\s+[<"]([^>"]+)[>"]', text)
    return [f"{path} includes {i}: a decider has no I/O" for i in includes if i.startswith(rules.DECIDER_BANNED_INCLUDES)]


def without_comments(text: str) -> str:
    """Comments and string literals blanked, line structure kept."""
    pattern = r'//[^\n]*|/\*.*?\*/|R"\((?:.*?)\)"|"(?:\\.|[^"\\\n])*"'
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m[0]), text, flags=re.DOTALL)


def banned_calls(path: str, text: str) -> list[str]:
    exempt = path.startswith(rules.BANNED_EXEMPT) or path in rules.BANNED_EXCEPTIONS or re.search(r"_(test|bench|fuzz)\.", path)
    if not path.startswith(rules.BANNED_SCOPE) or exempt:
        return []
    found = []
    for number, line in enumerate(without_comments(text).splitlines(), 1):
        for pattern, instead in rules.BANNED:
            hit = re.search(pattern, line)
            if hit:
                found.append(f"{path}:{number}: {hit[0]} is banned here; use {instead}")
    return found


def sockets_elsewhere(path: str, text: str) -> list[str]:
    if path.startswith(rules.SOCKETS_ALLOWED):
        return []
    hits = re.finditer(rules.SOCKETS, text)
    return [f"{path}: {h[0]} outside {rules.SOCKETS_ALLOWED}" for h in hits]


CHECKS = (wrong_arrows, impure_decider, banned_calls, sockets_elsewhere)


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.__name__)
def test_tree_obeys(check):
    files = sources()
    assert len(files) > 20, "the tree was not found"
    found = [f for path in files for f in check(path, (ROOT / path).read_text(errors="replace"))]
    assert not found, "\n" + "\n".join(found)


def test_every_folder_of_code_has_a_row():
    unknown = sorted({p.rsplit("/", 1)[0] for p in sources() if folder_of(p) is None})
    assert not unknown, f"folders without a row in include_rules.ALLOWED: {unknown}"


def test_the_allowed_arrows_have_no_cycle():
    def visit(folder: str, path: tuple) -> None:
        assert folder not in path, " -> ".join((*path, folder))
        for below in rules.ALLOWED[folder]:
            visit(below, (*path, folder))

    for folder in rules.ALLOWED:
        visit(folder, ())


@pytest.mark.parametrize(("check", "path", "text"), [
    (wrong_arrows, "checker/check.cpp", '#include "broker/meta/raft.h"'),
    (wrong_arrows, "broker/replica/partition.cpp", '#include "broker/server/dispatch.h"'),
    (wrong_arrows, "faults/plan/plan.cpp", '#include "broker/env/env.h"'),
    (wrong_arrows, "broker/server/main.cpp", '#include "broker/real/sockets.h"'),
    (impure_decider, "broker/meta/raft.h", '#include "broker/env/task.h"'),
    (banned_calls, "broker/log/log.cpp", "auto now = std::chrono::steady_clock::now();"),
    (banned_calls, "broker/log/log.cpp", "std::unordered_map<int, int> index;"),
    (banned_calls, "broker/log/log.cpp", "int fd = ::open(path, O_RDONLY);"),
    (sockets_elsewhere, "workloads/client/native.cpp", "#include <boost/asio/ip/tcp.hpp>"),
])
def test_a_wrong_file_is_seen(check, path, text):
    assert check(path, text)


@pytest.mark.parametrize(("path", "text"), [
    ("checker/check.cpp", '#include "workloads/history/record.h"\n#include "checker/check.h"'),
    ("broker/real/main.cpp", '#include "broker/server/broker.h"'),
    ("broker/log/log.cpp", "// std::chrono::steady_clock is banned\nfail(\"std::thread\");"),
])
def test_a_right_file_passes(path, text):
    assert not [f for check in CHECKS for f in check(path, text)]
