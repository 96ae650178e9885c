"""`ordeal bench broker`: start-up, memory, throughput, latency at a fixed rate, failover."""

import shutil
from pathlib import Path

from ordeal.bench.cluster import Cluster, failover, median
from ordeal.terminal import Terminal

PARTITIONS = 6
KILL = {"do": "proc.kill", "on": "leader(f/0)"}
CUT = {"do": "net.partition", "on": "leader(f/0)", "params": {"shape": "isolate"}}


class Plan:
    """How long each part takes; `quick` is for a look, not for the record."""

    def __init__(self, quick: bool):
        self.starts = 3 if quick else 7
        self.produce_s = 2 if quick else 5
        self.latency_s = 3 if quick else 10
        self.failovers = 2 if quick else 7
        self.hold_s = 8
        self.settle_s = 2


def measure(folder: Path, preset: str, quick: bool, terminal: Terminal) -> dict:
    plan = Plan(quick)
    figures = {"start": _start(folder / "start", preset, plan, terminal), "throughput": [], "latency": []}
    for nodes in (1, 3):
        for fsync in (True, False):
            with Cluster(folder / f"t{nodes}{'f' if fsync else 'p'}", nodes, fsync, preset) as cluster:
                figures["throughput"] += _throughput(cluster, nodes, fsync, plan, terminal)
                figures["latency"].append(_latency(cluster, nodes, fsync, plan, terminal))
            shutil.rmtree(cluster.folder, ignore_errors=True)
    figures["small"] = _small(folder / "small", preset, plan, terminal)
    figures["failover"] = _failover(folder / "failover", preset, plan, terminal)
    return figures


def _start(folder: Path, preset: str, plan: Plan, terminal: Terminal) -> dict:
    serving, resident = [], []
    for i in range(plan.starts):
        terminal.live("start-up", f"{i + 1}/{plan.starts}")
        with Cluster(folder / str(i), 1, True, preset) as cluster:
            serving.append(cluster.serving_ms[0])
            resident.append(cluster.resident_mb())
        shutil.rmtree(cluster.folder, ignore_errors=True)
    return {"serving_ms": median(serving), "serving_ms_max": max(serving), "idle_resident_mb": median(resident)}


def _throughput(cluster: Cluster, nodes: int, fsync: bool, plan: Plan, terminal: Terminal) -> list[dict]:
    rows = []
    for acks in ("1", "all"):
        topic = f"p{acks}"
        terminal.live("produce", f"{nodes} broker(s), {'fsync' if fsync else 'page cache'}, acks={acks}")
        cluster.topic(topic, PARTITIONS, min(nodes, 3))
        cpu = cluster.cpu_seconds()
        produced = cluster.load("produce", "--topic", topic, "--partitions", PARTITIONS, "--acks", acks, "--size", 1024, "--seconds", plan.produce_s)
        cpu = cluster.cpu_seconds() - cpu
        fetched = cluster.load("fetch", "--topic", topic, "--partitions", PARTITIONS, "--seconds", plan.produce_s)
        gigabytes = produced["acked"] * 1024 / 1e9  # the warm-up was written too
        rows.append({"brokers": nodes, "durability": "fsync" if fsync else "page-cache", "acks": acks, "size": 1024,
                     "produce_records_per_s": produced["records_per_s"], "produce_mb_per_s": produced["mb_per_s"],
                     "errors": produced["errors"], "latency_us": produced["latency_us"], "fetch_mb_per_s": fetched["mb_per_s"],
                     "fetch_records_per_s": fetched["records_per_s"], "broker_cpu_s_per_gb": cpu / gigabytes if gigabytes else None})
    return rows


def _latency(cluster: Cluster, nodes: int, fsync: bool, plan: Plan, terminal: Terminal) -> dict:
    terminal.live("latency", f"{nodes} broker(s), {'fsync' if fsync else 'page cache'}, 1000 records/s")
    cluster.topic("latency", PARTITIONS, min(nodes, 3))
    produced = cluster.load("produce", "--topic", "latency", "--partitions", PARTITIONS, "--acks", "all", "--size", 1024, "--rate", 1000,
                            "--linger-ms", 0, "--seconds", plan.latency_s)
    return {"brokers": nodes, "durability": "fsync" if fsync else "page-cache", "acks": "all", "rate": 1000, "size": 1024,
            "latency_us": produced["latency_us"], "errors": produced["errors"]}


