"""The options of a trial, and what they resolve to. The command line wins over the plan, the plan over the defaults."""

import difflib
import random
import re
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ordeal import clients, paths
from ordeal.errors import usage

MAX_NODES = 7
PAGE_CACHE = "9223372036854775807"
PROMISES = ("declared", "durable", "ordered", "idempotent")
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
DEFAULTS = {"nodes": 3, "time": "60s", "plan": "mixed", "acks": "all", "idempotence": True, "min_isr": 2, "rf": 3,
            "partitions": 6, "producers": 4, "consumers": 4, "rate": 6000, "value_size": 100, "compression": "none",
            "durability": "fsync", "client": "librdkafka", "client_version": "", "clients": 2}
# Plan fields (under `workload:` and `cluster:`) that stand for an option of the same meaning.
PLAN_WORKLOAD = {"acks": "acks", "idempotence": "idempotence", "producers": "producers", "consumers": "consumers",
                 "rate": "rate", "value_size": "value_size", "compression": "compression", "client": "client", "client_version": "client_version",
                 "partitions": "partitions", "rf": "rf", "clients": "clients"}
PLAN_CLUSTER = {"nodes": "nodes", "min_isr": "min_isr", "rf": "rf", "durability": "durability"}


@dataclass
class Spec:
    """One trial, fully decided."""

    seed: int
    time_s: float
    nodes: int
    acks: int
    idempotence: bool
    min_isr: int
    rf: int
    partitions: int
    producers: int
    consumers: int
    clients: int
    rate: int
    value_size: int
    compression: str
    client: str
    durability: str
    promises: str
    plan_name: str
    plan_text: str
    min_faults: int
    required: list
    target: str = "ordeal"
    topic: str = "t"  # what the workload writes to
    client_version: str = ""
    target_options: dict = field(default_factory=dict)  # the target's own, by their names in OPTIONS
    mutations: list = field(default_factory=list)
    settings: dict = field(default_factory=dict)  # --set, Kafka's names
    workload_extra: dict = field(default_factory=dict)  # fields of the plan's workload that have no option
    keep: bool = False
    out: str | None = None
    command: str = ""

    @property
    def name(self) -> str:
        return f"log-{self.seed}" if self.target == "ordeal" else f"{Path(self.target).stem}-log-{self.seed}"


def add_trial_options(p) -> None:
    """Options without a default here have one in DEFAULTS; None means `not given`, so that a plan may decide."""
    from ordeal import targets

    targets.add_options(p)
    p.add_argument("--seed", type=int, metavar="N", help="draws the faults and the load (default: a random one, printed)")
    p.add_argument("--time", metavar="T", help="how long to drive and break: 60s, 2m (default 60s)")
    p.add_argument("--plan", metavar="FILE|NAME", help=f"fault plan: a file, or one of {', '.join(plan_names())} (default mixed)")
    p.add_argument("--nodes", type=int, metavar="N", help=f"brokers, 1 to {MAX_NODES} (default 3)")
    p.add_argument("--acks", choices=("0", "1", "all"), help="what producers wait for (default all)")
    p.add_argument("--idempotence", dest="idempotence", action="store_true", default=None, help="idempotent producers (default)")
    p.add_argument("--no-idempotence", dest="idempotence", action="store_false", help="plain producers")
    p.add_argument("--min-isr", type=int, metavar="N", help="min.insync.replicas (default 2)")
    p.add_argument("--rf", type=int, metavar="N", help="replicas of each partition (default 3)")
    p.add_argument("--partitions", type=int, metavar="N", help="partitions of the topic (default 6)")
    p.add_argument("--producers", type=int, metavar="N", help="producers over all client hosts (default 4)")
    p.add_argument("--consumers", type=int, metavar="N", help="assigned consumers over all client hosts (default 4)")
    p.add_argument("--clients", type=int, metavar="N", help="client hosts, each with its own network (default 2)")
    p.add_argument("--rate", type=int, metavar="N", help="records a second over all producers (default 6000; 0: no limit)")
    p.add_argument("--compression", choices=CODECS, help="codec of the producers (default none)")
    p.add_argument("--client", choices=clients.CHOICES, help="which Kafka client drives (default librdkafka)")
    p.add_argument("--client-version", metavar="V", help="with --client java: which release of kafka-clients (default the newest known here)")
    p.add_argument("--workload", choices=("log",), default="log", help="what the clients do (default log)")
    p.add_argument("--durability", choices=("fsync", "page-cache"), help="what an acknowledgement waits for (default fsync; Kafka: page-cache)")
    p.add_argument("--promise", choices=PROMISES, help="judge against this promise set (default: what the configuration declares)")
    p.add_argument("--mutate", action="append", default=[], metavar="NAME", help="switch a known bug on in every broker")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings", help="a broker setting, Kafka's name")
    p.add_argument("--keep", action="store_true", help="keep the brokers' data after a pass")
    p.add_argument("--out", metavar="DIR", help="the run's folder (default runs/<time>-<name>)")
    p.add_argument("--json", action="store_true", help="print the verdict as JSON on stdout; progress goes to stderr")


