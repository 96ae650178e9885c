// Every replica's log as its disk has it, followed write by write and without the broker's code.
//
// A model holds the batches of one replica in file order, where each ends in its file, and how far the bytes are
// synced. It is what the invariants over content look at, so that none of them reads a file again after each event.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "broker/base/types.h"
#include "faults/sim/invariants/replica_files.h"
#include "faults/sim/sim_world.h"

namespace ordeal::sim {

class ReplicaModel {
 public:
  bool empty() const { return batches_.empty(); }
  Offset start() const { return batches_.empty() ? empty_at_ : batches_.front().id.base_offset; }
  Offset end() const { return batches_.empty() ? empty_at_ : batches_.back().id.last_offset + 1; }
  // Everything below is synced; start() if nothing is.
  Offset synced_end() const;
  // Batches were cut away, and a power cut may undo that: nothing was synced since.
  bool cut_unsynced() const { return cut_unsynced_; }
  std::size_t size() const { return batches_.size(); }
  const BatchId& batch(std::size_t index) const { return batches_[index].id; }
  // The first batch that holds or follows `offset`; size() if none does.
  std::size_t find(Offset offset) const;
  // Below it nothing needs to be there: retention took it, or the replica began later than that.
  Offset deleted_to() const { return deleted_to_; }
  // Raised by every change that took batches away or replaced them: positions learned before are void from
  // `valid_below()` on. Reset by forget_damage().
  Offset valid_below() const { return valid_below_; }
  void forget_damage() { valid_below_ = kUntouched; }

 private:
  friend class ReplicaModels;
  static constexpr Offset kUntouched = INT64_MAX;
  struct Placed {
    BatchId id;
    std::string file;  // the segment's path
    std::uint64_t end_in_file = 0;
    bool synced = false;
  };
  void cut(std::size_t index);  // batches from there on are gone

  std::vector<Placed> batches_;
  Offset empty_at_ = 0;  // where the last segment begins by its name: the end of a log without batches
  Offset valid_below_ = kUntouched;
  Offset deleted_to_ = 0;
  bool cut_unsynced_ = false;
};

class ReplicaModels {
 public:
  using Changed = std::function<void(NodeId, const TopicPartition&, DiskChange)>;
  using Disturbed = std::function<void(NodeId, DiskChange)>;  // power_cut and wipe, before the models follow

  // Follows the disks of all nodes that `world` has when attach() is called, and of those added later once they start.
  ReplicaModels(World& world, std::string log_dir) : world_(world), log_dir_(std::move(log_dir)) {}
  void attach(NodeId node);
  void on_disturbed(Disturbed fn) { disturbed_ = std::move(fn); }

  const ReplicaModel* find(NodeId node, const TopicPartition& at) const;
  ReplicaModel* find(NodeId node, const TopicPartition& at);
  std::map<NodeId, const ReplicaModel*> of(const TopicPartition& at) const;
  std::vector<TopicPartition> on(NodeId node) const;
  std::map<NodeId, ReplicaFiles> read(const TopicPartition& at) const;  // the files themselves

 private:
  using OfNode = std::map<TopicPartition, ReplicaModel>;
  std::optional<TopicPartition> partition_of(const std::string& path) const;
  void observe(NodeId node, DiskChange change, const std::string& path, std::uint64_t offset);
  void read_on(NodeId node, ReplicaModel& model, const std::string& path, std::uint64_t from);
  void mark_synced(ReplicaModel& model, const std::string& path);
  void rescan(NodeId node, const TopicPartition& at, ReplicaModel& model, bool synced);
  void rescan_all(NodeId node);

  World& world_;
  std::string log_dir_;
  Disturbed disturbed_;
  std::map<NodeId, OfNode> nodes_;
};

}  // namespace ordeal::sim
