"""Our own brokers in containers: `--target compose`. The image is compose/Dockerfile's, made from the built broker.

A node is two containers. The first only waits (`cat`) and holds a network namespace without a network (`network: none`), into
which the nemesis puts a cable of its switch, so that the same firewall table cuts containers and processes alike. The second is
the broker, in the namespaces of the first; kills, pauses and restarts act on what runs there (docs/formats/nemesis.md, launcher).
Both share a PID namespace, so when we die, however we die, the first one's input ends, and with it every process of the node.
"""

import atexit
import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from ordeal import layout, paths
from ordeal.errors import HARNESS, OrdealError
from ordeal.tail import last_lines
from ordeal.targets.base import Target, refused
from ordeal.terminal import Terminal, seconds

FILES = paths.ROOT / "compose"
HOME = Path("/var/lib/ordeal")  # the node's folder, as its container sees it
USER = 1000  # of the image
LABEL = "ordeal.trial"
PACKAGES = "apt-get install -y docker.io"
ENGINE = "start it: systemctl start docker, or dockerd as root; a trial starts no daemon"
ANSWER_S = 120  # a busy engine takes seconds for what takes it a tenth of one otherwise
BUILD_S = 900


class ComposeBrokers(Target):
    name = "compose"
    title = "ordeal in containers"
    start_s = 90
    connect_s = 60
    converge_s = 90
    stop_s = 40

    def __init__(self, spec):
        super().__init__(spec)
        self._docker = Docker()
        self._image = ""
        self._engine = ""
        self._holders: list[subprocess.Popen] = []
        self._pids: dict[int, int] = {}  # node -> process that holds its namespaces
        self._names: list[str] = []

    def make_ready(self, terminal: Terminal) -> None:
        self._engine = self._docker.engine()
        self._image = image(self._docker, terminal)

    def prepare(self, run: Path) -> None:
        sweep(self._docker)
        atexit.register(self.close)
        for node in self.nodes():
            config = self._write(run, node)
            done = subprocess.run([str(paths.binary("ordeal-broker")), "--config", str(config), "--check-config"], capture_output=True, text=True)
            if done.returncode != 0:
                raise refused("broker settings", done.returncode, done.stdout + done.stderr)
        try:
            for node in self.nodes():
                self._hold(run, node)
            for node in self.nodes():
                self._pids[node] = self._holder_pid(run, node)
                self._create(run, node)
        except BaseException:  # an interrupt too: nobody else would take them away before we end
            self.close()
            raise

    def _write(self, run: Path, node: int) -> Path:
        folder = self.folder(run, node)
        (folder / "data").mkdir(parents=True)
        path = folder / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in layout.node_properties(self.spec, node, HOME).items()))
        for owned in (folder, folder / "data"):
            os.chown(owned, USER, USER)
        return path

    def _container(self, run: Path, node: int) -> str:
        return f"ordeal-{run.name}-{os.getpid()}-n{node}"

    def _hold(self, run: Path, node: int) -> None:
        name = f"{self._container(run, node)}-net"
        self._names.append(name)
        log = open(self.folder(run, node) / "holder.log", "ab")
        self._holders.append(subprocess.Popen(
            [self._docker.program, "run", "-i", "--rm", "--name", name, "--label", f"{LABEL}={owner(os.getpid())}", "--network", "none",
             "--log-driver", "none", "--entrypoint", "/usr/bin/cat", self._image], stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True))
        log.close()

    def _holder_pid(self, run: Path, node: int) -> int:
        name, child, until, pid = self._names[node - 1], self._holders[node - 1], time.monotonic() + ANSWER_S, 0
        while child.poll() is None and time.monotonic() < until:
            done = self._docker.run("inspect", "-f", "{{.State.Pid}}", name, check=False)
            pid = int(done.stdout.strip() or 0) if done.returncode == 0 else 0
            if pid and program_of(pid) == b"cat":  # before that it is the runtime, on its way to becoming it
                return pid
            time.sleep(0.05)
        if pid and child.poll() is None:
            raise OrdealError(f"process {pid}, which Docker says holds {name}, is none of this machine", "the engine must run here, not in a container of its own")
        raise OrdealError(f"the container {name} did not start", f"why: {paths.shown(self.folder(run, node) / 'holder.log')}", HARNESS,
                          last_lines(self.folder(run, node) / "holder.log"))

    def _create(self, run: Path, node: int) -> None:
        name, holder = self._container(run, node), self._names[node - 1]
        self._names.append(name)
        # No restart policy: a killed broker comes back when the plan says so.
        self._docker.run("create", "--name", name, "--label", f"{LABEL}={owner(os.getpid())}", "--network", f"container:{holder}",
                         "--pid", f"container:{holder}", "--log-driver", "none", "--volume", f"{self.folder(run, node).resolve()}:{HOME}",
                         "--entrypoint", "/usr/bin/ordeal-broker", self._image, "--config", str(HOME / "server.properties"))

    def hosts(self) -> list[dict]:
        return [host | {"netns": f"/proc/{self._pids[node]}/ns/net"} for node, host in zip(self.nodes(), super().hosts())]

    def node(self, run: Path, node: int) -> dict:
        folder, log = self.folder(run, node), str(self.log(run, node))
        return {"id": f"n{node}", "kind": "node", "launcher": True, "argv": [self._docker.program, "start", "--attach", self._container(run, node)],
                "cwd": str(folder), "stdout": log, "stderr": log, "port": layout.CLIENT_PORT, "ready_timeout_ms": self.start_s * 1000,
                "trace": str(folder / "trace.jsonl"), "wait": True}

    def versions(self) -> dict:
        return {"docker": self._engine, "image": self._image} if self._image else {}

    def close(self) -> None:
        atexit.unregister(self.close)
        for child in self._holders:
            child.stdin.close()
        for child in self._holders:
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._holders.clear()
        names, self._names = self._names, []
        if names:
            with contextlib.suppress(OrdealError):  # an engine that hangs: their processes have ended, the next trial sweeps up
                self._docker.run("rm", "--force", "--volumes", *names, check=False)


