"""The last section of the page: what was run, on what, and what was not covered. Label and value, in groups."""

from reports.model import Run, number, words_of


def facts(run: Run) -> list[tuple[str, list[tuple[str, str]]]]:
    trial = run.trial
    groups = [("The trial", _trial(run)),
              ("Versions", _flat(trial.get("versions"))),
              ("Broker settings that differ from the default", _flat(trial.get("config"))),
              ("Machine", _flat(trial.get("machine"))),
              ("Checker", _checker(run.verdict.get("checker") or {}))]
    return [(title, rows) for title, rows in groups if rows]


def _flat(value) -> list[tuple[str, str]]:
    """Nested settings as dotted names, so that every one of them fits a row."""
    rows = []
    for key, item in sorted((value or {}).items()):
        if isinstance(item, dict):
            rows += [(f"{key}.{k}", v) for k, v in _flat(item)]
        else:
            rows.append((key, "yes" if item is True else "no" if item is False else words_of(item)))
    return rows


def _trial(run: Run) -> list[tuple[str, str]]:
    trial, load = run.trial, run.trial.get("workload") or {}
    rows = [("run", words_of(run.verdict.get("run_id"))), ("started", words_of(trial.get("started"))),
            ("seed", words_of(trial.get("seed"))), ("plan", words_of(trial.get("plan"))),
            ("promises", words_of(run.verdict.get("promise_set"))),
            ("mutations", words_of(trial.get("mutations") or "none"))]
    if trial.get("world") == "sim":
        rows += [("digest", words_of(trial.get("digest"))), ("last draw", words_of(trial.get("last_draw")))]
    for key in ("name", "client", "producers", "consumers", "acks", "idempotence", "rate", "value_size", "compression"):
        if key in load:
            value = load[key]
            text = "yes" if value is True else "no" if value is False else words_of(value)
            rows.append((f"workload {key.replace('_', ' ')}", text))
    return rows


def _checker(checker: dict) -> list[tuple[str, str]]:
    rows = []
    if "load_s" in checker:
        rows.append(("history loaded in", f"{checker['load_s']:.3g} s"))
    if "check_s" in checker:
        rows.append(("checked in", f"{checker['check_s']:.3g} s"))
    if checker.get("ops_per_s"):
        rows.append(("speed", f"{number(round(checker['ops_per_s']))} operations/s"))
    if checker.get("bytes_per_op"):
        rows.append(("memory", f"{checker['bytes_per_op']:.1f} bytes an operation"))
    if checker.get("peak_rss"):
        rows.append(("peak memory", f"{checker['peak_rss'] / 2**20:.0f} MiB"))
    return rows
