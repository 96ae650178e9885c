// Invariants over one replica's storage: what recovery makes of it, and what its index finds.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "faults/sim/invariants/breach.h"
#include "faults/sim/invariants/replica_model.h"

namespace ordeal::sim {

class StorageInvariants {
 public:
  StorageInvariants(ReplicaModels& models, Breaches& breaches) : models_(models), breaches_(breaches) {}
  void observe(const TraceEvent& event);
  void disturbed(NodeId node, DiskChange change);  // before the models follow

 private:
  struct Written {  // as it was when the node last lost power
    std::vector<BatchId> batches;
    Offset synced_end = 0;
    bool cut_unsynced = false;
    bool trusted = true;  // false: the disk was wiped or rotted, nothing is to be found again
  };

  void crash_prefix(const TraceEvent& event, const TopicPartition& at);
  void index_within_target(const TraceEvent& event);
  void retention_below_high_watermark(const TraceEvent& event);

  ReplicaModels& models_;
  Breaches& breaches_;
  std::map<std::pair<NodeId, TopicPartition>, Written> written_;
};

}  // namespace ordeal::sim