class Docker:
    def __init__(self):
        self.program = shutil.which("docker") or ""

    def engine(self) -> str:
        """The engine's version; refuses what a trial cannot work with."""
        if not self.program:
            raise OrdealError("--target compose needs Docker, and there is none here", PACKAGES)
        if os.geteuid() != 0:
            raise OrdealError("--target compose needs root: links are put into the containers' network namespaces", "sudo ./ordeal run --target compose")
        if not os.environ.get("DOCKER_HOST", "unix://").startswith("unix://"):
            raise OrdealError(f"DOCKER_HOST is {os.environ['DOCKER_HOST']}: the containers must run on this machine", "unset DOCKER_HOST")
        done = self.run("version", "--format", "{{.Server.Version}}", check=False)
        if done.returncode != 0:
            raise OrdealError("no Docker engine answers", ENGINE, HARNESS, done.stderr.strip())
        return done.stdout.strip()

    def run(self, *words: str, check: bool = True, timeout: float = ANSWER_S) -> subprocess.CompletedProcess:
        try:
            done = subprocess.run([self.program, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise OrdealError(f"docker {words[0]} did not answer within {timeout:.0f} s", ENGINE) from error
        if check and done.returncode != 0:
            raise OrdealError(f"docker {words[0]} failed", "mend what it says above", HARNESS, (done.stdout + done.stderr).strip())
        return done


def image(docker: Docker, terminal: Terminal) -> str:
    """The image of this broker and these files, built if the engine does not have it; nothing is pulled."""
    broker = paths.binary("ordeal-broker")
    digest = hashlib.sha256(broker.read_bytes())
    for name in ("Dockerfile", "make-base.sh", "start-broker.sh", "broker.properties"):
        digest.update((FILES / name).read_bytes())
    tag = f"ordeal-broker:{digest.hexdigest()[:12]}"
    if docker.run("image", "inspect", tag, check=False).returncode == 0:
        return tag
    began = time.monotonic()
    terminal.live("build", "the broker's container image")
    with tempfile.TemporaryDirectory(prefix="ordeal-image-") as folder:
        done = subprocess.run([str(FILES / "make-base.sh"), folder], capture_output=True, text=True, env={**os.environ, "ORDEAL_BIN": str(broker.parent)})
        if done.returncode != 0:
            raise OrdealError("the container's root file system could not be made", "mend what is said above", HARNESS, done.stdout + done.stderr)
        docker.run("build", "--network", "none", "--label", "ordeal.image=1", "-t", tag, folder, timeout=BUILD_S)
    # Those of earlier builds of the broker; one that a container uses stays.
    for old in docker.run("image", "ls", "--filter", "label=ordeal.image", "--format", "{{.Repository}}:{{.Tag}}", check=False).stdout.split():
        if old != tag:
            docker.run("image", "rm", old, check=False)
    terminal.phase("build", f"image {tag} in {seconds(time.monotonic() - began)}")
    return tag


def owner(pid: int) -> str:
    """A process for ever: its pid and when it started."""
    try:
        return f"{pid}-{Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]}"
    except (OSError, IndexError):
        return f"{pid}-gone"


def program_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].split(b"/")[-1]
    except OSError:
        return b""


def sweep(docker: Docker) -> None:
    """Containers of trials that were killed: their processes are gone, their entries are not."""
    rows = docker.run("ps", "--all", "--filter", f"label={LABEL}", "--format", "{{.ID}} {{.Label \"" + LABEL + "\"}}").stdout.splitlines()
    for row in rows:
        container, _, whose = row.partition(" ")
        if owner(int(whose.partition("-")[0] or 0)) != whose:
            docker.run("rm", "--force", "--volumes", container, check=False)


TARGET = ComposeBrokers
