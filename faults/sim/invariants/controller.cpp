#include "faults/sim/invariants/controller.h"

#include <fmt/format.h>

#include <algorithm>

namespace ordeal::sim {
namespace {

std::string joined(const std::set<NodeId>& nodes) { return fmt::format("{}", fmt::join(nodes, ",")); }

}  // namespace

void ControllerInvariants::observe(const TraceEvent& event) {
  if (event.kind == "controller.broker") {
    BrokerView& broker = brokers_[static_cast<NodeId>(event.number("broker").value_or(kNoNode))];
    const bool barred = broker.fenced || broker.stopping;
    broker.epoch = event.number("broker_epoch").value_or(-1);
    broker.fenced = event.number("fenced").value_or(0) != 0;
    broker.stopping = event.number("in_shutdown").value_or(0) != 0;
    if (!barred) broker.since = world_.now();
  }
  if (event.kind == "broker.start")
    for (auto& [at, partition] : partitions_)
      if (partition.told_by == event.node) partition.told_by = kNoNode;
  const auto topic = event.text("topic");
  const auto number = event.number("partition");
  if (event.kind == "controller.partition" && topic && number)
    committed_partition(event, {*topic, static_cast<PartitionId>(*number)});
}

// A record may be told again by a controller that came later: only a newer one is news.
void ControllerInvariants::committed_partition(const TraceEvent& event, const TopicPartition& at) {
  CommittedPartition now;
  now.leader = static_cast<NodeId>(event.number("leader").value_or(kNoNode));
  now.leader_epoch = static_cast<LeaderEpoch>(event.number("leader_epoch").value_or(kNoEpoch));
  now.partition_epoch = static_cast<PartitionEpoch>(event.number("partition_epoch").value_or(-1));
  now.isr = parse_nodes(event.text("isr").value_or(""));
  now.elr = parse_nodes(event.text("elr").value_or(""));
  now.told_by = event.node;
  const auto known = partitions_.find(at);
  const CommittedPartition before = known == partitions_.end() ? CommittedPartition{} : known->second;
  const bool older = now.partition_epoch < before.partition_epoch;
  if (older && before.told_by != event.node) return;
  epochs_rise(at, before, now);
  isr_and_elr_disjoint(at, now);
  leader_in_isr(at, now);
  no_fenced_in_isr(at, before, now);
  partitions_[at] = std::move(now);
}

// One partition epoch is one state, and a later state has no earlier leader epoch.
void ControllerInvariants::epochs_rise(const TopicPartition& at, const CommittedPartition& before,
                                       const CommittedPartition& now) {
  if (now.partition_epoch == 0) return;  // a topic of that name was created anew
  if (now.partition_epoch == before.partition_epoch &&
      (now.leader != before.leader || now.leader_epoch != before.leader_epoch || now.isr != before.isr))
    breaches_.report("OnePartitionState",
                     fmt::format("{}: partition epoch {} is leader {} epoch {} ISR {} and leader {} epoch {} ISR {}",
                                 at.to_string(), now.partition_epoch, before.leader, before.leader_epoch,
                                 joined(before.isr), now.leader, now.leader_epoch, joined(now.isr)));
  if (now.partition_epoch < before.partition_epoch || now.leader_epoch < before.leader_epoch)
    breaches_.report("EpochsRise", fmt::format("{}: partition epoch {} with leader epoch {} committed after {} with {}",
                                               at.to_string(), now.partition_epoch, now.leader_epoch,
                                               before.partition_epoch, before.leader_epoch));
}

// [3], KIP-966.
void ControllerInvariants::isr_and_elr_disjoint(const TopicPartition& at, const CommittedPartition& now) {
  for (const NodeId id : now.elr)
    if (now.isr.contains(id))
      breaches_.report("IsrElrDisjoint", fmt::format("{}: node {} is in ISR {} and ELR {}", at.to_string(), id,
                                                     joined(now.isr), joined(now.elr)));
}

// [3] as the controller has it; a partition may have no leader.
void ControllerInvariants::leader_in_isr(const TopicPartition& at, const CommittedPartition& now) {
  if (now.leader > 0 && !now.isr.contains(now.leader))
    breaches_.report("LeaderInIsr", fmt::format("{}: the controller has leader {} outside ISR {}", at.to_string(),
                                                now.leader, joined(now.isr)));
}

// [3], KIP-841: nobody joins while fenced or stopping. The records of one change come one after the other, so a member
// that was fenced at this very instant may still be on its way out.
void ControllerInvariants::no_fenced_in_isr(const TopicPartition& at, const CommittedPartition& before,
                                            const CommittedPartition& now) {
  if (now.isr.size() < 2 || before.partition_epoch < 0) return;
  for (const NodeId id : now.isr) {
    const auto broker = brokers_.find(id);
    if (broker == brokers_.end() || (!broker->second.fenced && !broker->second.stopping)) continue;
    const bool joins = !before.isr.contains(id);
    const bool long_gone = broker->second.fenced && broker->second.since < world_.now();
    if (joins || long_gone)
      breaches_.report("NoFencedInIsr", fmt::format("{}: node {} is {} and {} ISR {}", at.to_string(), id,
                                                    broker->second.fenced ? "fenced" : "stopping",
                                                    joins ? "joins" : "stays in", joined(now.isr)));
  }
}

}  // namespace ordeal::sim
