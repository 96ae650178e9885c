#include "faults/sim/invariants/invariants.h"

#include <fmt/format.h>

#include <algorithm>

namespace ordeal::sim {
namespace {

std::set<NodeId> parse_nodes(const std::string& list) {
  std::set<NodeId> nodes;
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    if (comma > at) nodes.insert(std::stoi(list.substr(at, comma - at)));
    at = comma + 1;
  }
  return nodes;
}

}  // namespace

Invariants::Invariants(World& world, std::string log_dir) : world_(world), log_dir_(std::move(log_dir)) {
  world_.trace().observe([this](const TraceEvent& event) { observe(event); });
}

void Invariants::fail(std::string invariant, std::string text) {
  constexpr std::uint64_t kEach = 5;  // one mistake breaks an invariant many times
  if (++counts_[invariant] > kEach) return;
  violations_.push_back({std::move(invariant), std::move(text), world_.now()});
}

std::string Invariants::summary() const {
  std::string text;
  for (const Violation& violation : violations_)
    text +=
        fmt::format("{} at {} ns: {}\n", violation.invariant, violation.at.time_since_epoch().count(), violation.text);
  return text;
}

void Invariants::observe(const TraceEvent& event) {
  if (event.kind == "broker.start") {
    nodes_[event.node] = NodeView{};
    raft_terms_[event.node] = led_terms_[event.node];
  }
  if (event.kind == "raft.role" || event.kind == "controller.active") observe_raft(event);
  const auto topic = event.text("topic");
  const auto partition = event.number("partition");
  if (!topic || !partition) return;
  const TopicPartition at{*topic, static_cast<PartitionId>(*partition)};
  const auto epoch = static_cast<LeaderEpoch>(event.number("leader_epoch").value_or(kNoEpoch));
  if (event.kind == "partition.leader" || event.kind == "partition.follower") observe_leader(event, at, epoch);
  if (event.kind == "partition.leader" || event.kind == "partition.isr") observe_isr(event, at);
  if (event.kind == "partition.hw") observe_high_watermark(event, at, epoch);
  if (event.kind == "partition.truncate") observe_truncation(event, at);
}

// ElectionSafety [13]: one leader a term; a running node's term never goes back. A node speaks of a new term before it
// has persisted it, so a crash may take it back, but not below a term it led: for that others had to hear of it.
void Invariants::observe_raft(const TraceEvent& event) {
  const std::int64_t term = event.number("term").value_or(-1);
  if (event.kind == "controller.active") {
    const auto [held, first] = active_controllers_.emplace(term, event.node);
    if (!first && held->second != event.node)
      fail("ElectionSafety",
           fmt::format("nodes {} and {} are both controller of term {}", held->second, event.node, term));
    return;
  }
  auto [known, fresh] = raft_terms_.emplace(event.node, term);
  if (!fresh && term < known->second)
    fail("ElectionSafety", fmt::format("node {} went back from term {} to {}", event.node, known->second, term));
  known->second = std::max(known->second, term);
  if (event.text("role") != "leader") return;
  if (world_.nodes().size() > 1) led_terms_[event.node] = std::max(led_terms_[event.node], term);
  const auto [held, first] = raft_leaders_.emplace(term, event.node);
  if (!first && held->second != event.node)
    fail("ElectionSafety", fmt::format("nodes {} and {} both lead term {}", held->second, event.node, term));
}

// One leader an epoch, and a running node's epoch never falls.
void Invariants::observe_leader(const TraceEvent& event, const TopicPartition& at, LeaderEpoch epoch) {
  PartitionView& partition = partitions_[at];
  partition.replicas.insert(event.node);
  auto [known, fresh] = nodes_[event.node].epoch.emplace(at, epoch);
  if (!fresh && epoch < known->second)
    fail("MonotonicEpoch",
         fmt::format("{}: node {} went back from epoch {} to {}", at.to_string(), event.node, known->second, epoch));
  known->second = std::max(known->second, epoch);
  if (event.kind != "partition.leader") return;
  const auto [held, first] = partition.leaders.emplace(epoch, event.node);
  if (!first && held->second != event.node)
    fail("SingleLeader",
         fmt::format("{}: nodes {} and {} both lead epoch {}", at.to_string(), held->second, event.node, epoch));
}

// LeaderInIsr [3]: the ISR is never empty and holds the leader that speaks of it; one partition epoch, one ISR.
void Invariants::observe_isr(const TraceEvent& event, const TopicPartition& at) {
  const std::set<NodeId> isr = parse_nodes(event.text("isr").value_or(""));
  PartitionView& partition = partitions_[at];
  partition.replicas.insert(isr.begin(), isr.end());
  if (!isr.contains(event.node))
    fail("LeaderInIsr", fmt::format("{}: leader {} is not in its ISR '{}'", at.to_string(), event.node,
                                    event.text("isr").value_or("")));
  const auto epoch = static_cast<PartitionEpoch>(event.number("partition_epoch").value_or(-1));
  const auto [known, first] = partition.isr.emplace(epoch, isr);
  if (!first && known->second != isr)
    fail("OneIsrPerEpoch", fmt::format("{}: two ISRs in partition epoch {}", at.to_string(), epoch));
}

