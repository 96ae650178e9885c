"""The arrows between folders, as data. ARCHITECTURE.md draws them; test_include_graph.py enforces them.

A folder may include itself and what it lists here, nothing else. Reading a row aloud should sound right; when it does
not, the design changed and ARCHITECTURE.md has to say so first.
"""

# Folders that hold code, longest path first where one lies inside another.
WIRE_TYPES = "broker/wire"
DECIDER_BASE = {"broker/base", "broker/mutation", WIRE_TYPES}
MOVER_BASE = DECIDER_BASE | {"broker/env"}

ALLOWED = {
    "broker/base": set(),
    "broker/mutation": {"broker/base"},
    "broker/env": {"broker/base"},
    "broker/wire": {"broker/base", "broker/env", "broker/mutation"},
    "broker/channel": {"broker/base", "broker/env", "broker/wire"},  # one pipelined Kafka connection, for fetchers and clients
    "broker/kv": {"broker/base", "broker/env"},
    "broker/log": MOVER_BASE,
    "broker/meta": MOVER_BASE | {"broker/kv"},
    "broker/replica": MOVER_BASE | {"broker/log", "broker/meta", "broker/channel"},
    "broker/coord": MOVER_BASE | {"broker/log", "broker/meta", "broker/replica", "broker/kv"},
    "broker/server": MOVER_BASE | {"broker/log", "broker/meta", "broker/replica", "broker/coord", "broker/kv"},
    "broker/real": {"broker/base", "broker/env", "broker/mutation"},
    "faults/plan": {"broker/base"},
    "faults/scenario": {"broker/base", "broker/mutation", "faults/plan"},
    "faults/real": {"broker/base", "faults/plan"},
    "faults/sim": {"broker/base", "broker/env", "broker/wire", "broker/channel", "broker/log", "broker/kv", "broker/meta", "broker/replica",
                   "broker/coord", "broker/server", "broker/mutation", "workloads/client", "workloads/history",
                   "workloads/log", "faults/plan", "faults/scenario", "checker"},
    "workloads/history": {"broker/base"},
    "workloads/client": {"broker/base", "broker/env", "broker/wire", "broker/channel", "workloads/history"},
    "workloads/adapter": {"broker/base", "workloads/client"},
    "workloads/log": {"broker/base", "broker/env", "broker/wire", "workloads/client", "workloads/history"},
    "workloads/watch": {"broker/base", "broker/env", "broker/wire", "broker/channel"},
    "workloads/load": {"broker/base", "broker/env", "broker/wire", "workloads/client", "workloads/history"},
    "checker": {"broker/base", "workloads/history"},
}

# Single files that may go further than their folder, and why.
EXCEPTIONS = {
    ("broker/real/main.cpp", "broker/server"): "the program puts the broker on the real Env",
    ("workloads/load/main.cpp", "broker/real"): "as workloads/log/main.cpp",
    ("workloads/log/main.cpp", "workloads/watch"): "`ordeal-workload watch` is one of its commands",
    ("workloads/log/main.cpp", "workloads/adapter"): "which client a workload gets is decided here, and nowhere below",
    ("workloads/log/main.cpp", "broker/real"): "the native client of the real world runs on the real Env",
}
# Tests may look one way further than the code beside them.
TEST_EXTRA = {
    "broker/real": {"broker/kv", "broker/log", "broker/wire"},  # the real Env is tested with what stands on it
} | {mover: {"broker/real", "faults/sim"}  # movers are tested in both worlds
     for mover in ("broker/channel", "broker/kv", "broker/log", "broker/meta", "broker/replica", "broker/coord", "broker/server",
                   "workloads/client", "workloads/log")}

# Deciders: files that must be pure. They may not even see Env, so their headers' includes are checked closely.
DECIDER_FILES = (
    "broker/meta/raft.*", "broker/meta/raft_election.*", "broker/meta/raft_replication.*", "broker/meta/controller.*",
    "broker/replica/partition.*", "broker/log/producer_state.*",
)
DECIDER_BANNED_INCLUDES = ("broker/env/", "broker/kv/", "boost/asio")

# What broker code outside broker/real may not name: everything nondeterministic goes through Env.
BANNED = (
    (r"std::chrono::(system|steady|high_resolution)_clock", "env.clock"),
    (r"\b(clock_gettime|gettimeofday|std::time|::time)\s*\(", "env.clock"),
    (r"std::(thread|jthread|async|mutex|condition_variable|this_thread)\b", "env.spawn, env.blocking; no locks: one run queue"),
    (r"\b(random_device|mt19937(_64)?|default_random_engine|std::rand|srand)\b", "env.random"),
    (r"\b(std::getenv|getenv|secure_getenv)\s*\(", "a config key"),
    (r"(?<![\w>])::(open|openat|read|write|pread|pwrite|fsync|fdatasync|unlink|rename|mmap|ftruncate)\s*\(", "env.disk"),
    (r"std::(if|of)?stream\b|std::fopen|\bfopen\s*\(|std::filesystem::(create|remove|rename|exists|directory)", "env.disk"),
    (r"(?<![\w>])::(socket|bind|listen|accept|connect|send|recv|sendto|recvfrom|poll|epoll_wait)\s*\(", "env.network"),
    (r"boost::asio::ip\b|boost/asio/ip/|asio::steady_timer|boost/asio/steady_timer|asio::io_context", "env.network, env.scheduler"),
    (r"std::unordered_(map|set|multimap|multiset)", "std::map, std::set or absl-free ordered containers: iteration order decides"),
    (r"std::(map|set)<[^,<>]*\*\s*[,>]", "a key that is no pointer: addresses differ from run to run"),
)
BANNED_SCOPE = "broker/"
BANNED_EXEMPT = ("broker/real/", "broker/base/doctest_main.cpp")
# A file that needs one of them and why; the pattern's index is not named, so keep such files small.
BANNED_EXCEPTIONS: dict[str, str] = {}
# Asio sockets: nowhere else in the tree at all.
SOCKETS = r"boost/asio/(ip/|local/|posix/)|boost::asio::(ip|local|posix)::"
SOCKETS_ALLOWED = "broker/real/"
