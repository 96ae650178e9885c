// What must hold in a simulated cluster whatever happens to it, checked from outside after every event: over the
// nodes' trace events as they are emitted, and over the bytes of the replicas as their disks change.
//
// Each invariant is a named function of one family: partitions.h, raft.h, controller.h, storage.h. Numbers in brackets
// are those of the corpus' list. What needs a client's eyes (acknowledgements, reads) is the checker's. Nothing here
// uses broker code: an invariant that shared the broker's arithmetic would share its mistakes.
#pragma once

#include <string>
#include <vector>

#include "faults/sim/invariants/breach.h"
#include "faults/sim/invariants/controller.h"
#include "faults/sim/invariants/partitions.h"
#include "faults/sim/invariants/raft.h"
#include "faults/sim/invariants/replica_model.h"
#include "faults/sim/invariants/storage.h"

namespace ordeal::sim {

class Invariants {
 public:
  // Watches `world`'s trace and disks from now on; outlives the world's run. `log_dir` is the same path on every node.
  Invariants(World& world, std::string log_dir, WorldPromises promises = {});
  Invariants(const Invariants&) = delete;
  Invariants& operator=(const Invariants&) = delete;

  void promise(WorldPromises promises) { promises_ = promises; }

  // Over whole files, as often as one likes: what the models' reading by increments could have missed.
  void check_replicas();
  // After heal and convergence: every replica of a partition holds the same batches up to the shortest end, and the
  // leader reaches the highest HW anyone announced [6, 7].
  void check_leaders_complete();

  const std::vector<Violation>& violations() const { return breaches_.all(); }
  Offset high_watermark(const TopicPartition& at) const { return partitions_.high_watermark(at); }
  std::vector<TopicPartition> partitions() const { return partitions_.all(); }
  std::optional<NodeId> leader(const TopicPartition& at) const { return partitions_.leader(at); }
  std::string summary() const;  // one line a violation

 private:
  void observe(const TraceEvent& event);

  World& world_;
  std::string log_dir_;
  WorldPromises promises_;
  Breaches breaches_;
  ReplicaModels models_;
  ControllerInvariants controller_;
  PartitionInvariants partitions_;
  RaftInvariants raft_;
  StorageInvariants storage_;
};

}  // namespace ordeal::sim
