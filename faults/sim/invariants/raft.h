// Invariants over the metadata quorum: elections, what is committed and applied, snapshots, voters.
//
// Nodes say with each move of their commit index which entry stands there, as a hash over all entries up to it: two
// nodes with the same hash at the same index have the same log.
#pragma once

#include <map>
#include <set>
#include <utility>

#include "faults/sim/invariants/breach.h"

namespace ordeal::sim {

class RaftInvariants {
 public:
  RaftInvariants(World& world, const WorldPromises& promises, Breaches& breaches)
      : world_(world), promises_(promises), breaches_(breaches) {}
  void observe(const TraceEvent& event);
  void disturbed(NodeId node, DiskChange change);

 private:
  struct Entry {
    std::int64_t hash = 0;
    NodeId first = kNoNode;  // who said so first
  };
  struct NodeView {
    // Since the node's last start.
    std::int64_t term = -1;
    std::int64_t commit = -1;
    std::int64_t applied = -1;
    bool leads = false;
    bool controls = false;
    std::set<NodeId> voters;
    std::int64_t voters_index = -1;
    // Ever.
    std::int64_t led_term = -1;
  };

  void observe_role(const TraceEvent& event, NodeView& node);
  void observe_commit(const TraceEvent& event, NodeView& node);
  void observe_applied(const TraceEvent& event, NodeView& node);
  void observe_controller(const TraceEvent& event, NodeView& node);

  bool disks_lied() const;
  void election_safety(NodeId node, std::int64_t term);
  void one_active_controller(NodeId deposed, std::int64_t its_term, std::uint64_t incarnation, Duration ran);
  void metadata_log_matching(const TraceEvent& event, std::int64_t index);
  void applied_metadata_matching(const TraceEvent& event, std::int64_t index);
  void committed_metadata_stays(const TraceEvent& event, const NodeView& node);
  void leader_loads_no_snapshot(const TraceEvent& event, const NodeView& node);
  void snapshot_at_log_start(const TraceEvent& event, const NodeView& node);
  void one_voter_change_at_a_time(const TraceEvent& event, NodeView& node);
  void metadata_durable(const TraceEvent& event);

  World& world_;
  const WorldPromises& promises_;
  Breaches& breaches_;
  std::map<NodeId, NodeView> nodes_;
  std::map<std::int64_t, std::pair<NodeId, std::uint64_t>> leaders_;  // term -> node and its incarnation
  std::map<std::int64_t, NodeId> active_controllers_;                 // likewise
  std::map<std::int64_t, Entry> entries_;                             // by index: what was committed there
  std::map<std::int64_t, Entry> images_;  // by index: the digest of what was applied up to there
  std::int64_t committed_ = -1;           // the highest index that any node called committed
};

}  // namespace ordeal::sim
