// Invariants over partitions: leaders, epochs, high watermarks, and the replicas' content below them.
//
// The committed log of a partition, as far as any leader has announced it by its high watermark, is kept as the one
// truth. A replica is compared with it batch by batch, each batch once: a cursor a replica says how far it is known to
// agree, and falls back when the replica's content below it changes.
//
// What a world does not promise is not asked for: after an unclean election, or once as many replicas as the minimum
// ISR have lost bytes that were never synced, the truth is what the next leader has.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "faults/sim/invariants/breach.h"
#include "faults/sim/invariants/replica_model.h"

namespace ordeal::sim {

class PartitionInvariants {
 public:
  PartitionInvariants(const WorldPromises& promises, ReplicaModels& models, Breaches& breaches)
      : promises_(promises), models_(models), breaches_(breaches) {}
  void observe(const TraceEvent& event);
  void disturbed(NodeId node, DiskChange change);  // before the models follow

  void log_matching(const TopicPartition& at);
  void all_replicas_complete(const TopicPartition& at);

  Offset high_watermark(const TopicPartition& at) const;  // the highest any leader announced; 0 if none
  std::vector<TopicPartition> all() const;
  std::optional<NodeId> leader(const TopicPartition& at) const;  // of the highest epoch heard of

 private:
  struct NodeView {  // since the node's last start
    std::map<TopicPartition, LeaderEpoch> epoch;
    std::map<std::pair<TopicPartition, LeaderEpoch>, Offset> high_watermark;
    std::map<TopicPartition, Offset> own_high_watermark;  // announced by this node while it led
    std::map<TopicPartition, std::set<NodeId>> isr;       // as it knows it while it leads
  };
  struct PartitionView {
    std::map<LeaderEpoch, NodeId> leaders;
    std::map<PartitionEpoch, std::set<NodeId>> isr;
    Offset high_watermark = 0;
    std::vector<BatchId> truth;            // committed batches in order
    std::map<NodeId, std::size_t> agrees;  // how many of them the replica is known to hold
    std::set<NodeId> lossy;   // replicas that lost unsynced or all bytes, or may believe so, and did not rejoin since
    std::set<NodeId> behind;  // of those, the ones whose loss may still be unknown to their leader
    std::set<NodeId> committed_isr;       // the controller's
    PartitionEpoch committed_epoch = -1;  // and as of when
    int min_isr = 1;
    Offset truth_end() const { return truth.empty() ? 0 : truth.back().last_offset + 1; }
  };
  enum class Agreement { holds, shorter, differs };
  enum class Whose { leaders, controllers };  // view of an ISR

  void observe_leader(const TraceEvent& event, const TopicPartition& at, LeaderEpoch epoch);
  void observe_controller(const TraceEvent& event, const TopicPartition& at);
  void observe_high_watermark(const TraceEvent& event, const TopicPartition& at, LeaderEpoch epoch);

  void stopped_uncleanly(NodeId node);

  // One function an invariant.
  void single_leader(const TopicPartition& at, NodeId node, LeaderEpoch epoch);
  void monotonic_epoch(const TopicPartition& at, NodeId node, LeaderEpoch epoch);
  void one_isr_per_epoch(const TraceEvent& event, const TopicPartition& at);
  void monotonic_high_watermark(const TopicPartition& at, NodeId node, LeaderEpoch epoch, Offset hw);
  void offsets_ordered(const TraceEvent& event, const TopicPartition& at);
  void committed_stays(const TraceEvent& event, const TopicPartition& at);
  void leader_complete(const TopicPartition& at, NodeId node);
  void isr_complete(const TopicPartition& at, const std::set<NodeId>& isr, Whose whose);
  void joiners_complete(const TopicPartition& at, const std::set<NodeId>& before, const std::set<NodeId>& now,
                        std::string_view who);
  void high_watermark_needs_min_isr(const TopicPartition& at, NodeId node, Offset hw);

  void extend_truth(PartitionView& view, const TopicPartition& at, NodeId node, Offset hw);
  void restart_truth(PartitionView& view, NodeId node, const TopicPartition& at);
  Agreement compare(PartitionView& view, const TopicPartition& at, NodeId node);
  bool forgiven(const PartitionView& view) const;
  std::string first_difference(const PartitionView& view, const TopicPartition& at, NodeId node) const;

  const WorldPromises& promises_;
  ReplicaModels& models_;
  Breaches& breaches_;
  std::map<NodeId, NodeView> nodes_;
  std::map<TopicPartition, PartitionView> partitions_;
  std::set<NodeId> stopped_;  // in order, and not started since
};

}  // namespace ordeal::sim
