#!/usr/bin/env python3
"""Integration test of ordeal-nemesis on real namespaces with small echo servers as nodes.

Usage: nemesis_test.py PATH-TO-ordeal-nemesis [test name...]. Exit 77 (skipped) where neither root nor user namespaces
are available. Everything happens inside namespaces that the program under test makes; nothing may be left afterwards.
"""
import glob
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
ECHO = r"""
import signal, socket, sys, threading
if "stubborn" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
else: signal.signal(signal.SIGTERM, lambda *a: __import__("os")._exit(143 if "jvm" in sys.argv else 0))
if "die" in sys.argv: sys.exit(7)
def serve(port):
    s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("0.0.0.0", port)); s.listen(50)
    while True:
        c, _ = s.accept()
        threading.Thread(target=lambda c=c: [c.send(d) for d in iter(lambda: c.recv(99), b"")], daemon=True).start()
for p in (9093, 9094): threading.Thread(target=serve, args=(p,), daemon=True).start()
serve(9092)
"""
CONNECT = r"""
import socket, sys
try:
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3]))
    s.send(b"hi"); print("ok" if s.recv(9) == b"hi" else "bad")
except OSError as e: print("no", e)
"""
HOLD = r"""
import socket, sys
s = socket.create_connection((sys.argv[1], 9092)); s.send(b"hi"); s.recv(9); print("held", flush=True)
open(sys.argv[2], "w").close()
try: print("end", s.recv(9))
except OSError as e: print("reset", type(e).__name__)
"""