def plan_names() -> list[str]:
    return sorted(p.stem for p in paths.PLANS.glob("*.yaml"))


def seconds_of(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|)", text.strip())
    if not found:
        raise usage(f"--time {text}: not a duration", "write 90s, 2m or 500ms")
    return float(found[1]) * {"ms": 0.001, "s": 1, "": 1, "m": 60, "h": 3600}[found[2]]


def read_plan(name: str) -> tuple[str, str, dict]:
    """(name, text, fields) of a plan file or a built-in plan. What the plan means is the nemesis's to check."""
    import yaml

    path = Path(name)
    if not path.is_file():
        path = paths.PLANS / f"{name}.yaml"
        if not path.is_file():
            near = difflib.get_close_matches(name, plan_names(), n=1)
            raise usage(f"there is no plan '{name}'{f'; did you mean {near[0]}?' if near else ''}",
                        f"a file, or one of: {', '.join(plan_names())}")
    text = path.read_text()
    try:
        fields = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise usage(f"{path.name}: {' '.join(str(error).split())}", "docs/formats/plan.md shows the form")
    if not isinstance(fields, dict):
        raise usage(f"{path.name}: a plan is a mapping (name, steps, random, ...)", "docs/formats/plan.md shows the form")
    return str(fields.get("name") or path.stem), text, fields


