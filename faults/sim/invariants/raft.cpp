#include "faults/sim/invariants/raft.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace ordeal::sim {

void RaftInvariants::observe(const TraceEvent& event) {
  NodeView& node = nodes_[event.node];
  if (event.kind == "broker.start") {
    const std::int64_t led = node.led_term;
    node = NodeView{};
    node.led_term = led;
    node.term = led;
  }
  if (event.kind == "raft.role") observe_role(event, node);
  if (event.kind == "controller.active" || event.kind == "controller.resigned") observe_controller(event, node);
  if (event.kind == "raft.commit") observe_commit(event, node);
  if (event.kind == "raft.applied") observe_applied(event, node);
  if (event.kind == "raft.truncate") committed_metadata_stays(event, node);
  if (event.kind == "raft.snapshot") leader_loads_no_snapshot(event, node);
  if (event.kind == "raft.compacted") snapshot_at_log_start(event, node);
  if (event.kind == "raft.voters") one_voter_change_at_a_time(event, node);
}

// Who lost his disk begins from nothing.
void RaftInvariants::disturbed(NodeId node, DiskChange change) {
  if (change == DiskChange::wipe) nodes_[node] = NodeView{};
}

// A node speaks of a new term before it has persisted it, so a crash may take it back, but not below a term it led:
// for that others had to hear of it.
void RaftInvariants::observe_role(const TraceEvent& event, NodeView& node) {
  const std::int64_t term = event.number("term").value_or(-1);
  if (term < node.term)
    breaches_.report("ElectionSafety",
                     fmt::format("node {} went back from term {} to {}", event.node, node.term, term));
  node.term = std::max(node.term, term);
  node.leads = event.text("role") == "leader";
  if (!node.leads) return;
  if (world_.nodes().size() > 1) node.led_term = std::max(node.led_term, term);
  election_safety(event.node, term);
  metadata_durable(event);
}

// [13] One leader a term, and of that node one incarnation: what it had written may be gone with the first
// (KAFKA-10527). A lone voter may die before it has stored the term that it told us of.
void RaftInvariants::election_safety(NodeId node, std::int64_t term) {
  const std::uint64_t incarnation = world_.incarnation(node);
  const auto [held, first] = leaders_.try_emplace(term, node, incarnation);
  if (first) return;
  const auto& [leader, led] = held->second;
  if (leader != node)
    breaches_.report("ElectionSafety", fmt::format("nodes {} and {} both lead term {}", leader, node, term));
  if (leader == node && led != incarnation && world_.nodes().size() > 1)
    breaches_.report("ElectionSafety", fmt::format("node {} leads term {} again after a restart", node, term));
}

// Committed is what a majority has synced: that says nothing where a disk only said that it had. What a single node
// does with its own log, and elections, are judged all the same.
bool RaftInvariants::disks_lied() const {
  return std::ranges::any_of(world_.nodes(), [&](NodeId id) { return world_.disk(id).has_lied(); });
}

// A new leader's log reaches at least as far as anything that was committed [15].
void RaftInvariants::metadata_durable(const TraceEvent& event) {
  const auto end = event.number("end");
  if (end && *end < committed_ && !disks_lied())
    breaches_.report("MetadataDurable", fmt::format("node {} leads term {} with a log that ends at {}; {} is committed",
                                                    event.node, event.number("term").value_or(-1), *end, committed_));
}

void RaftInvariants::observe_controller(const TraceEvent& event, NodeView& node) {
  const std::int64_t term = event.number("term").value_or(-1);
  node.controls = event.kind == "controller.active";
  if (!node.controls) return;
  const auto [held, first] = active_controllers_.emplace(term, event.node);
  if (!first && held->second != event.node)
    breaches_.report("ElectionSafety",
                     fmt::format("nodes {} and {} are both controller of term {}", held->second, event.node, term));
  for (const auto& [id, other] : nodes_)
    if (id != event.node && other.controls)
      one_active_controller(id, other.term, world_.incarnation(id), Duration::zero());
}

// A deposed controller that runs notices within a bound: it hears of the new term, or no majority answers it
// (KAFKA-15489). A pause is no running: the bound begins anew after it.
void RaftInvariants::one_active_controller(NodeId deposed, std::int64_t its_term, std::uint64_t incarnation,
                                           Duration ran) {
  static constexpr Duration kTick = 250ms;
  const NodeView& node = nodes_[deposed];
  const bool same = world_.state(deposed) != NodeState::down && world_.incarnation(deposed) == incarnation;
  if (!same || !node.controls || node.term != its_term) return;
  // A log that cannot be synced keeps its node from taking the next step, and that is no running either.
  if (world_.state(deposed) == NodeState::paused || world_.disk(deposed).stalls()) ran = Duration::zero();
  if (ran >= promises_.controller_step_down) {
    const auto& [term, successor] = *active_controllers_.rbegin();
    breaches_.report("OneActiveController",
                     fmt::format("node {} still acts as controller of term {}, {} s after node {} took over in {}",
                                 deposed, its_term, promises_.controller_step_down / 1s, successor, term));
    return;
  }
  world_.at(world_.now() + kTick, [this, deposed, its_term, incarnation, ran] {
    one_active_controller(deposed, its_term, incarnation, ran + kTick);
  });
}