def _small(folder: Path, preset: str, plan: Plan, terminal: Terminal) -> dict:
    """Records of 100 bytes into one leader, three replicas, acks=all, fsync: what the target of 100,000/s is about."""
    terminal.live("small", "100-byte records into one leader, RF 3, acks=all, fsync")
    with Cluster(folder, 3, True, preset) as cluster:
        cluster.topic("s", 1, 3, min_insync_replicas=2)
        produced = cluster.load("produce", "--topic", "s", "--partitions", 1, "--acks", "all", "--size", 100, "--seconds", plan.produce_s)
    shutil.rmtree(folder, ignore_errors=True)
    return {"brokers": 3, "durability": "fsync", "acks": "all", "size": 100, "records_per_s": produced["records_per_s"],
            "mb_per_s": produced["mb_per_s"], "errors": produced["errors"], "latency_us": produced["latency_us"]}


def _failover(folder: Path, preset: str, plan: Plan, terminal: Terminal) -> dict:
    figures = {}
    with Cluster(folder, 3, True, preset) as cluster:
        cluster.topic("f", 1, 3, min_insync_replicas=2)
        for name, step in (("sigkill", KILL), ("cut_off", CUT)):
            times = []
            for i in range(plan.failovers):
                terminal.live("failover", f"{name} {i + 1}/{plan.failovers}")
                times.append(failover(cluster, "f", step, plan.settle_s, plan.hold_s))
            figures[name] = {"median_ms": median(times), "min_ms": min(times), "max_ms": max(times), "samples_ms": times}
    shutil.rmtree(folder, ignore_errors=True)
    figures["cut_to_kill_ratio"] = figures["cut_off"]["median_ms"] / figures["sigkill"]["median_ms"]
    return figures


def show(terminal: Terminal, figures: dict) -> None:
    start = figures["start"]
    terminal.line(f"\nstart-up to serving   {start['serving_ms']:.0f} ms (aim: under 300)   idle memory {start['idle_resident_mb']:.0f} MB (aim: under 100)")
    terminal.line(f"\n{'1 KiB records':<26}{'acks':>5}{'produce/s':>12}{'MB/s':>8}{'p50 ms':>9}{'p99 ms':>9}{'p99.9 ms':>10}{'fetch MB/s':>12}{'CPU s/GB':>10}")
    for row in figures["throughput"]:
        q = row["latency_us"]
        name = f"{row['brokers']} broker{'s' if row['brokers'] > 1 else ''}, {row['durability']}"
        terminal.line(f"{name:<26}{row['acks']:>5}{row['produce_records_per_s']:>12,.0f}{row['produce_mb_per_s']:>8.1f}{q['p50'] / 1e3:>9.1f}"
                      f"{q['p99'] / 1e3:>9.1f}{q['p999'] / 1e3:>10.1f}{row['fetch_mb_per_s']:>12.1f}{row['broker_cpu_s_per_gb'] or 0:>10.1f}")
    terminal.line(f"\n{'latency at 1000 records/s':<26}{'acks':>5}{'p50 ms':>12}{'p99 ms':>8}{'p99.9 ms':>9}")
    for row in figures["latency"]:
        q = row["latency_us"]
        name = f"{row['brokers']} broker{'s' if row['brokers'] > 1 else ''}, {row['durability']}"
        terminal.line(f"{name:<26}{row['acks']:>5}{q['p50'] / 1e3:>12.2f}{q['p99'] / 1e3:>8.2f}{q['p999'] / 1e3:>9.2f}")
    small = figures["small"]
    terminal.line(f"\n100-byte records into one leader, RF 3, acks=all, fsync   {small['records_per_s']:,.0f}/s (aim: at least 100,000)")
    for name, words in (("sigkill", "SIGKILL of the leader"), ("cut_off", "leader cut off")):
        row = figures["failover"][name]
        terminal.line(f"{words:<22} to the next acknowledged write: median {row['median_ms']:.0f} ms, {row['min_ms']:.0f} to {row['max_ms']:.0f} ms"
                      f"{' (aim: under 1000)' if name == 'sigkill' else ''}")
    terminal.line("\nratios within this run: " + ", ".join(_ratios(figures)))


def _ratios(figures: dict) -> list[str]:
    rows = {(r["brokers"], r["durability"], r["acks"]): r["produce_mb_per_s"] for r in figures["throughput"]}
    pairs = (((3, "page-cache", "all"), (3, "fsync", "all"), "page cache to fsync, 3 brokers, acks=all"),
             ((3, "fsync", "1"), (3, "fsync", "all"), "acks=1 to acks=all, 3 brokers, fsync"),
             ((1, "fsync", "all"), (3, "fsync", "all"), "1 to 3 brokers, acks=all, fsync"))
    words = [f"{text} {rows[a] / rows[b]:.2f}" for a, b, text in pairs if rows.get(b)]
    return [*words, f"cut off to SIGKILL {figures['failover']['cut_to_kill_ratio']:.2f}"]
