"""A cluster that runs already and is not ours: `--target external --bootstrap host:port[,host:port]`.

Clients run in the caller's own network, where the addresses that the brokers advertise mean what they say (loopback too), and
nothing of the host's network is touched. So faults act on clients only: their processes can be stopped and resumed, with all
their requests in flight. A step of the plan that needs a broker or a link is left out and named; one that is `required` is
refused, and so is a plan that has nothing left but wants faults. What happens inside the cluster meanwhile is its owner's
doing: nothing is claimed about it.
"""

import re
import socket
import struct
import time

from ordeal.errors import HARNESS, OrdealError, usage
from ordeal.targets.base import Target, no_mutations
from ordeal.terminal import Terminal, count

ANSWER_S = 10
METADATA, VERSION = 3, 1
CLIENT_ROLES = re.compile(r"(client|clients|c\d+|one|same|\(|\)|\||&|-|\s)*")  # words that name client hosts only
OF_CLIENTS = ("client", "clients")


class ExternalCluster(Target):
    name = "external"
    title = "a cluster of somebody else's"
    OPTIONS = ("bootstrap",)
    defaults = {"plan": "clients"}
    controlled = False
    quorum = False  # Kafka tells who the controller is on its client port too; others need not
    traces = False
    connect_s = 60

    def __init__(self, spec):
        super().__init__(spec)
        self._brokers: dict[int, tuple[str, int]] = {}
        self._left_out: list[str] = []

    @classmethod
    def add_options(cls, p) -> None:
        p.add_argument("--bootstrap", metavar="HOST:PORT,...", help="with --target external: brokers of the cluster to try")

    def make_ready(self, terminal: Terminal) -> None:
        no_mutations(self.spec, "a cluster that is not ours")
        if self.spec.settings:
            raise usage(f"--set {next(iter(self.spec.settings))}: the brokers run already, and are not ours to configure")
        servers = endpoints(self.spec.target_options.get("bootstrap"))
        self._trim_plan(terminal)
        self._brokers = ask_any(servers)
        for node, (host, port) in self._brokers.items():
            if not numeric(host):
                raise usage(f"broker {node} is advertised as {host}:{port}, and the auditor needs an IPv4 address there", "advertised.listeners with one")
        if self.spec.rf > len(self._brokers):
            raise usage(f"--rf {self.spec.rf}: the cluster has {count(len(self._brokers), 'broker')}", f"--rf {len(self._brokers)} --min-isr 1")
        self.spec.nodes = len(self._brokers)
        self.spec.topic = f"ordeal-{self.spec.seed}-{time.strftime('%Y%m%dT%H%M%S')}"  # what is there already is not ours to write to

    def _trim_plan(self, terminal: Terminal) -> None:
        self.spec.plan_text, self._left_out = possible_part(self.spec.plan_name, self.spec.plan_text, self.spec.min_faults)
        for words in self._left_out:
            terminal.line(f"  not possible here: {words}")

    def nodes(self) -> list[int]:
        return sorted(self._brokers)

    def address(self, node: int) -> str:
        return "%s:%d" % self._brokers[node]

    def hosts(self) -> list[dict]:
        return []

    def bootstrap(self) -> str:
        return ",".join(self.address(n) for n in self.nodes())

    def watched(self, node: int) -> dict:
        return {"id": node, "client": self.address(node), "control": self.address(node)}

    def versions(self) -> dict:
        return {"cluster": f"{count(len(self._brokers), 'broker')} at {self.bootstrap()}; it keeps the topic {self.spec.topic}"}

    def settings(self) -> dict:
        return {"min.insync.replicas": str(self.spec.min_isr)}  # of the topic that is made

    def not_covered(self) -> list[str]:
        return ["every fault of brokers, links between them and disks: the cluster is not ours. If brokers died "
                "or lost power meanwhile, this trial does not know, and what they lost then is found but not explained",
                *(f"left out of the plan: {words}" for words in self._left_out)]


# ---- the plan's possible part ----

def possible_part(name: str, text: str, wanted: int) -> tuple[str, list[str]]:
    """The plan without what needs brokers or links, and what that was, in words."""
    import yaml

    plan = yaml.load(text, yaml.BaseLoader)  # every scalar stays the text that it was: `on` is a key, not a boolean
    kept, left_out = _split(plan.get("steps") or [], name, "step")
    if plan.get("steps"):
        plan["steps"] = kept
    random = plan.get("random") or {}
    chosen, not_chosen = _choices(random.get("choose") or [], name)
    if chosen:
        random["choose"] = chosen
    else:
        plan.pop("random", None)
    left_out += not_chosen
    if not left_out:
        return text, []
    if not kept and not chosen and wanted:
        raise usage(f"plan {name}: none of its faults is possible on a cluster that is not ours, only pauses of clients are",
                    "--plan clients, or --plan none to look without faults")
    plain = type("Plain", (yaml.SafeDumper,), {"yaml_implicit_resolvers": {}})  # nothing needs quotes to stay text
    return yaml.dump(plan, Dumper=plain, sort_keys=False), left_out


