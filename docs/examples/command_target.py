"""A target in one file: whatever broker your own command line starts. Nothing of the project names this file.

    ORDEAL_BROKER='mybroker --id {node} --listen {address}:{client} --peers {voters} --data {data}' \\
        ./ordeal run --target docs/examples/command_target.py --plan kills

The command is started once a node, in the node's network namespace and folder; the words in braces are filled in below.
Copy it and put what your broker needs (files, exit codes, patience) where the command is made. docs/targets.md lists what
else a target may say.
"""

import os
import shlex

from ordeal import layout
from ordeal.errors import usage
from ordeal.targets.base import Target, no_mutations


class CommandTarget(Target):
    name = "command"
    title = "a broker by command line"
    traces = False  # it writes no trace of ours: a watcher asks it who leads what
    quorum = False  # True for a broker that answers DescribeQuorum on port 9094: then `controller` is a role
    start_s = 60

    def make_ready(self, terminal):
        no_mutations(self.spec, self.title)
        if not os.environ.get("ORDEAL_BROKER"):
            raise usage("ORDEAL_BROKER is not set", "ORDEAL_BROKER='mybroker --id {node} --listen {address}:{client} --data {data}'")
        self._words(1, data="/nowhere")  # so that a bad command is refused before anything starts

    def prepare(self, run):
        for node in self.nodes():
            self.data(run, node).mkdir(parents=True)

    def node(self, run, node):
        log = str(self.log(run, node))
        return {"id": f"n{node}", "kind": "node", "argv": self._words(node, self.data(run, node).resolve()), "cwd": str(self.folder(run, node)),
                "stdout": log, "stderr": log, "port": layout.CLIENT_PORT, "ready_timeout_ms": self.start_s * 1000, "wait": True}

    def _words(self, node, data):
        facts = {"node": node, "address": self.address(node), "client": layout.CLIENT_PORT, "replication": layout.REPLICATION_PORT,
                 "control": layout.CONTROLLER_PORT, "data": data, "rf": self.spec.rf, "min_isr": self.spec.min_isr,
                 "voters": ",".join(f"{n}@{self.address(n)}:{layout.CONTROLLER_PORT}" for n in self.nodes())}
        try:
            return [word.format(**facts) for word in shlex.split(os.environ["ORDEAL_BROKER"])]
        except (KeyError, IndexError, ValueError) as error:
            raise usage(f"ORDEAL_BROKER: {error} is no word that is known here", f"one of: {', '.join('{' + name + '}' for name in facts)}") from error


TARGET = CommandTarget