// [12] Wherever two nodes speak of one index, the logs up to it are one.
void RaftInvariants::metadata_log_matching(const TraceEvent& event, std::int64_t index) {
  const auto hash = event.number("hash");
  if (!hash || disks_lied()) return;
  const auto [known, first] = entries_.emplace(index, Entry{*hash, event.node});
  if (!first && known->second.hash != *hash)
    breaches_.report("MetadataLogMatching",
                     fmt::format("nodes {} and {} have different metadata up to index {} ({:x} and {:x}), and node {} "
                                 "calls it {}",
                                 known->second.first, event.node, index, static_cast<std::uint64_t>(known->second.hash),
                                 static_cast<std::uint64_t>(*hash), event.node,
                                 event.kind == "raft.commit" ? "committed" : "applied"));
}

// [12] Equal logs make equal state machines.
void RaftInvariants::applied_metadata_matching(const TraceEvent& event, std::int64_t index) {
  const auto digest = event.number("digest");
  if (!digest || disks_lied()) return;
  const auto [known, first] = images_.emplace(index, Entry{*digest, event.node});
  if (!first && known->second.hash != *digest)
    breaches_.report("MetadataLogMatching",
                     fmt::format("nodes {} and {} have both applied index {}, and their images differ",
                                 known->second.first, event.node, index));
}

// [14] The commit index of a running node only rises.
void RaftInvariants::observe_commit(const TraceEvent& event, NodeView& node) {
  const std::int64_t index = event.number("index").value_or(-1);
  if (index < node.commit)
    breaches_.report("RaftHighWatermarkMonotonic",
                     fmt::format("node {} lowered its commit index from {} to {}", event.node, node.commit, index));
  node.commit = std::max(node.commit, index);
  committed_ = std::max(committed_, index);
  metadata_log_matching(event, index);
}

// [14] Nothing above the commit index is applied.
void RaftInvariants::observe_applied(const TraceEvent& event, NodeView& node) {
  const std::int64_t index = event.number("index").value_or(-1);
  node.applied = std::max(node.applied, index);
  if (index > node.commit && node.commit >= 0)
    breaches_.report("AppliesOnlyCommitted", fmt::format("node {} applied index {}, but has committed only {}",
                                                         event.node, index, node.commit));
  if (index <= node.commit) metadata_log_matching(event, index);
  if (index <= node.commit) applied_metadata_matching(event, index);
}

// [14] Nothing at or below the commit index is cut. `to` is the new last index.
void RaftInvariants::committed_metadata_stays(const TraceEvent& event, const NodeView& node) {
  const std::int64_t to = event.number("to").value_or(0);
  if (to < node.commit)
    breaches_.report("CommittedMetadataStays", fmt::format("node {} cut its metadata log back to {}, below {}, which "
                                                           "it knows to be committed",
                                                           event.node, to, node.commit));
}

// [16]
void RaftInvariants::leader_loads_no_snapshot(const TraceEvent& event, const NodeView& node) {
  if (node.leads)
    breaches_.report("LeaderLoadsNoSnapshot",
                     fmt::format("node {} leads term {} and installed a snapshot", event.node, node.term));
}

// [16] The log may begin only after what the state machine holds.
void RaftInvariants::snapshot_at_log_start(const TraceEvent& event, const NodeView& node) {
  const std::int64_t index = event.number("index").value_or(0);
  if (node.applied >= 0 && index > node.applied)
    breaches_.report("SnapshotAtLogStart", fmt::format("node {} dropped its log up to {}, but has applied only {}",
                                                       event.node, index, node.applied));
}

// [15] A change of the voters adds or removes one, and follows a change that is committed. A node that comes from a
// snapshot may have missed some.
void RaftInvariants::one_voter_change_at_a_time(const TraceEvent& event, NodeView& node) {
  const std::set<NodeId> now = parse_nodes(event.text("voters").value_or(""));
  const std::int64_t index = event.number("index").value_or(-1);
  std::set<NodeId> changed;
  std::ranges::set_symmetric_difference(node.voters, now, std::inserter(changed, changed.end()));
  const bool appended = node.leads && !node.voters.empty() && index > node.voters_index;
  if (appended && changed.size() > 1)
    breaches_.report("OneVoterChangeAtATime", fmt::format("node {} went from voters {} to {} in one step", event.node,
                                                          fmt::join(node.voters, ","), fmt::join(now, ",")));
  if (appended && !changed.empty() && node.voters_index > node.commit)
    breaches_.report("OneVoterChangeAtATime",
                     fmt::format("node {} changed the voters at {} while the change at {} was not committed",
                                 event.node, index, node.voters_index));
  node.voters = now;
  node.voters_index = index;
}

}  // namespace ordeal::sim
