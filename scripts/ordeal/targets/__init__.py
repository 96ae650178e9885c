"""The brokers that a trial can be held with, by the name that --target takes.

A target is one module of this folder that has `TARGET`, a subclass of base.Target; nothing else names it. One of somebody
else's is such a file anywhere, by its path (`--target mine.py`). Modules are imported only for the options of `run` and `soak`,
so they must not import anything heavy at the top.
"""

import difflib
import importlib
import importlib.util
import pkgutil
from pathlib import Path

from ordeal.errors import usage
from ordeal.targets.base import Target

DEFAULT = "ordeal"


def all_targets() -> dict[str, type[Target]]:
    found = {}
    for module in pkgutil.iter_modules(__path__):
        target = getattr(importlib.import_module(f"{__name__}.{module.name}"), "TARGET", None)
        if target:
            found[target.name] = target
    return dict(sorted(found.items()))


def find(name: str) -> type[Target]:
    if name.endswith(".py"):
        return from_file(Path(name))
    known = all_targets()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise usage(f"there is no target '{name}'{f'; did you mean {near[0]}?' if near else ''}", f"one of: {', '.join(known)}")
    return known[name]


def from_file(path: Path) -> type[Target]:
    """A target that is no part of the project: a file with TARGET in it. It has no options of its own."""
    if not path.is_file():
        raise usage(f"there is no target file {path}", f"a file, or one of: {', '.join(all_targets())}")
    spec = importlib.util.spec_from_file_location(f"ordeal_target_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a file of somebody else's raises
        raise usage(f"{path} cannot be loaded: {type(error).__name__}: {error}", "docs/targets.md shows how to write one") from error
    target = getattr(module, "TARGET", None)
    if not (isinstance(target, type) and issubclass(target, Target)):
        raise usage(f"{path} has no TARGET that is a targets.base.Target", "docs/targets.md shows how to write one")
    return target


def add_options(p) -> None:
    p.add_argument("--target", metavar="NAME", help=f"the broker under test: {', '.join(all_targets())} (default {DEFAULT})")
    for target in all_targets().values():
        target.add_options(p)


def options_of(name: str, arguments) -> dict:
    """What was given for the target's own options; those of another target are refused rather than ignored."""
    mine = find(name).OPTIONS
    for other in all_targets().values():
        for option in other.OPTIONS:
            if option not in mine and getattr(arguments, option, None) is not None:
                raise usage(f"--{option.replace('_', '-')} needs --target {other.name}")
    return {option: getattr(arguments, option, None) for option in mine if getattr(arguments, option, None) is not None}
