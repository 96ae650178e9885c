// Elections and eligibility: what a broker's going, coming or unclean stop does to its partitions (KIP-966).
//
// Who may lead without loss: members of the ISR first, then of the ELR. A replica enters the ELR when it leaves the ISR
// while the ISR falls below min.insync.replicas: leaders commit nothing in that state, so it still has all that is
// committed. It leaves by joining the ISR again, by an unclean stop that may have cost it records, and when the ISR
// reaches its minimum, for then it falls behind. When nobody is left in either, the leader that was lost last comes
// back as soon as it is active (it may have lost records: there is nobody better); an unclean election takes any.
#include <algorithm>
#include <charconv>

#include "broker/base/check.h"
#include "broker/base/mark.h"
#include "broker/meta/controller.h"

namespace ordeal::meta {

namespace {

bool among(const std::vector<NodeId>& nodes, NodeId node) { return std::ranges::find(nodes, node) != nodes.end(); }

std::vector<NodeId> in_order_of(const std::vector<NodeId>& replicas, const std::vector<NodeId>& members) {
  std::vector<NodeId> ordered;
  for (const NodeId replica : replicas)
    if (among(members, replica)) ordered.push_back(replica);
  return ordered;
}

void set_nodes(PartitionChangeRecord::NodeList& list, const std::vector<NodeId>& nodes) {
  list.mutable_nodes()->Assign(nodes.begin(), nodes.end());
}

}  // namespace

bool Controller::active(NodeId node, const Assume& assume) const {
  if (node == assume.gone) return false;
  if (node == assume.back) return true;
  const BrokerImage* broker = image().broker(node);
  return broker != nullptr && broker->active();
}

bool Controller::unclean_allowed(const TopicImage& topic) const {
  const std::string* value = topic.config("unclean.leader.election.enable");
  return value == nullptr ? config_.unclean_leader_election : *value == "true";
}

std::int32_t Controller::min_isr(const TopicImage& topic, const Assume& assume) const {
  if (assume.min_isr) return *assume.min_isr;
  const std::string* value = topic.config(kMinIsr);
  return value == nullptr ? config_.min_insync_replicas : parse_min_isr(*value);
}

std::int32_t Controller::parse_min_isr(const std::string& value) {
  std::int32_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  ORDEAL_CHECK(error == std::errc(), "{} = '{}'", kMinIsr, value);  // checked before it was recorded
  return number;
}

// The ELR after the ISR became `isr`; `lost` has stopped uncleanly (none: kNoNode).
std::vector<NodeId> Controller::eligible(const PartitionImage& partition, const std::vector<NodeId>& isr,
                                         std::int32_t min_isr, NodeId lost) {
  const auto wanted = std::min<std::size_t>(static_cast<std::size_t>(std::max(min_isr, 1)), partition.replicas.size());
  if (isr.size() >= wanted) return {};
  std::vector<NodeId> elr;
  for (const NodeId replica : partition.replicas) {
    if (among(isr, replica) || replica == lost) continue;
    if (partition.in_isr(replica) || partition.in_elr(replica)) elr.push_back(replica);
  }
  return elr;
}

Controller::Election Controller::elect(const TopicImage& topic, const PartitionImage& partition,
                                       const PartitionState& state, const Assume& assume) const {
  const auto first_active = [&](const std::vector<NodeId>& candidates) {
    for (const NodeId replica : partition.replicas)
      if (among(candidates, replica) && active(replica, assume)) return replica;
    return kNoNode;
  };
  if (const NodeId leader = first_active(state.isr); leader != kNoNode) return {leader, false};
  if (const NodeId leader = first_active(state.elr); leader != kNoNode) {
    ORDEAL_MARK("controller.elect_from_elr");
    return {leader, false};
  }
  if (state.isr.empty() && state.elr.empty()) {
    if (const NodeId leader = first_active(state.last_known); leader != kNoNode) {
      ORDEAL_MARK("controller.elect_last_known_leader");
      return {leader, true};
    }
  }
  if (!assume.unclean && !unclean_allowed(topic)) return {};
  const NodeId leader = first_active(partition.replicas);
  if (leader == kNoNode) return {};
  ORDEAL_MARK("controller.elect_unclean");
  return {leader, true};
}

void Controller::update_partition(const TopicImage& topic, PartitionId number, const Assume& assume,
                                  MetadataBatch& records) const {
  const PartitionImage& partition = topic.partitions[static_cast<std::size_t>(number)];
  PartitionState state{partition.leader, partition.isr, {}, partition.last_known_elr};
  std::erase(state.isr, assume.gone);
  bool lost = assume.lost;
  const bool was_last = partition.in_isr(assume.gone) || among(partition.last_known_elr, assume.gone);
  if (lost && state.isr.empty() && was_last) {
    ORDEAL_MARK("controller.unclean_last_member");
    lost = !switches_.active(mutation::Bug::isr_keep_unclean_last);
  }
  const std::int32_t minimum = min_isr(topic, assume);
  state.elr = eligible(partition, state.isr, minimum, lost ? assume.gone : kNoNode);

  if (state.leader == kNoNode || state.leader == assume.gone) {
    if (state.leader != kNoNode) state.last_known = {state.leader};
    const Election election = elect(topic, partition, state, assume);
    state.leader = election.leader;
    if (election.unclean) {  // what the others have beyond the new leader is given up
      state.isr = {state.leader};
      state.elr.clear();
    } else if (state.leader != kNoNode && !among(state.isr, state.leader)) {
      state.isr.push_back(state.leader);
      state.isr = in_order_of(partition.replicas, state.isr);
      state.elr = eligible(partition, state.isr, minimum, lost ? assume.gone : kNoNode);
    }
    if (state.leader != kNoNode) state.last_known.clear();
  }
  record_change(topic, number, state, records);
}

bool Controller::record_change(const TopicImage& topic, PartitionId number, const PartitionState& to,
                               MetadataBatch& records) {
  const PartitionImage& from = topic.partitions[static_cast<std::size_t>(number)];
  if (to.leader == from.leader && to.isr == from.isr && to.elr == from.elr && to.last_known == from.last_known_elr)
    return false;
  PartitionChangeRecord& change = *records.add_records()->mutable_partition_change();
  change.set_topic_id(uuid_to_bytes(topic.id));
  change.set_partition(number);
  if (to.leader != from.leader) change.set_leader(to.leader);
  if (to.isr != from.isr) set_nodes(*change.mutable_isr(), to.isr);
  if (to.elr != from.elr) set_nodes(*change.mutable_elr(), to.elr);
  if (to.last_known != from.last_known_elr) set_nodes(*change.mutable_last_known_elr(), to.last_known);
  return true;
}

void Controller::leave_all(NodeId gone, bool lost, MetadataBatch& records) const {
  Assume assume;
  assume.gone = gone;
  assume.lost = lost;
  for_each_partition([&](const TopicImage& topic, PartitionId number) {
    const PartitionImage& partition = topic.partitions[static_cast<std::size_t>(number)];
    if (partition.in_isr(gone) || (lost && partition.in_elr(gone))) update_partition(topic, number, assume, records);
  });
}

void Controller::join_all(NodeId back, MetadataBatch& records) const {
  Assume assume;
  assume.back = back;
  for_each_partition([&](const TopicImage& topic, PartitionId number) {
    const PartitionImage& partition = topic.partitions[static_cast<std::size_t>(number)];
    if (partition.leader == kNoNode && partition.has_replica(back)) update_partition(topic, number, assume, records);
  });
}

void Controller::for_each_partition(const std::function<void(const TopicImage&, PartitionId)>& visit) const {
  for (const auto& [name, topic] : image().topics())
    for (std::size_t i = 0; i < topic->partitions.size(); ++i) visit(*topic, static_cast<PartitionId>(i));
}

}  // namespace ordeal::meta
