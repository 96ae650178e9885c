// A whole cluster of real brokers in one simulated world, with the verbs a scripted scenario is written in.
//
//   SimCluster cluster({.seed = 7});
//   cluster.start_all();
//   REQUIRE(cluster.wait_ready());
//   const NodeId old = cluster.kill_leader({"t", 0});
//   REQUIRE(cluster.wait_until([&] { return cluster.leader({"t", 0}) != old; }, 5s));
//
// Node i is server::Broker at 10.77.0.(10+i), its metadata store RocksDB pinned on the node's simulated disk. Every
// fault a verb causes is noted like a plan's, so that the checker knows what acted. Verbs look into broker objects
// only to see (who leads, how far); they never reach in to change anything.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/base/config.h"
#include "broker/mutation/mutation.h"
#include "broker/server/broker.h"
#include "faults/sim/invariants/invariants.h"
#include "faults/sim/plan_runner.h"
#include "faults/sim/sim_world.h"

namespace ordeal::sim {

struct ClusterOptions {
  std::uint64_t seed = 1;
  int nodes = 3;
  ConfigMap config;                      // broker settings under Kafka's names, over those of cluster_config()
  std::vector<mutation::Bug> mutations;  // switched on in every broker
  LoopOptions loop;
  BlockingProfile blocking;
  NetworkProfile network;
  bool buggify = false;    // rare but legal behaviour is asked for
  bool log_draws = false;  // draw_log.h
};

// A listening port names the traffic it carries.
inline constexpr std::uint16_t kClientPort = 9092;
inline constexpr std::uint16_t kReplicationPort = 9093;
inline constexpr std::uint16_t kControllerPort = 9094;

std::string node_host(NodeId node);   // 10.77.0.(10 + node)
std::string client_host(int client);  // 10.77.0.(100 + client)
// What node `node` of a cluster of `nodes` runs with, before ClusterOptions::config.
ConfigMap cluster_config(NodeId node, int nodes);

// A switched-on bug decided something: the trace event mutation.ran with its name as `name` and `run`, how often by
// then on all nodes. The first runs are told one by one, later ones more and more sparsely.
struct BranchRun {
  mutation::Bug bug;
  std::uint64_t run = 0;
  NodeId node = kNoNode;
  Instant at{};
};

class SimCluster {
 public:
  static constexpr const char* kLogDir = "/data";

  explicit SimCluster(ClusterOptions options);
  ~SimCluster();
  SimCluster(const SimCluster&) = delete;
  SimCluster& operator=(const SimCluster&) = delete;

  World& world() { return world_; }
  Invariants& invariants() { return invariants_; }
  const ClusterOptions& options() const { return options_; }
  std::vector<Endpoint> bootstrap() const;
  std::uint64_t ran(mutation::Bug bug) const;  // over all brokers and incarnations
  const std::vector<BranchRun>& branch_runs() const { return branch_runs_; }
  const std::vector<std::string>& fatals() const { return fatals_; }  // brokers that ended themselves, and why

  // Nodes.
  void start_all();
  void start(NodeId node);
  void kill(NodeId node);
  void power_cut(NodeId node);
  void pause(NodeId node);
  void resume(NodeId node);
  void stop(NodeId node);                        // asks for a controlled shutdown; the node is down when it is done
  NodeId kill_leader(const TopicPartition& at);  // who it was
  // Links between two hosts; port 0: all traffic, else that listener's only.
  void cut(const std::string& a, const std::string& b, std::uint16_t port = 0);
  void heal(const std::string& a, const std::string& b, std::uint16_t port = 0);
  void cut_one_way(const std::string& from, const std::string& to, std::uint16_t port = 0);  // heal_all() ends it
  void isolate(NodeId node, std::uint16_t port = 0);                                         // from every other node
  void rejoin(NodeId node, std::uint16_t port = 0);                                          // the opposite
  void heal_all();
  Status flip_bit(NodeId node, const std::string& path, std::uint64_t offset, unsigned bit);
  void heal_one_way(const std::string& from, const std::string& to, std::uint16_t port = 0);
  void message_fault(MessageFault fault);  // ends by its count, by release_messages() or with heal_all()
  void release_messages(const std::string& name);
  // The node dies inside its `calls`-th changing file call from now, of those whose path contains `path_part`.
  void crash_in_call(NodeId node, std::uint64_t calls, CrashKind kind, const std::string& path_part);
  void disk_fault(NodeId node, DiskFault fault);
  void fill_disk(NodeId node);    // no byte more fits
  void disk_heal(NodeId node);    // ends what the two above began
  Status wipe_disk(NodeId node);  // refused while it runs
  void set_clock(NodeId node, Duration offset);
  void set_clock_drift(NodeId node, std::int64_t ppm);  // of the wall clock
  // A request to the active controller from a node that serves; an error when no answer came within `bound`.
  // `via`: the node that asks; kNoNode: the active controller, or else any.
  Result<meta::ControllerResponse> ask_controller(meta::ControllerRequest request, Duration bound,
                                                  NodeId via = kNoNode);
  Status tell_controller(meta::ControllerRequest request, Duration bound, NodeId via = kNoNode);  // awaits no answer

  // Sight.
  bool serving(NodeId node);
  std::optional<meta::QuorumStatus> quorum(NodeId node);  // none: it is down, or starting
  server::Broker* broker(NodeId node);                    // null unless it serves
  NodeId leader(const TopicPartition& at);
  LeaderEpoch leader_epoch(const TopicPartition& at);
  std::set<NodeId> isr(const TopicPartition& at);
  NodeId controller();
  std::vector<NodeId> followers(const TopicPartition& at);  // the replicas that do not lead, by id
  std::vector<NodeId> replicas(const TopicPartition& at);   // in order of preference
  meta::ImagePtr newest_image();                            // of the nodes that serve; null when none does
  std::optional<replica::PartitionStatus> status(NodeId node, const TopicPartition& at);
  std::string partition_dir(const TopicPartition& at) const;
  // Every node serves, and every partition has a leader that knows a full ISR. Empty: so it is; else what is missing.
  std::string why_not_whole();

  // Time.
  bool wait_ready(Duration bound = 30s);
  bool wait_whole(Duration bound = 60s);
  bool wait_until(const std::function<bool()>& done, Duration bound);  // false: the time ran out
  void run_for(Duration duration) { world_.run_for(duration); }

  // A task on a client's or node's run queue, run to its end; false when that did not come in time.
  bool finish(env::Env& where, env::Task<> task, std::string_view name, Duration bound);

  const std::vector<FaultEvent>& faults() const { return faults_; }  // of the verbs above, not of plans

 private:
  class Process;

  const meta::PartitionImage* partition(const TopicPartition& at);
  Result<NodeId> asker(NodeId via);
  std::string note_begin(std::string kind, std::vector<NodeId> nodes, std::string evidence);
  void note_heal(const std::string& kind, NodeId node);
  void watch_switches();

  ClusterOptions options_;
  std::map<NodeId, mutation::Switches> switches_;
  std::map<mutation::Bug, std::uint64_t> told_;  // of the runs, by switch
  std::map<std::pair<NodeId, mutation::Bug>, std::uint64_t> seen_;
  std::vector<BranchRun> branch_runs_;
  std::vector<std::string> fatals_;
  std::vector<FaultEvent> faults_;
  World world_;
  Invariants invariants_;
  meta::ImagePtr held_;  // keeps what partition() returns alive
};

}  // namespace ordeal::sim
