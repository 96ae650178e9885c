// What must hold in a simulated cluster whatever happens to it, checked from outside: over the nodes' trace events as
// they are emitted, and over the bytes of the replicas on the simulated disks.
//
// Numbers in brackets are those of the corpus' list of invariants. Nothing here uses broker code: an invariant that
// shared the broker's arithmetic would share its mistakes.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/base/types.h"
#include "faults/sim/invariants/replica_files.h"
#include "faults/sim/sim_world.h"

namespace ordeal::sim {

struct Violation {
  std::string invariant;  // "LeaderInIsr"
  std::string text;
  Instant at{};
};

class Invariants {
 public:
  // Watches `world`'s trace from now on; outlives the world's run. `log_dir` is the same path on every node.
  Invariants(World& world, std::string log_dir);
  Invariants(const Invariants&) = delete;
  Invariants& operator=(const Invariants&) = delete;

  // Over the disks, at any moment: LogMatching [8], offsets that rise and epochs that never fall, StrongIsr [1].
  void check_replicas();
  // After heal and convergence: every replica of a partition holds the same batches up to the shortest end, and the
  // leader reaches the highest HW anyone announced [6, 7].
  void check_leaders_complete();

  const std::vector<Violation>& violations() const { return violations_; }
  Offset high_watermark(const TopicPartition& at) const;  // the highest any leader announced; 0 if none
  std::vector<TopicPartition> partitions() const;
  std::optional<NodeId> leader(const TopicPartition& at) const;  // of the highest epoch heard of
  std::string summary() const;                                   // one line a violation

 private:
  struct NodeView {  // since the node's last start
    std::map<TopicPartition, LeaderEpoch> epoch;
    std::map<std::pair<TopicPartition, LeaderEpoch>, Offset> high_watermark;
    std::map<TopicPartition, Offset> own_high_watermark;  // announced by this node while it led
  };
  struct PartitionView {
    std::map<LeaderEpoch, NodeId> leaders;
    std::map<PartitionEpoch, std::set<NodeId>> isr;
    Offset high_watermark = 0;
    std::set<NodeId> replicas;
  };

  void observe(const TraceEvent& event);
  void observe_raft(const TraceEvent& event);
  void observe_leader(const TraceEvent& event, const TopicPartition& at, LeaderEpoch epoch);
  void observe_isr(const TraceEvent& event, const TopicPartition& at);
  void observe_high_watermark(const TraceEvent& event, const TopicPartition& at, LeaderEpoch epoch);
  void observe_truncation(const TraceEvent& event, const TopicPartition& at);
  void fail(std::string invariant, std::string text);
  std::map<NodeId, ReplicaFiles> read_replicas(const TopicPartition& at);

  World& world_;
  std::string log_dir_;
  std::map<NodeId, NodeView> nodes_;
  std::map<TopicPartition, PartitionView> partitions_;
  std::map<std::int64_t, NodeId> raft_leaders_;  // term -> node
  std::map<NodeId, std::int64_t> raft_terms_;    // since the node's start
  std::map<NodeId, std::int64_t> led_terms_;     // the highest each ever led
  std::map<std::int64_t, NodeId> active_controllers_;
  std::map<std::string, std::uint64_t> counts_;  // by invariant
  std::vector<Violation> violations_;            // the first few of each
};

}  // namespace ordeal::sim