// Within one leader's epoch the HW only rises [11].
void Invariants::observe_high_watermark(const TraceEvent& event, const TopicPartition& at, LeaderEpoch epoch) {
  const Offset hw = event.number("hw").value_or(0);
  NodeView& node = nodes_[event.node];
  auto [known, first] = node.high_watermark.emplace(std::pair(at, epoch), hw);
  if (!first && hw < known->second)
    fail("MonotonicHighWatermark", fmt::format("{}: node {} in epoch {} lowered the HW from {} to {}", at.to_string(),
                                               event.node, epoch, known->second, hw));
  known->second = std::max(known->second, hw);
  PartitionView& partition = partitions_[at];
  const auto leads = partition.leaders.find(epoch);
  if (leads == partition.leaders.end() || leads->second != event.node) return;
  Offset& own = node.own_high_watermark[at];
  own = std::max(own, hw);
  partition.high_watermark = std::max(partition.high_watermark, hw);
}

// What a node itself had declared committed it never cuts again (since its last start).
void Invariants::observe_truncation(const TraceEvent& event, const TopicPartition& at) {
  const Offset to = event.number("to").value_or(0);
  const Offset own = nodes_[event.node].own_high_watermark[at];
  if (to < own)
    fail("CommittedStays", fmt::format("{}: node {} truncated to {}, below the HW {} it had announced itself",
                                       at.to_string(), event.node, to, own));
}

Offset Invariants::high_watermark(const TopicPartition& at) const {
  const auto found = partitions_.find(at);
  return found == partitions_.end() ? 0 : found->second.high_watermark;
}

std::vector<TopicPartition> Invariants::partitions() const {
  std::vector<TopicPartition> all;
  for (const auto& [at, view] : partitions_) all.push_back(at);
  return all;
}

std::optional<NodeId> Invariants::leader(const TopicPartition& at) const {
  const auto found = partitions_.find(at);
  if (found == partitions_.end() || found->second.leaders.empty()) return std::nullopt;
  return found->second.leaders.rbegin()->second;
}

std::map<NodeId, ReplicaFiles> Invariants::read_replicas(const TopicPartition& at) {
  std::map<NodeId, ReplicaFiles> replicas;
  for (const NodeId id : world_.nodes()) {
    ReplicaFiles files = read_replica(world_.disk(id), log_dir_, at);
    if (files.exists) replicas.emplace(id, std::move(files));
  }
  return replicas;
}

// LogMatching [8]: (epoch, base offset) names one batch on every replica; within a replica offsets rise without
// overlap and epochs never fall.
void Invariants::check_replicas() {
  for (const TopicPartition& at : partitions()) {
    std::map<std::pair<LeaderEpoch, Offset>, std::pair<NodeId, BatchId>> seen;
    for (const auto& [id, replica] : read_replicas(at)) {
      const BatchId* before = nullptr;
      for (const BatchId& batch : replica.batches) {
        if (!batch.crc_good) break;  // a torn tail: recovery's business, not a claim of the replica
        if (before != nullptr &&
            (batch.base_offset <= before->last_offset || batch.leader_epoch < before->leader_epoch))
          fail("LogMatching",
               fmt::format("{} on node {}: {} follows {}", at.to_string(), id, batch.to_string(), before->to_string()));
        before = &batch;
        const auto [first, fresh] =
            seen.emplace(std::pair(batch.leader_epoch, batch.base_offset), std::pair(id, batch));
        if (!fresh && first->second.second != batch)
          fail("LogMatching", fmt::format("{}: node {} has {}, node {} has {}", at.to_string(), first->second.first,
                                          first->second.second.to_string(), id, batch.to_string()));
      }
    }
  }
}

void Invariants::check_leaders_complete() {
  check_replicas();
  for (const TopicPartition& at : partitions()) {
    const std::map<NodeId, ReplicaFiles> replicas = read_replicas(at);
    const std::optional<NodeId> leads = leader(at);
    if (!leads || !replicas.contains(*leads)) continue;
    const ReplicaFiles& model = replicas.at(*leads);
    if (model.end() < high_watermark(at))
      fail("LeaderCompleteness", fmt::format("{}: leader {} ends at {}, but {} was committed", at.to_string(), *leads,
                                             model.end(), high_watermark(at)));
    for (const auto& [id, replica] : replicas) {
      const Offset common = std::min(high_watermark(at), std::min(model.end(), replica.end()));
      std::set<BatchId> leading(model.batches.begin(), model.batches.end());
      for (const BatchId& batch : replica.batches) {
        if (batch.last_offset >= common || batch.base_offset < model.start()) continue;
        if (!leading.contains(batch))
          fail("StrongIsr", fmt::format("{}: node {} has {} below the HW {}, leader {} has not", at.to_string(), id,
                                        batch.to_string(), high_watermark(at), *leads));
      }
    }
  }
}

}  // namespace ordeal::sim
