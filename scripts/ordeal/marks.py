"""Coverage marks: rare branches of the broker and of the simulator that count how often they were taken."""

from ordeal.terminal import Terminal, count


def add(into: dict, more: dict) -> dict:
    for name, many in more.items():
        into[name] = into.get(name, 0) + many
    return into


def by_component(counts: dict) -> dict[str, list[tuple[str, int]]]:
    """Names are `component.what_happened`."""
    groups: dict[str, list[tuple[str, int]]] = {}
    for name in sorted(counts):
        groups.setdefault(name.split(".", 1)[0], []).append((name, counts[name]))
    return groups


def show(terminal: Terminal, counts: dict) -> None:
    """Reached marks with their counts, then what no world came to: that is where the next bug hides."""
    for component, rows in by_component(counts).items():
        reached = [f"{name.split('.', 1)[-1]} {many:,}" for name, many in rows if many]
        if reached:
            terminal.line(f"  {component}: {' · '.join(reached)}")
    never = [name for name, many in sorted(counts.items()) if not many]
    terminal.line(f"  never reached ({count(len(never), 'mark')}): {', '.join(never)}" if never else "  every mark was reached")