class Nemesis:
    def __init__(self, binary, prefix=(), nodes=3, clients=2, setup=True, folder=None):
        self.folder = folder or tempfile.mkdtemp(prefix="nemesis-test-")
        os.chmod(self.folder, 0o777)
        self.process = subprocess.Popen([*prefix, binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.events, self.replies, self.next = [], {}, 0
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.faults = os.path.join(self.folder, "faults.jsonl")
        if setup:
            self.setup = self.call("setup", faults=self.faults,
                                   nodes=[{"id": f"n{i}", "ip": f"10.77.0.{10 + i}"} for i in range(1, nodes + 1)],
                                   clients=[{"id": f"c{j}", "ip": f"10.77.0.{100 + j}"} for j in range(1, clients + 1)])

    def _read(self):
        for line in self.process.stdout:
            value = json.loads(line)
            with self.changed:
                if "re" in value:
                    self.replies[value["re"]] = value
                else:
                    self.events.append(value)
                self.changed.notify_all()
        with self.changed:
            self.replies[None] = {"ok": False, "error": "the nemesis has ended"}
            self.changed.notify_all()

    def send(self, cmd, **fields):
        self.next += 1
        self.process.stdin.write(json.dumps({"cmd": cmd, "re": self.next, **fields}) + "\n")
        self.process.stdin.flush()
        return self.next

    def answer(self, re, timeout=15):
        with self.changed:
            assert self.changed.wait_for(lambda: re in self.replies or None in self.replies, timeout), f"no reply {re}"
            return self.replies.get(re) or self.replies[None]

    def call(self, cmd, **fields):
        reply = self.answer(self.send(cmd, **fields))
        assert reply["ok"], f"{cmd} {fields}: {reply}"
        return reply

    def refused(self, cmd, **fields):
        reply = self.answer(self.send(cmd, **fields))
        assert not reply["ok"], f"{cmd} {fields} was not refused: {reply}"
        return reply["error"]

    def event(self, name, timeout=10, **fields):
        found = []

        def match():
            found[:] = [e for e in self.events if e.get("event") == name and all(e.get(k) == v for k, v in fields.items())]
            return bool(found)
        with self.changed:
            assert self.changed.wait_for(match, timeout), f"no event {name} {fields} in {self.events[-8:]}"
        return found[0]

    def node(self, number, *arguments, wait=True, **more):
        log = os.path.join(self.folder, f"n{number}.log")
        call = self.call if wait else self.send
        return call("spawn", id=f"n{number}", argv=[PYTHON, "-c", ECHO, *arguments], stdout=log, wait=wait, **more)

    def reaches(self, host, ip, port=9092, timeout=0.4):
        reply = self.call("exec", host=host, argv=[PYTHON, "-S", "-c", CONNECT, ip, str(port), str(timeout)])
        assert reply["code"] == 0, reply
        return reply["stdout"].startswith("ok")

    def cut(self, listener="any"):
        reply = self.call("matrix")
        assert reply["as_expected"], reply["evidence"]
        rows, hosts = reply["listeners"][listener], reply["hosts"]
        return {(a, b) for a, row in zip(hosts, rows) for b, open_ in zip(hosts, row) if not open_}

    def close(self):
        if self.process.poll() is None:
            self.call("shutdown")
        self.process.stdin.close()
        assert self.process.wait(10) == 0
        self.reader.join(5)
        shutil.rmtree(self.folder, ignore_errors=True)


def both(*pairs):
    return {(a, b) for a, b in pairs} | {(b, a) for a, b in pairs}


def alive(pid):
    """A zombie is dead: it only waits for the machine's init to notice, which can take seconds."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def network_namespaces():
    found = set()
    for path in glob.glob("/proc/[0-9]*/ns/net"):
        try:
            found.add(os.readlink(path))
        except OSError:
            pass
    return found


def wait_until(predicate, what, timeout=5):
    end = time.monotonic() + timeout
    while not predicate():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.01)


def test_partition_shapes_cut_exactly_the_planned_links(binary):
    n = Nemesis(binary, nodes=5, clients=2)
    all_nodes = [f"n{i}" for i in range(1, 6)]
    clients = ["c1", "c2"]
    others = [x for x in all_nodes + clients if x != "n2"]

    def check(expected, listener="any", **fault):
        begun = n.call("fault.begin", id="f", **fault)
        assert begun["status"] == "begun" and begun["verified"], begun
        assert n.cut(listener) == expected, (fault, n.cut(listener) ^ expected)
        healed = n.call("fault.heal", id="f")
        assert healed["verified"], healed
        assert n.cut() == n.cut(listener) == set()

    part = {"do": "net.partition"}
    check(both(*[("n2", x) for x in others]), on="n2", **part)
    check(both(*[("n2", x) for x in all_nodes if x != "n2"]), on="n2", params={"shape": "brokers-not-clients"}, **part)
    check(both(*[(a, b) for a in ("n1", "n2") for b in ("n3", "n4", "n5")]), on="n1 | n2", params={"shape": "halves"}, **part)
    check(both(("n1", "n3")), on={"from": "n1", "to": "n3"}, params={"shape": "link"}, **part)
    check(both(("c1", "n3"), ("c2", "n3")), on={"from": "clients", "to": "n3"}, params={"shape": "client-broker"}, **part)
    check({("n1", "n2")}, do="net.simplex", on={"from": "n1", "to": "n2"})
    check({(x, "n2") for x in others}, do="net.simplex", on="n2", params={"direction": "in"})
    ring = both(*[(a, b) for i, a in enumerate(all_nodes) for j, b in enumerate(all_nodes) if j - i in (2, 3)])
    check(ring, params={"shape": "ring"}, **part)
    begun = n.call("fault.begin", id="b", on="n3", params={"shape": "bridge"}, **part)
    assert begun["verified"] and len(n.cut()) == 8 and not any("n3" in pair for pair in n.cut())
    assert n.call("heal.all")["verified"]
    # Listener classes: only that port, whichever side opened the connection.
    for i in (1, 2):
        n.node(i)
    n.call("fault.begin", id="l", on={"from": "n1", "to": "n2"}, params={"shape": "link", "listeners": ["replication"]}, **part)
    assert n.cut() == set() and n.cut("client") == set() and n.cut("replication") == both(("n1", "n2"))
    assert n.reaches("n1", "10.77.0.12", 9092) and n.reaches("n1", "10.77.0.12", 9094)
    assert not n.reaches("n1", "10.77.0.12", 9093) and n.reaches("n3", "10.77.0.12", 9093)
    assert n.call("fault.heal", id="l")["verified"] and n.reaches("n1", "10.77.0.12", 9093)
    n.close()


def test_overlapping_cuts_add_up(binary):
    n = Nemesis(binary, nodes=3, clients=0)
    n.call("fault.begin", id="a", do="net.partition", on="n1")
    n.call("fault.begin", id="b", do="net.partition", on="n2")
    again = n.call("fault.begin", id="c", do="net.simplex", on={"from": "n1", "to": "n2"})
    assert again["status"] == "missed" and "already" in again["evidence"], again
    assert n.call("fault.heal", id="a")["verified"]
    assert n.cut() == both(("n1", "n2"), ("n2", "n3"))
    assert n.call("heal.all")["verified"] and n.cut() == set()
    bridge = n.call("fault.begin", do="net.partition", on="n1", params={"shape": "bridge"})
    assert bridge["status"] == "missed" and "four nodes" in bridge["evidence"], bridge
    n.close()


def test_heal_destroys_the_connections_across_the_cut(binary):
    n = Nemesis(binary, nodes=2, clients=1)
    n.node(1)
    mark = os.path.join(n.folder, "held")
    held = n.send("exec", host="c1", argv=[PYTHON, "-c", HOLD, "10.77.0.11", mark], timeout_ms=8000)
    wait_until(lambda: os.path.exists(mark), "the connection")
    assert n.reaches("c1", "10.77.0.11")
    n.call("fault.begin", id="x", do="net.partition", on="n1")
    assert not n.reaches("c1", "10.77.0.11", timeout=0.2)
    healed = n.call("fault.heal", id="x")
    assert "frames dropped" in healed["evidence"] and " 0 frames" not in healed["evidence"], healed
    assert n.event("fault.heal", id="x")["purged"] >= 2
    assert "reset" in n.answer(held)["stdout"]
    assert n.reaches("c1", "10.77.0.11")
    n.close()


def test_kill_pause_and_restart_are_proven(binary):
    n = Nemesis(binary)
    pids = {i: n.node(i)["pid"] for i in (1, 2, 3)}
    kill = n.call("fault.begin", id="k", do="proc.kill", on="n2")
    assert kill["verified"] and "reaped" in kill["evidence"] and not alive(pids[2]), kill
    assert n.event("node.exit", id="n2")["expected"] is True and n.event("node.exit", id="n2")["node"] == 2
    assert n.call("fault.begin", do="proc.pause", on="n2")["status"] == "missed"
    healed = n.call("fault.heal", id="k")
    assert healed["verified"] and "port 9092 open" in healed["evidence"], healed
    assert n.event("node.start", id="n2", incarnation=2)["pid"] != pids[2]
    assert n.reaches("c1", "10.77.0.12")

    pause = n.call("fault.begin", id="p", do="proc.pause", on="n3")
    assert pause["verified"] and "state T" in pause["evidence"], pause
    assert "State:\tT" in open(f"/proc/{pids[3]}/status").read()
    assert not n.reaches("c1", "10.77.0.13", timeout=0.2)  # accepted by the kernel, never answered
    assert n.call("status")["processes"]["n3"]["state"] == "paused"
    assert n.call("fault.heal", id="p")["verified"] and n.reaches("c1", "10.77.0.13")

    restart = n.call("fault.begin", id="r", do="proc.restart", on="n1")
    assert restart["verified"] and "left cleanly" in restart["evidence"], restart
    n.event("fault.heal", id="r", verified=True)

    n.call("stop", id="n1")
    n.node(1, "stubborn")
    failed = n.call("fault.begin", id="s", do="proc.restart", on="n1", params={"timeout": "300ms"})
    assert failed["status"] == "failed" and "no clean stop" in failed["evidence"], failed
    wait_until(lambda: n.call("status")["processes"]["n1"]["state"] == "running", "the stubborn node again")
    assert n.call("stop", id="n3")["code"] == 0

    n.node(3, "jvm", clean_codes=[0, 143])  # a JVM leaves like this when it is asked to, in good order
    restart = n.call("fault.begin", id="j", do="proc.restart", on="n3")
    assert restart["verified"] and "left cleanly" in restart["evidence"], restart
    n.event("fault.heal", id="j", verified=True)
    n.call("stop", id="n3")
    n.node(3, "jvm")
    assert "no clean stop, exit code 143" in n.call("fault.begin", id="k", do="proc.restart", on="n3")["evidence"]
    n.close()


def test_an_exit_that_nobody_asked_for_is_told(binary):
    n = Nemesis(binary, nodes=2, clients=1)
    error = n.answer(n.node(1, "die", wait=False))
    assert error["ok"], error  # it did start
    gone = n.event("node.exit", id="n1")
    assert gone["expected"] is False and gone["code"] == 7, gone
    re = n.send("spawn", id="n2", argv=[PYTHON, "-c", ECHO, "die"], wait=True)
    assert "ended before it served (exit code 7)" in n.answer(re)["error"]
    assert "cannot start /no/such" in n.refused("spawn", id="n1", argv=["/no/such/program"])
    pid = n.node(1)["pid"]
    os.kill(pid, signal.SIGSEGV)
    crash = n.event("node.exit", id="n1", signal=11)
    assert crash["expected"] is False
    n.close()


def test_roles_follow_the_traces(binary):
    n = Nemesis(binary)
    traces = {i: os.path.join(n.folder, f"trace{i}") for i in (1, 2, 3)}
    for i in (1, 2, 3):
        n.node(i, trace=traces[i])

    def trace(node, kind, **fields):
        with open(traces[node], "a") as out:
            out.write(json.dumps({"t": time.monotonic_ns(), "w": 0, "n": node, "s": "info", "k": kind, **fields}) + "\n")

    missed = n.call("fault.begin", do="proc.kill", on="leader(t/0)")
    assert missed["status"] == "missed" and "not known" in missed["evidence"], missed
    assert "no controller" in n.refused("converge", timeout_ms=50)
    trace(3, "controller.active", term=4)
    trace(2, "partition.leader", topic="t", partition=0, leader_epoch=5, partition_epoch=1, isr="1,2,3", start_offset=0)
    n.event("role.change", role="leader(t/0)", to="n2", epoch=5)
    assert n.call("converge")["after_ms"] < 1000
    begun = n.call("fault.begin", id="k", do="proc.kill", on="leader(t/0)")
    assert begun["targets"] == ["n2"] and n.event("fault.resolve", id="k")["epoch"] == 5
    assert n.event("fault.begin", id="k")["planned"] == "proc.kill, leader(t/0)"
    trace(1, "partition.leader", topic="t", partition=0, leader_epoch=6, partition_epoch=2, isr="1,3", start_offset=0)
    n.event("role.change", role="leader(t/0)", **{"from": "n2", "to": "n1"})
    assert n.call("fault.heal", id="k")["verified"]
    assert "2 of 3" in n.refused("converge", timeout_ms=50)
    trace(1, "partition.isr", topic="t", partition=0, leader_epoch=6, partition_epoch=3, isr="1,2,3")
    assert n.event("fault.converged", id="k")["verified"] is True
    zombie = n.call("fault.begin", id="z", do="net.partition", on="leader(t/0)", params={"shape": "brokers-not-clients"})
    assert zombie["verified"] and n.cut() == both(("n1", "n2"), ("n1", "n3"))
    assert n.event("fault.resolve", id="z")["resolved"] == "n1 <-> n2, n1 <-> n3"
    n.close()


def test_a_plan_runs_reports_and_replays(binary):
    n = Nemesis(binary)
    trace = os.path.join(n.folder, "trace1")
    for i in (1, 2, 3):
        n.node(i, **({"trace": trace} if i == 1 else {}))
    plan = """
name: chain
min_faults: 3
steps:
  - {id: cut, when: 100ms, do: net.partition, on: one, hold: 200ms, required: true}
  - {id: down, when: {after: cut}, do: proc.kill, on: minority, hold: 100ms}
  - {id: seen, when: {event: log.recovered, where: {topic: t, end: ">=10"}}, do: proc.pause, on: random, hold: 100ms}
  - {id: counted, when: {operations: 500}, do: net.simplex, on: {from: n1, to: n2}}
  - {id: nobody, when: 50ms, do: proc.kill, on: leader(t/0), required: true}
"""
    started = n.call("plan.start", plan=plan, seed=9, time="5s")
    assert len(started["steps"]) == 5
    n.event("fault.heal", id="down")
    with open(trace, "a") as out:
        for end in (5, 10):
            out.write(json.dumps({"t": time.monotonic_ns(), "n": 1, "k": "log.recovered", "topic": "t", "end": end}) + "\n")
    n.call("ops", count=499)
    n.call("ops", count=501)
    n.event("fault.begin", id="counted")
    n.event("fault.heal", id="seen")
    stopped = n.call("plan.stop")
    summary = stopped["summary"]
    assert summary["verified"] == 4 and summary["missed"] == 1 and summary["unhealed"] == 0, summary
    assert summary["required_missed"] == ["nobody"] and summary["enough"] is False, summary
    resolved = {s["id"]: s.get("resolved") for s in stopped["plan"]["steps"]}
    n.call("plan.start", plan=stopped["plan"])
    again = n.event("fault.begin", id="cut")
    n.event("fault.heal", id="down")
    assert again["targets"] == resolved["cut"]["targets"]
    n.call("plan.stop")
    lines = [json.loads(line) for line in open(n.faults)]
    kinds = {line["event"] for line in lines}
    assert {"nemesis.start", "env", "fault.plan", "fault.resolve", "fault.invoke", "fault.begin", "fault.missed",
            "fault.heal.invoke", "fault.heal", "plan.start", "plan.done", "node.start", "node.exit"} <= kinds, kinds
    assert [line["t"] for line in lines] == sorted(line["t"] for line in lines)
    faults = n.faults
    n.close()
    assert not os.path.exists(faults)


def test_bad_input_is_refused_and_survived(binary):
    n = Nemesis(binary, setup=False)
    n.process.stdin.write("garbage\n[1]\n{\"cmd\":3}\n\xff\n")
    assert "setup comes first" in n.refused("spawn", id="n1", argv=["true"])
    assert "no host name" in n.refused("setup", nodes=[{"id": "broker", "ip": "10.77.0.11"}])
    n.close()
    n = Nemesis(binary, nodes=1, clients=0)
    assert "unknown command" in n.refused("explode")
    assert "type" in n.refused("spawn", id=7, argv="x")
    assert "did you mean proc.kill?" in n.refused("fault.begin", do="proc.kil", on="n1")
    assert "plan:2:" in n.refused("plan.start", plan="steps:\n - {do: proc.kill, hold: 3, on: n1}")
    assert "node.power_cut" in n.refused("plan.start", plan="power")
    assert "no host" in n.refused("spawn", id="x", host="n9", kind="client", argv=["true"])
    late = n.call("exec", host="n1", argv=["sleep", "9"], timeout_ms=100)
    assert late["timed_out"] and late["signal"] == 9
    n.process.stdin.close()  # the end of input is a shutdown
    assert n.process.wait(10) == 0
    for arguments, text in ((["--check-plan", "power"], "cannot do"), (["--check-plan", "nosuch"], "neither")):
        done = subprocess.run([binary, *arguments], capture_output=True, text=True)
        assert done.returncode == 64 and text in done.stderr, done
    drawn = subprocess.run([binary, "--draw", "mixed", "--seed", "7", "--time", "60s"], capture_output=True, text=True)
    assert drawn.returncode == 0 and len(json.loads(drawn.stdout)["steps"]) > 4


def check_sigkill_leaves_nothing(binary, prefix=()):
    before = network_namespaces()
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True).stdout
    n = Nemesis(binary, prefix)
    pids = [n.node(i)["pid"] for i in (1, 2, 3)]
    # A grandchild in its own session, which no signal to a group would reach.
    orphan = os.path.join(n.folder, "orphan")
    n.call("spawn", id="c1", argv=["/bin/sh", "-c", f"setsid sleep 98765 & echo $! > {orphan}; exec sleep 98765"])
    wait_until(lambda: os.path.exists(orphan) and open(orphan).read().strip(), "the orphan")
    n.call("fault.begin", do="net.partition", on="n2")
    n.call("fault.begin", do="proc.pause", on="n3")
    family = [p for p in map(int, filter(str.isdigit, os.listdir("/proc"))) if in_family(p, before)]
    assert set(pids) <= set(family) and len(family) >= 6, (pids, family)
    os.kill(n.call("ping") and nemesis_pid(n), signal.SIGKILL)
    n.process.wait(5)
    wait_until(lambda: not any(alive(p) for p in family), "every process of the trial to be gone")
    wait_until(lambda: network_namespaces() <= before, "every namespace of the trial to be gone")
    assert subprocess.run(["ip", "-o", "link"], capture_output=True, text=True).stdout == links
    shutil.rmtree(n.folder, ignore_errors=True)


def nemesis_pid(n):
    return n.event("nemesis.start")["pid"]


def in_family(pid, before):
    try:
        return os.readlink(f"/proc/{pid}/ns/net") not in before
    except OSError:
        return False


def leftovers(binary):
    """Processes of this very program that are not our children: reapers that outlived their nemesis."""
    found = []
    for path in glob.glob("/proc/[0-9]*"):
        try:
            if os.readlink(f"{path}/exe").removesuffix(" (deleted)") == binary and alive(int(path[6:])):
                found.append(int(path[6:]))
        except OSError:
            pass
    return found


def test_a_short_life_leaves_nothing_behind(binary):
    folder = tempfile.mkdtemp(prefix="nemesis-short-")
    copy = shutil.copy(binary, os.path.join(folder, "ordeal-nemesis"))  # nobody else runs this one
    for _ in range(30):
        done = subprocess.run([copy], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        assert done.returncode == 0, done
    for _ in range(5):
        assert subprocess.run([copy, "--doctor"], stdout=subprocess.DEVNULL).returncode == 0
        killed = subprocess.Popen([copy], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        time.sleep(0.003)
        killed.kill()
        killed.wait()
    wait_until(lambda: not leftovers(copy), f"every process to be gone: {leftovers(copy)}")
    shutil.rmtree(folder)


LAUNCH = ["sh", "-c", 'nsenter --net="$0" "$@"; exit $?']  # stands in for `docker start --attach`: what acts is elsewhere


def test_brokers_that_somebody_else_starts_are_cut_killed_and_paused_in_their_namespaces(binary):
    if os.geteuid() != 0:
        return  # the namespaces are made outside of the nemesis's user namespace
    holders = [subprocess.Popen(["unshare", "--net", "sleep", "600"]) for _ in range(2)]
    try:
        home = os.readlink("/proc/self/ns/net")
        for holder in holders:
            wait_until(lambda h=holder: os.readlink(f"/proc/{h.pid}/ns/net") != home, "a namespace of its own")
        paths = [f"/proc/{h.pid}/ns/net" for h in holders]
        n = Nemesis(binary, setup=False)
        n.call("setup", faults=n.faults, nodes=[{"id": f"n{i}", "ip": f"10.77.0.{10 + i}", "netns": p} for i, p in enumerate(paths, 1)],
               clients=[{"id": "c1", "ip": "10.77.0.101"}])
        assert "needs a host" in n.refused("spawn", id="x", kind="client", host="c1", launcher=True, argv=["true"])
        for i, path in enumerate(paths, 1):
            n.call("spawn", id=f"n{i}", launcher=True, argv=[*LAUNCH, path, PYTHON, "-c", ECHO], stdout=os.path.join(n.folder, f"n{i}.log"), wait=True)
        assert n.call("fault.begin", id="x", do="net.partition", on="n1")["verified"]
        assert not n.reaches("c1", "10.77.0.11", timeout=0.2) and n.reaches("c1", "10.77.0.12")
        assert n.call("fault.heal", id="x")["verified"] and n.reaches("c1", "10.77.0.11")
        assert n.call("fault.begin", id="p", do="proc.pause", on="n2")["verified"]
        assert not n.reaches("c1", "10.77.0.12", timeout=0.2)
        assert n.call("fault.heal", id="p")["verified"] and n.reaches("c1", "10.77.0.12")
        for i, verb in enumerate(("proc.kill", "proc.restart")):
            begun = n.call("fault.begin", id=verb, do=verb, on="n1", hold="60s")
            assert begun["verified"], begun
            assert not n.reaches("c1", "10.77.0.11", timeout=0.2)
            assert n.call("fault.heal", id=verb)["verified"] and n.reaches("c1", "10.77.0.11")
            assert n.event("node.exit", id="n1", incarnation=i + 1)["expected"]
        assert all(h.poll() is None for h in holders), "whoever only holds a namespace is not ours to kill"
        n.close()
        for holder in holders:  # and so they are again as they were
            wait_until(lambda h=holder: "eth0" not in subprocess.run(["nsenter", "-t", str(h.pid), "-n", "cat", "/proc/net/dev"], capture_output=True,
                                                                     text=True).stdout, "the cable to be gone")
        shutil.rmtree(n.folder, ignore_errors=True)
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()


def check_callers_network(binary, prefix=()):
    server = subprocess.Popen([PYTHON, "-S", "-c", "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)\n"
                               "while True:\n  c = s.accept()[0]; c.send(c.recv(9))"], stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline())
        n = Nemesis(binary, prefix, setup=False)
        assert "a network of ours" in n.refused("setup", network="caller", nodes=[{"id": "n1", "ip": "10.77.0.11"}])
        n.call("setup", network="caller", quorum=False, faults=n.faults, clients=[{"id": "c1"}, {"id": "c2"}])
        assert n.reaches("c1", "127.0.0.1", port), "clients see what the caller sees"
        for do, on in (("net.partition", "c1"), ("proc.kill", "c1")):
            assert "cannot" in n.refused("fault.begin", id="no", do=do, on=on)
        n.refused("matrix")
        n.call("spawn", id="c1", kind="client", host="c1", argv=["sleep", "600"])
        assert n.call("fault.begin", id="p", do="proc.pause", on="c1", hold="50ms")["verified"]
        n.event("fault.heal", id="p", verified=True)
        trace = os.path.join(n.folder, "trace.jsonl")
        n.call("follow", traces={"watch": trace})
        assert "no partition" in n.refused("converge", timeout_ms=50)
        with open(trace, "w") as f:
            f.write(json.dumps({"t": time.monotonic_ns(), "n": 101, "k": "partition.leader", "topic": "t", "partition": 0, "leader_epoch": 3,
                                "partition_epoch": 1, "isr": "101"}) + "\n")
        n.call("converge", timeout_ms=5000)  # nobody tells who the controller is, and nobody was asked to
        n.close()
        shutil.rmtree(n.folder, ignore_errors=True)
    finally:
        server.kill()
        server.wait()


def test_clients_may_stay_in_the_network_that_they_were_started_from(binary):
    check_callers_network(binary)
    if os.geteuid() == 0:
        folder = tempfile.mkdtemp(prefix="nemesis-rootless-")
        os.chmod(folder, 0o755)
        copy = shutil.copy(binary, os.path.join(folder, "ordeal-nemesis"))
        os.chmod(copy, 0o755)
        check_callers_network(copy, ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
        shutil.rmtree(folder)


def test_sigkill_of_the_nemesis_leaves_nothing_behind(binary):
    check_sigkill_leaves_nothing(binary)


def test_without_root_the_same_works_in_a_user_namespace(binary):
    if os.geteuid() != 0:
        return  # the whole run was rootless already
    folder = tempfile.mkdtemp(prefix="nemesis-rootless-")
    os.chmod(folder, 0o755)
    copy = shutil.copy(binary, os.path.join(folder, "ordeal-nemesis"))
    os.chmod(copy, 0o755)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    n = Nemesis(copy, nobody)
    assert n.setup["rootless"] is True
    for i in (1, 2, 3):
        n.node(i)
    begun = n.call("fault.begin", id="x", do="net.partition", on="n1")
    assert begun["verified"] and len(n.cut()) == 8 and not n.reaches("c1", "10.77.0.11", timeout=0.2)
    assert n.call("fault.heal", id="x")["verified"] and n.reaches("c1", "10.77.0.11")
    for verb in ("proc.kill", "proc.pause", "proc.restart"):
        assert n.call("fault.begin", id=verb, do=verb, on="n2", hold="50ms")["verified"]
        n.event("fault.heal", id=verb, verified=True)
    assert os.stat(n.faults).st_uid == 65534
    n.close()
    check_sigkill_leaves_nothing(copy, nobody)
    # Root of a container without the right to make namespaces, where user namespaces are off as well.
    closed = subprocess.run(["unshare", "-Ur", "sh", "-c", "echo 0 > /proc/sys/user/max_user_namespaces; "
                             "exec setpriv --bounding-set=-sys_admin \"$0\"", copy], capture_output=True, text=True,
                            stdin=subprocess.DEVNULL)
    assert closed.returncode == 3 and "user.max_user_namespaces=10000" in closed.stderr, closed
    shutil.rmtree(folder)


def test_the_doctor_says_what_the_machine_can_do(binary):
    done = subprocess.run([binary, "--doctor", "--json"], capture_output=True, text=True)
    report = json.loads(done.stdout)
    names = {entry["name"]: entry for entry in report["capabilities"]}
    assert done.returncode == 0 and report["able"], report
    assert names["nftables cuts a bridge link"]["ok"] and names["PID namespaces"]["ok"]
    assert all(entry["ok"] or entry["costs"] for entry in report["capabilities"])


def main():
    binary = os.path.abspath(sys.argv[1])
    wanted = sys.argv[2:]
    doctor = subprocess.run([binary, "--doctor"], capture_output=True, text=True)
    if doctor.returncode == 3:
        print(f"skipped: this machine cannot build the network\n{doctor.stdout}")
        return 77
    failed = 0
    for name, test in sorted(globals().items()):
        if not name.startswith("test_") or (wanted and not any(w in name for w in wanted)):
            continue
        start = time.monotonic()
        try:
            test(binary)
            print(f"ok   {name[5:].replace('_', ' ')} ({time.monotonic() - start:.1f} s)", flush=True)
        except Exception as error:  # a test's own words, whatever they are
            failed += 1
            import traceback
            traceback.print_exc()
            print(f"FAIL {name[5:].replace('_', ' ')}: {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
