// One simulated world: hosts, nodes and clients on one seeded run loop, network and set of disks.
//
//   World world(WorldOptions{.seed = 7});
//   world.add_node(1, "10.77.0.11", [](NodeContext& context) { return std::make_shared<Server>(context.env); });
//   world.start(1);
//   env::Env& client = world.add_client("10.77.0.101");
//   world.spawn(client, produce(client), "producer");
//   world.run_for(60s);
//   fmt::print("{:016x}\n", world.digest());
//
// A node is a *program* (a factory of its process object) plus a disk that outlives its processes. start() makes an
// incarnation: a fresh run queue, network face, disk handle, random stream and trace. Killing one, in this order: its
// trace is muted, its disk frozen, its run queue doomed, its sockets closed (or silent), and only then are its frames
// and its process object destroyed. A kill asked for from inside the node itself (a fatal error, a crash drawn inside
// a file call) takes effect in that order too, but the destruction waits until the current step has ended.
//
// Same seed, same calls: same digest. Not thread-safe; several worlds may live in several threads.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/env/env.h"
#include "faults/sim/digest.h"
#include "faults/sim/draw_log.h"
#include "faults/sim/sim_buggify.h"
#include "faults/sim/sim_disk.h"
#include "faults/sim/sim_executor.h"
#include "faults/sim/sim_network.h"
#include "faults/sim/sim_trace.h"

namespace ordeal::sim {

struct WorldOptions {
  std::uint64_t seed = 1;
  LoopOptions loop;
  BlockingProfile blocking;
  NetworkProfile network;
  bool buggify = false;    // sim_buggify.h
  bool log_draws = false;  // draw_log.h
};

// What a program gets. Lives as long as the world; `env` is the incarnation's.
struct NodeContext {
  NodeId node;
  std::string host;
  std::uint64_t incarnation;  // 1, 2, ...
  env::Env env;
  std::function<void(const std::string& why)> fatal;  // "end the process": the node dies as if killed, at once
  std::function<void()> exit;                         // the process ended in order: nothing is lost or reset
};
// Starts the node's tasks and returns what owns its state; destroyed after its frames.
using Program = std::function<std::shared_ptr<void>(NodeContext& context)>;

enum class NodeState { down, running, paused };  // paused also: behind a disk call that does not return

class World {
 public:
  explicit World(WorldOptions options);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Nodes. Ids are positive and hosts unique; a node is added down.
  void add_node(NodeId id, const std::string& host, Program program);
  void start(NodeId id);      // the node must be down; its host gets power if it had none
  void kill(NodeId id);       // SIGKILL: the page cache survives. No-op when down
  void power_cut(NodeId id);  // unsynced bytes and names are lost by draw; the host falls silent. Also of a down node
  void pause(NodeId id);      // SIGSTOP: no task runs, the kernel goes on receiving
  void resume(NodeId id);
  NodeState state(NodeId id) const;
  std::uint64_t incarnation(NodeId id) const;
  std::vector<NodeId> nodes() const;
  const std::string& host(NodeId id) const;
  std::optional<std::string> last_fatal(NodeId id) const;  // why the last incarnation ended itself
  template <class T>
  T& process(NodeId id) {  // the running incarnation's object; it exists once the node has taken its first step
    return *static_cast<T*>(process_of(id));
  }
  bool started(NodeId id) const;  // whether process() exists: running, and the first step taken
  env::Env& env(NodeId id);       // of the running incarnation: to spawn a task inside the node
  SimDisk& disk(NodeId id);
  void wipe(NodeId id);  // a new, empty disk; the node must be down
  // Clocks belong to the machine: later incarnations have them too. Drift is in millionths; with `timers` the node's
  // timeouts run at that rate as well, else the wall clock alone.
  void set_wall_offset(NodeId id, Duration offset);
  Duration wall_offset(NodeId id) const;
  void set_clock_drift(NodeId id, std::int64_t ppm, bool timers = false);
  std::int64_t clock_drift(NodeId id) const;

  // Clients: hosts whose tasks are never killed by themselves. Several clients may share one host.
  env::Env& add_client(const std::string& host);
  void drop_clients();  // ends every client task for good: before what those tasks refer to is destroyed
  void spawn(env::Env& where, env::Task<> task, std::string_view name) { where.scheduler.spawn(std::move(task), name); }

  // Network. Hosts by address; port 0 = all ports, else only connections of that listening port.
  SimNetwork& network() { return network_; }
  void cut(const std::string& a, const std::string& b, std::uint16_t port = 0);  // both directions
  void heal(const std::string& a, const std::string& b, std::uint16_t port = 0);
  void cut_one_way(const std::string& from, const std::string& to, std::uint16_t port = 0);
  void heal_one_way(const std::string& from, const std::string& to, std::uint16_t port = 0);
  void isolate(const std::string& host, std::uint16_t port = 0);  // from every other host that is known now
  void heal_all();

  // Time.
  Instant now() const { return loop_.now(); }
  void at(Instant when, std::function<void()> event) { loop_.call_at(when, std::move(event)); }
  void run_until(Instant limit) { loop_.run_until(limit); }
  void run_for(Duration duration) { loop_.run_until(loop_.now() + duration); }
  void watch_steps(std::function<void()> watch) { watch_ = std::move(watch); }  // between any two; it may only look
  bool run_until(const std::function<bool()>& done, Duration at_most);  // tested between steps; false: time ran out

  // Evidence.
  TraceLog& trace() { return trace_; }
  SimLoop& loop() { return loop_; }
  Random& random() { return random_; }  // for what the test or the plan draws
  std::uint64_t seed() const { return options_.seed; }
  std::uint64_t digest() const;  // over every step, delivery, file call and trace event so far, and the draws made
  std::uint64_t last_draw() const { return loop_.last_draw(); }  // of the order of tasks: equal only after equal runs
  const DrawLog& draws() const { return draw_log_; }             // empty without WorldOptions::log_draws
  const BuggifySites& buggified() const { return sites_; }

 private:
  struct Incarnation;
  struct Node;

  Node& node(NodeId id);
  const Node& node(NodeId id) const;
  void* process_of(NodeId id);
  void end(Node& node, CrashKind kind, bool orderly);  // the first half of a kill, and the second unless inside a step
  void bury();                                         // the second half, for all that are doomed

  WorldOptions options_;
  DrawLog draw_log_;
  Digest digest_;
  Random random_;
  BuggifySites sites_;
  SimLoop loop_;
  SimNetwork network_;
  TraceLog trace_;
  std::map<NodeId, std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<SimDisk>> client_disks_;
  std::vector<std::unique_ptr<Incarnation>> clients_;
  std::vector<std::unique_ptr<Incarnation>> doomed_;  // to be destroyed after this step
  std::vector<std::unique_ptr<Incarnation>> graves_;  // emptied; kept because executors may refer to their queues
  std::function<void()> watch_;
  std::uint64_t incarnations_ = 0;
};

}  // namespace ordeal::sim