def resolve(arguments) -> Spec:
    from ordeal import targets

    target = arguments.target or targets.DEFAULT
    target = str(Path(target).resolve()) if target.endswith(".py") else target  # so that a replay finds it from anywhere
    plan_name, plan_text, plan = read_plan(arguments.plan or targets.find(target).defaults.get("plan", DEFAULTS["plan"]))
    workload, cluster = plan.get("workload") or {}, plan.get("cluster") or {}
    for section, value in (("workload", workload), ("cluster", cluster)):
        if not isinstance(value, dict):
            raise usage(f"plan {plan_name}: {section} must be a mapping")
    chosen = DEFAULTS | targets.find(target).defaults
    chosen |= {PLAN_WORKLOAD[k]: v for k, v in workload.items() if k in PLAN_WORKLOAD}
    chosen |= {PLAN_CLUSTER[k]: v for k, v in cluster.items() if k in PLAN_CLUSTER}
    chosen |= {k: v for k, v in vars(arguments).items() if k in DEFAULTS and v is not None}
    if "time" in plan and not arguments.time:
        chosen["time"] = str(plan["time"])
    seed = arguments.seed if arguments.seed is not None else plan.get("seed")
    settings = {k: str(v) for k, v in (cluster.get("config") or {}).items()}
    settings |= dict(_setting(s) for s in arguments.settings)
    nodes, acks = int(chosen["nodes"]), str(chosen["acks"])
    given_rf = arguments.rf is not None or "rf" in cluster or "rf" in workload
    rf = int(chosen["rf"]) if given_rf else min(int(chosen["rf"]), nodes)
    given_min = arguments.min_isr is not None or "min_isr" in cluster
    spec = Spec(
        seed=random.SystemRandom().randrange(1, 1_000_000) if seed is None else int(seed), time_s=seconds_of(str(chosen["time"])),
        nodes=nodes, acks=-1 if acks in ("all", "-1") else int(acks), idempotence=bool(chosen["idempotence"]),
        min_isr=int(chosen["min_isr"]) if given_min else min(int(chosen["min_isr"]), rf), rf=rf,
        partitions=int(chosen["partitions"]), producers=int(chosen["producers"]), consumers=int(chosen["consumers"]),
        clients=int(chosen["clients"]), rate=int(chosen["rate"]), value_size=int(chosen["value_size"]),
        compression=chosen["compression"], client=chosen["client"], client_version=str(chosen["client_version"]), durability=chosen["durability"],
        promises=arguments.promise or plan.get("promises") or "declared", plan_name=plan_name, plan_text=plan_text,
        min_faults=int(plan.get("min_faults") or 0),
        required=[str(s.get("id", "")) for s in plan.get("steps") or [] if isinstance(s, dict) and s.get("required")],
        target=target, target_options=targets.options_of(target, arguments), mutations=list(arguments.mutate), settings=settings,
        workload_extra={k: v for k, v in workload.items() if k not in PLAN_WORKLOAD},
        keep=arguments.keep, out=arguments.out)
    if spec.acks != -1 and spec.idempotence and arguments.idempotence is None and "idempotence" not in workload:
        spec.idempotence = False  # as Kafka's own clients do: idempotence needs acks=all and yields when only acks is given
    _check(spec)
    spec.command = command_line(sys.argv[1:], spec.seed)
    return spec


def _setting(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise usage(f"--set {text}: write KEY=VALUE")
    return key.strip(), value.strip()


def _check(spec: Spec) -> None:
    rules = ((1 <= spec.nodes <= MAX_NODES, f"--nodes must be 1 to {MAX_NODES}"),
             (1 <= spec.rf <= spec.nodes, f"--rf {spec.rf}: there are {spec.nodes} brokers"),
             (1 <= spec.min_isr <= spec.rf, f"--min-isr {spec.min_isr}: there are {spec.rf} replicas"),
             (1 <= spec.partitions <= 1000, "--partitions must be 1 to 1000"),
             (1 <= spec.producers <= 100, "--producers must be 1 to 100"),
             (0 <= spec.consumers <= 100, "--consumers must be 0 to 100"),
             (1 <= spec.clients <= 20, "--clients must be 1 to 20"),
             (spec.client in clients.CHOICES, f"there is no client '{spec.client}': one of {', '.join(clients.CHOICES)}"),
             (spec.rate >= 0, "--rate must not be negative"),
             (1 <= spec.time_s <= 86400, "--time must be 1s to 24h"),
             (spec.seed >= 0, "--seed must not be negative"),
             (not (spec.idempotence and spec.acks != -1), "idempotent producers need acks=all: add --no-idempotence"))
    for holds, message in rules:
        if not holds:
            raise usage(message, "./ordeal run --help")


def command_line(argv: list[str], seed: int) -> str:
    """The command that repeats this trial: what was typed, with the seed that was drawn and without its output folder."""
    words, skip = [], False
    for word in argv:
        if skip:
            skip = False
        elif word == "--out":
            skip = True
        elif not word.startswith("--out="):
            words.append(word)
    if not any(w == "--seed" or w.startswith("--seed=") for w in words):
        words += ["--seed", str(seed)]
    return "./ordeal " + " ".join(shlex.quote(w) for w in words)
