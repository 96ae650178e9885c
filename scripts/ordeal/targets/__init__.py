"""The brokers that a trial can be held with, by the name that --target takes.

A target is one module of this folder that has `TARGET`, a subclass of base.Target; nothing else names it. Modules are
imported only for the options of `run` and `soak`, so they must not import anything heavy at the top.
"""

import difflib
import importlib
import pkgutil

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
    known = all_targets()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise usage(f"there is no target '{name}'{f'; did you mean {near[0]}?' if near else ''}", f"one of: {', '.join(known)}")
    return known[name]


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
