#include "faults/sim/invariants/partitions.h"

#include <fmt/format.h>

#include <algorithm>

namespace ordeal::sim {
namespace {

std::string joined(const std::set<NodeId>& nodes) { return fmt::format("{}", fmt::join(nodes, ",")); }

}  // namespace

// ---- What is heard of

void PartitionInvariants::observe(const TraceEvent& event) {
  if (event.kind == "broker.start") {
    if (nodes_.contains(event.node) && !stopped_.contains(event.node)) stopped_uncleanly(event.node);
    stopped_.erase(event.node);
    nodes_[event.node] = NodeView{};
  }
  if (event.kind == "broker.stopped") stopped_.insert(event.node);
  const auto topic = event.text("topic");
  const auto partition = event.number("partition");
  if (!topic || !partition) return;
  const TopicPartition at{*topic, static_cast<PartitionId>(*partition)};
  const auto epoch = static_cast<LeaderEpoch>(event.number("leader_epoch").value_or(kNoEpoch));
  if (event.kind == "partition.leader" || event.kind == "partition.isr") {
    const std::set<NodeId> isr = parse_nodes(event.text("isr").value_or(""));
    one_isr_per_epoch(event, at);
    joiners_complete(at, nodes_[event.node].isr[at], isr, "a leader");
    nodes_[event.node].isr[at] = isr;
    // What the leader has applied is committed, though the controller may not have told it yet.
    PartitionView& view = partitions_[at];
    const auto decided = static_cast<PartitionEpoch>(event.number("partition_epoch").value_or(-1));
    if (view.committed_epoch >= 0 && decided > view.committed_epoch) {
      view.committed_epoch = decided;
      view.committed_isr = isr;
    }
  }
  if (event.kind == "partition.leader" || event.kind == "partition.follower") observe_leader(event, at, epoch);
  if (event.kind == "partition.hw") observe_high_watermark(event, at, epoch);
  if (event.kind == "partition.truncate") committed_stays(event, at);
  if (event.kind == "controller.partition") observe_controller(event, at);
}

// A controller that was paused tells late what another has long gone beyond: true once, but no longer what is.
void PartitionInvariants::observe_controller(const TraceEvent& event, const TopicPartition& at) {
  PartitionView& view = partitions_[at];
  const auto epoch = static_cast<PartitionEpoch>(event.number("partition_epoch").value_or(-1));
  if (epoch >= 0 && epoch < view.committed_epoch) return;
  view.committed_epoch = epoch;
  const std::set<NodeId> isr = parse_nodes(event.text("isr").value_or(""));
  joiners_complete(at, view.committed_isr, isr, "the controller");
  // Admitted again with all that is committed: what it once lost no longer counts. Before that a leader may still build
  // on what the replica had told it before the loss.
  for (const NodeId id : isr) {
    if (view.committed_isr.contains(id) || compare(view, at, id) != Agreement::holds) continue;
    view.lossy.erase(id);
    view.behind.erase(id);
  }
  view.committed_isr = isr;
  isr_complete(at, isr, Whose::controllers);
}

void PartitionInvariants::observe_leader(const TraceEvent& event, const TopicPartition& at, LeaderEpoch epoch) {
  monotonic_epoch(at, event.node, epoch);
  if (event.kind != "partition.leader") return;
  single_leader(at, event.node, epoch);
  PartitionView& view = partitions_[at];
  if (const auto min_isr = event.number("min_isr")) view.min_isr = static_cast<int>(*min_isr);
  if (view.leaders.rbegin()->first == epoch) leader_complete(at, event.node);
}

void PartitionInvariants::observe_high_watermark(const TraceEvent& event, const TopicPartition& at, LeaderEpoch epoch) {
  const Offset hw = event.number("hw").value_or(0);
  monotonic_high_watermark(at, event.node, epoch, hw);
  offsets_ordered(event, at);
  PartitionView& view = partitions_[at];
  const auto leads = view.leaders.find(epoch);
  if (leads == view.leaders.end() || leads->second != event.node) return;
  Offset& own = nodes_[event.node].own_high_watermark[at];
  own = std::max(own, hw);
  high_watermark_needs_min_isr(at, event.node, hw);
  view.high_watermark = std::max(view.high_watermark, hw);
  extend_truth(view, at, event.node, hw);
  if (view.leaders.rbegin()->first != epoch) return;  // deposed: its ISR is nobody's any more
  isr_complete(at, nodes_[event.node].isr[at], Whose::leaders);
  isr_complete(at, view.committed_isr, Whose::controllers);
}

// A broker that relies on its page cache cannot tell its own death from its machine's: whatever ends it but an orderly
// stop costs it its eligibility (KIP-966), and counts against what the minimum ISR promises.
void PartitionInvariants::stopped_uncleanly(NodeId node) {
  if (promises_.fsync) return;
  for (const TopicPartition& at : models_.on(node)) partitions_[at].lossy.insert(node);
}

// Called before the models follow: what a replica had not synced, or all of it, is about to be gone.
void PartitionInvariants::disturbed(NodeId node, DiskChange change) {
  if (change == DiskChange::power_cut && promises_.fsync) return;  // what was acknowledged was synced
  for (const TopicPartition& at : models_.on(node)) {
    PartitionView& view = partitions_[at];
    // What it had fetched may count towards a HW that is announced only after it lost that again.
    const ReplicaModel* model = models_.find(node, at);
    if (change == DiskChange::power_cut && model->synced_end() >= model->end()) continue;
    view.lossy.insert(node);
    view.behind.insert(node);
  }
}

// ---- Leaders and epochs

// [3] One leader an epoch.
void PartitionInvariants::single_leader(const TopicPartition& at, NodeId node, LeaderEpoch epoch) {
  const auto [held, first] = partitions_[at].leaders.emplace(epoch, node);
  if (!first && held->second != node)
    breaches_.report("SingleLeader",
                     fmt::format("{}: nodes {} and {} both lead epoch {}", at.to_string(), held->second, node, epoch));
}

// A running node's epoch never falls.
void PartitionInvariants::monotonic_epoch(const TopicPartition& at, NodeId node, LeaderEpoch epoch) {
  auto [known, fresh] = nodes_[node].epoch.emplace(at, epoch);
  if (!fresh && epoch < known->second)
    breaches_.report("MonotonicEpoch", fmt::format("{}: node {} went back from epoch {} to {}", at.to_string(), node,
                                                   known->second, epoch));
  known->second = std::max(known->second, epoch);
}

// LeaderInIsr [3]: the ISR holds the leader that speaks of it; one partition epoch, one ISR.
void PartitionInvariants::one_isr_per_epoch(const TraceEvent& event, const TopicPartition& at) {
  const std::set<NodeId> isr = parse_nodes(event.text("isr").value_or(""));
  if (!isr.contains(event.node))
    breaches_.report("LeaderInIsr",
                     fmt::format("{}: leader {} is not in its ISR '{}'", at.to_string(), event.node, joined(isr)));
  const auto epoch = static_cast<PartitionEpoch>(event.number("partition_epoch").value_or(-1));
  const auto [known, first] = partitions_[at].isr.emplace(epoch, isr);
  if (!first && known->second != isr)
    breaches_.report("OneIsrPerEpoch", fmt::format("{}: two ISRs in partition epoch {}: {} and {}", at.to_string(),
                                                   epoch, joined(known->second), joined(isr)));
}

// ---- High watermarks

// [11] Within one leader's epoch the HW only rises.
void PartitionInvariants::monotonic_high_watermark(const TopicPartition& at, NodeId node, LeaderEpoch epoch,
                                                   Offset hw) {
  auto [known, first] = nodes_[node].high_watermark.emplace(std::pair(at, epoch), hw);
  if (!first && hw < known->second)
    breaches_.report("MonotonicHighWatermark", fmt::format("{}: node {} in epoch {} lowered the HW from {} to {}",
                                                           at.to_string(), node, epoch, known->second, hw));
  known->second = std::max(known->second, hw);
}

// [39] Log start <= HW <= end.
void PartitionInvariants::offsets_ordered(const TraceEvent& event, const TopicPartition& at) {
  const Offset hw = event.number("hw").value_or(0);
  const Offset start = event.number("log_start").value_or(0);
  const Offset end = event.number("end").value_or(hw);
  if (start > hw || hw > end)
    breaches_.report("OffsetsOrdered", fmt::format("{}: node {} has log start {}, HW {}, end {}", at.to_string(),
                                                   event.node, start, hw, end));
}

// KIP-966: the HW stands still while the ISR is below its minimum.
void PartitionInvariants::high_watermark_needs_min_isr(const TopicPartition& at, NodeId node, Offset hw) {
  const PartitionView& view = partitions_[at];
  const std::set<NodeId>& isr = nodes_[node].isr[at];
  if (hw > view.high_watermark && static_cast<int>(isr.size()) < view.min_isr)
    breaches_.report("HighWatermarkNeedsMinIsr",
                     fmt::format("{}: leader {} raised the HW from {} to {} with ISR {}, below the minimum of {}",
                                 at.to_string(), node, view.high_watermark, hw, joined(isr), view.min_isr));
}

// What a node itself had declared committed it never cuts again (since its last start).
void PartitionInvariants::committed_stays(const TraceEvent& event, const TopicPartition& at) {
  const Offset to = event.number("to").value_or(0);
  const Offset own = nodes_[event.node].own_high_watermark[at];
  if (to < own && !forgiven(partitions_[at]))
    breaches_.report("CommittedStays", fmt::format("{}: node {} truncated to {}, below the HW {} it had announced",
                                                   at.to_string(), event.node, to, own));
}

// ---- Content below the high watermark

bool PartitionInvariants::forgiven(const PartitionView& view) const {
  return promises_.unclean || static_cast<int>(view.lossy.size()) >= promises_.min_isr;
}

PartitionInvariants::Agreement PartitionInvariants::compare(PartitionView& view, const TopicPartition& at,
                                                            NodeId node) {
  ReplicaModel* model = models_.find(node, at);
  std::size_t& agrees = view.agrees[node];
  if (model == nullptr) return view.truth.empty() ? Agreement::holds : Agreement::shorter;
  agrees = std::min(agrees, view.truth.size());
  while (agrees > 0 && view.truth[agrees - 1].last_offset >= model->valid_below()) --agrees;
  model->forget_damage();
  for (; agrees < view.truth.size(); ++agrees) {
    const BatchId& wanted = view.truth[agrees];
    if (wanted.last_offset < model->deleted_to()) continue;  // retention took it
    const std::size_t found = model->find(wanted.base_offset);
    if (found == model->size()) return Agreement::shorter;
    if (model->batch(found) != wanted) return Agreement::differs;
  }
  return Agreement::holds;
}

std::string PartitionInvariants::first_difference(const PartitionView& view, const TopicPartition& at,
                                                  NodeId node) const {
  const std::size_t agrees = view.agrees.at(node);
  const BatchId& wanted = view.truth[agrees];
  const ReplicaModel* model = models_.find(node, at);
  const std::size_t found = model == nullptr ? 0 : model->find(wanted.base_offset);
  if (model == nullptr || found == model->size())
    return fmt::format("ends at {}, without the committed {}", model == nullptr ? 0 : model->end(), wanted.to_string());
  return fmt::format("has {} where {} was committed", model->batch(found).to_string(), wanted.to_string());
}

void PartitionInvariants::restart_truth(PartitionView& view, NodeId node, const TopicPartition& at) {
  const ReplicaModel* model = models_.find(node, at);
  const std::size_t common = std::min(view.agrees[node], view.truth.size());
  view.truth.resize(common);
  view.high_watermark = std::min(view.high_watermark, model == nullptr ? 0 : model->end());
}

// Committed is what a leader announces below its HW, as long as it holds everything committed before.
void PartitionInvariants::extend_truth(PartitionView& view, const TopicPartition& at, NodeId node, Offset hw) {
  if (hw <= view.truth_end()) return;
  leader_complete(at, node);
  const ReplicaModel* model = models_.find(node, at);
  if (model == nullptr) return;
  for (std::size_t i = model->find(view.truth_end()); i < model->size() && model->batch(i).last_offset < hw; ++i)
    view.truth.push_back(model->batch(i));
  view.agrees[node] = view.truth.size();
}

// LeaderCompleteness [6], UncleanExclusion [10]: a leader holds all that was committed.
void PartitionInvariants::leader_complete(const TopicPartition& at, NodeId node) {
  PartitionView& view = partitions_[at];
  const bool was_behind = view.behind.contains(node);
  if (compare(view, at, node) == Agreement::holds) return;
  if (!forgiven(view))
    breaches_.report(was_behind ? "UncleanExclusion" : "LeaderCompleteness",
                     fmt::format("{}: leader {} {}", at.to_string(), node, first_difference(view, at, node)));
  restart_truth(view, node, at);
}

// StrongIsr [1], WeakIsr [2], ValidHighWatermark [4], LeaderCandidateCompleteness [5]: below the HW every member of
// the ISR holds the same, and has it synced where that is promised.
void PartitionInvariants::isr_complete(const TopicPartition& at, const std::set<NodeId>& isr, Whose whose) {
  PartitionView& view = partitions_[at];
  if (forgiven(view)) return;
  for (const NodeId id : isr) {
    if (view.behind.contains(id)) continue;
    const Agreement agreement = compare(view, at, id);
    const char* view_of = whose == Whose::leaders ? "its leader's" : "the controller's";
    if (agreement == Agreement::differs)
      breaches_.report(
          whose == Whose::leaders ? "WeakIsr" : "StrongIsr",
          fmt::format("{}: node {} in {} ISR {}", at.to_string(), id, view_of, first_difference(view, at, id)));
    if (agreement == Agreement::shorter)
      breaches_.report(
          whose == Whose::leaders ? "ValidHighWatermark" : "LeaderCandidateCompleteness",
          fmt::format("{}: node {} in {} ISR {}", at.to_string(), id, view_of, first_difference(view, at, id)));
    const ReplicaModel* model = models_.find(id, at);
    if (agreement == Agreement::holds && promises_.fsync && model != nullptr && !model->empty() &&
        model->synced_end() < view.truth_end())
      breaches_.report("CommittedIsSynced",
                       fmt::format("{}: node {} in {} ISR has synced up to {} only, {} is committed", at.to_string(),
                                   id, view_of, model->synced_end(), view.truth_end()));
  }
}

// A joiner holds what is committed, whatever happened to its disk before (KIP-903).
void PartitionInvariants::joiners_complete(const TopicPartition& at, const std::set<NodeId>& before,
                                           const std::set<NodeId>& now, std::string_view who) {
  PartitionView& view = partitions_[at];
  if (before.empty() || forgiven(view)) return;
  for (const NodeId id : now) {
    if (before.contains(id) || !view.behind.contains(id)) continue;
    if (compare(view, at, id) != Agreement::holds)
      breaches_.report("UncleanExclusion", fmt::format("{}: {} admitted node {} to the ISR, which {}", at.to_string(),
                                                       who, id, first_difference(view, at, id)));
  }
}

// ---- Over whole files

// LogMatching [8]: (epoch, base offset) names one batch on every replica; within a replica offsets rise without
// overlap and epochs never fall.
void PartitionInvariants::log_matching(const TopicPartition& at) {
  std::map<std::pair<LeaderEpoch, Offset>, std::pair<NodeId, BatchId>> seen;
  for (const auto& [id, replica] : models_.read(at)) {
    const BatchId* before = nullptr;
    for (const BatchId& batch : replica.batches) {
      if (!batch.crc_good) break;  // a torn tail: recovery's business, not a claim of the replica
      if (before != nullptr && (batch.base_offset <= before->last_offset || batch.leader_epoch < before->leader_epoch))
        breaches_.report("LogMatching", fmt::format("{} on node {}: {} follows {}", at.to_string(), id,
                                                    batch.to_string(), before->to_string()));
      before = &batch;
      const auto [first, fresh] = seen.emplace(std::pair(batch.leader_epoch, batch.base_offset), std::pair(id, batch));
      if (!fresh && first->second.second != batch)
        breaches_.report("LogMatching",
                         fmt::format("{}: node {} has {}, node {} has {}", at.to_string(), first->second.first,
                                     first->second.second.to_string(), id, batch.to_string()));
    }
  }
}

// NoCommittedRecordLostGlobally [7] and [1] once more, when nothing is in motion: the leader holds all that was
// committed, and no replica holds anything else below its end.
void PartitionInvariants::all_replicas_complete(const TopicPartition& at) {
  PartitionView& view = partitions_[at];
  const std::optional<NodeId> leads = leader(at);
  if (!leads || models_.find(*leads, at) == nullptr) return;
  leader_complete(at, *leads);
  for (const auto& [id, model] : models_.of(at))
    if (compare(view, at, id) == Agreement::differs)
      breaches_.report("StrongIsr", fmt::format("{}: node {} {}", at.to_string(), id, first_difference(view, at, id)));
}

// ---- What others ask

Offset PartitionInvariants::high_watermark(const TopicPartition& at) const {
  const auto found = partitions_.find(at);
  return found == partitions_.end() ? 0 : found->second.high_watermark;
}

std::vector<TopicPartition> PartitionInvariants::all() const {
  std::vector<TopicPartition> all;
  for (const auto& [at, view] : partitions_) all.push_back(at);
  return all;
}

std::optional<NodeId> PartitionInvariants::leader(const TopicPartition& at) const {
  const auto found = partitions_.find(at);
  if (found == partitions_.end() || found->second.leaders.empty()) return std::nullopt;
  return found->second.leaders.rbegin()->second;
}

}  // namespace ordeal::sim