def _choices(choices: list, plan: str) -> tuple[list, list[str]]:
    kept, left_out = [], []
    for choice in choices:
        if "steps" in choice:  # a manoeuvre means something only as a whole
            _, missing = _split(choice["steps"], plan, "step")
            if missing:
                left_out.append(f"the manoeuvre {choice.get('name', '?')}")
            else:
                kept.append(choice)
        elif _possible(choice, set()):
            kept.append(choice)
        else:
            left_out.append(_words(choice))
    return kept, list(dict.fromkeys(left_out))


def _split(steps: list, plan: str, word: str) -> tuple[list, list[str]]:
    kept, left_out, known = [], [], set()
    for step in steps:
        when = step.get("when")
        waits = [when.get("after"), when.get("since")] if isinstance(when, dict) else []
        if _possible(step, known) and all(w is None or w in known for w in waits):
            kept.append(step)
            known.add(step.get("id"))
            continue
        if step.get("required") == "true":
            raise usage(f"plan {plan}: its {word} {step.get('id', '?')} is required and not possible on a cluster that is not ours "
                        f"({_words(step)})", "only proc.pause on clients is possible with --target external")
        left_out.append(f"{word} {step.get('id', '?')}, {_words(step)}")
    return kept, left_out


def _possible(step: dict, known: set) -> bool:
    on = step.get("on")
    if step.get("do") != "proc.pause" or not isinstance(on, str):
        return False
    words = re.sub(r"\bsame\(([^()]*)\)", lambda m: "client" if m[1].strip() in known else "nobody", on)
    return CLIENT_ROLES.fullmatch(words) is not None and (any(w in words for w in OF_CLIENTS) or re.search(r"\bc\d+\b", words) is not None)


def _words(step: dict) -> str:
    on = step.get("on")
    target = f"{on.get('from', 'any')} to {on.get('to', 'any')}" if isinstance(on, dict) else on
    return f"{step.get('do', '?')} on {target}"


# ---- who is in the cluster ----

def endpoints(text: str | None) -> list[tuple[str, int]]:
    if not text:
        raise usage("--target external needs to know where the cluster is", "--bootstrap host:port[,host:port]")
    found = []
    for part in text.split(","):
        host, sign, port = part.strip().rpartition(":")
        if not sign or not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise usage(f"--bootstrap {part.strip()}: not host:port")
        found.append((host.strip("[]"), int(port)))
    return found


def numeric(host: str) -> bool:
    try:
        socket.inet_aton(host)
        return host.count(".") == 3
    except OSError:
        return False


def ask_any(servers: list[tuple[str, int]]) -> dict[int, tuple[str, int]]:
    said = []
    for host, port in servers:
        try:
            if brokers := ask(host, port):
                return brokers
            said.append(f"{host}:{port}: it knows of no broker")
        except (OSError, struct.error, ValueError) as error:
            said.append(f"{host}:{port}: {error or type(error).__name__}")
    raise OrdealError("no broker of the cluster answers", "is it running, and reachable from here without TLS or a password?", HARNESS, "\n".join(said))


def ask(host: str, port: int) -> dict[int, tuple[str, int]]:
    """One Metadata request for no topic: node id -> advertised host and port."""
    client = b"ordeal"
    request = struct.pack(">hhih", METADATA, VERSION, 1, len(client)) + client + struct.pack(">i", 0)
    with socket.create_connection((host, port), ANSWER_S) as link:
        link.sendall(struct.pack(">i", len(request)) + request)
        size, = struct.unpack(">i", _exactly(link, 4))
        if not 8 <= size <= 1 << 20:
            raise ValueError("what answers there does not speak Kafka's protocol")
        body = _exactly(link, size)
    correlation, number = struct.unpack_from(">ii", body)
    if correlation != 1 or number < 0:
        raise ValueError("what answers there does not speak Kafka's protocol")
    brokers, at = {}, 8
    for _ in range(number):
        node, at = struct.unpack_from(">i", body, at)[0], at + 4
        name, at = _text(body, at)
        port, at = struct.unpack_from(">i", body, at)[0], at + 4
        _, at = _text(body, at)  # the rack
        brokers[node] = (name, port)
    return brokers


def _text(body: bytes, at: int) -> tuple[str, int]:
    size, at = max(0, struct.unpack_from(">h", body, at)[0]), at + 2
    return body[at:at + size].decode(), at + size


def _exactly(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = link.recv(size - len(data))
        if not more:
            raise ValueError("it closed the connection instead of answering")
        data += more
    return data


TARGET = ExternalCluster
