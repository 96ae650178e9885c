// Partitions: who leads, who is in sync, and who may say so.
#include <algorithm>

#include "broker/base/check.h"
#include "broker/meta/controller.h"
#include "broker/meta/error_code.h"

namespace ordeal::meta {

namespace {

PartitionChangeRecord& add_change(const TopicImage& topic, PartitionId number, MetadataBatch& records) {
  PartitionChangeRecord& change = *records.add_records()->mutable_partition_change();
  change.set_topic_id(uuid_to_bytes(topic.id));
  change.set_partition(number);
  return change;
}

void set_nodes(PartitionChangeRecord::NodeList& list, const std::vector<NodeId>& nodes) {
  list.mutable_nodes()->Assign(nodes.begin(), nodes.end());
}

template <class Fn>
void for_each_partition(const ClusterImage& image, Fn visit) {
  for (const auto& [name, topic] : image.topics())
    for (std::size_t i = 0; i < topic->partitions.size(); ++i) visit(*topic, static_cast<PartitionId>(i));
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

void Controller::update_partition(const TopicImage& topic, PartitionId number, const Assume& assume,
                                  MetadataBatch& records) const {
  const PartitionImage& partition = topic.partitions[static_cast<std::size_t>(number)];
  std::vector<NodeId> isr = partition.isr;
  std::erase(isr, assume.gone);
  if (isr.empty()) isr = partition.isr;  // the last member stays: it alone is known to have everything

  NodeId leader = partition.leader;
  if (leader == kNoNode || leader == assume.gone) {
    leader = kNoNode;
    for (const NodeId replica : partition.replicas) {
      const bool in_sync = std::ranges::find(isr, replica) != isr.end();
      if (!in_sync || !active(replica, assume)) continue;
      leader = replica;
      break;
    }
    const bool unclean = assume.unclean || unclean_allowed(topic);
    for (const NodeId replica : partition.replicas) {
      if (leader != kNoNode || !unclean || !active(replica, assume)) continue;
      leader = replica;
      isr = {replica};  // what the others have beyond it is given up
    }
  }
  if (leader == partition.leader && isr == partition.isr) return;
  PartitionChangeRecord& change = add_change(topic, number, records);
  if (leader != partition.leader) change.set_leader(leader);
  if (isr != partition.isr) set_nodes(*change.mutable_isr(), isr);
}

void Controller::leave_all(NodeId gone, MetadataBatch& records) const {
  Assume assume;
  assume.gone = gone;
  for_each_partition(image(), [&](const TopicImage& topic, PartitionId number) {
    const PartitionImage& partition = topic.partitions[static_cast<std::size_t>(number)];
    if (partition.in_isr(gone)) update_partition(topic, number, assume, records);
  });
}

void Controller::join_all(NodeId back, MetadataBatch& records) const {
  Assume assume;
  assume.back = back;
  for_each_partition(image(), [&](const TopicImage& topic, PartitionId number) {
    const PartitionImage& partition = topic.partitions[static_cast<std::size_t>(number)];
    if (partition.leader == kNoNode && partition.has_replica(back)) update_partition(topic, number, assume, records);
  });
}

void Controller::on_alter_partition(const AlterPartitionRequest& request, Decision& decision) {
  AlterPartitionResponse& response = *decision.response.mutable_alter_partition();
  if (const auto error = check_epoch(request.broker_id(), request.broker_epoch()))
    return response.set_error_code(*error);
  std::set<std::pair<std::string, PartitionId>> seen;
  for (const AlterPartitionRequest::Partition& proposal : request.partitions()) {
    AlterPartitionResponse::Partition& result = *response.add_partitions();
    result.set_topic_id(proposal.topic_id());
    result.set_partition(proposal.partition());
    const TopicPtr topic = image().topic(uuid_from_bytes(proposal.topic_id()));
    if (!topic) {
      result.set_error_code(error_code::kUnknownTopicId);
      continue;
    }
    const PartitionImage* partition = topic->partition(proposal.partition());
    const bool repeated = !seen.emplace(proposal.topic_id(), proposal.partition()).second;
    const std::int32_t error =
        repeated ? error_code::kInvalidRequest : validate_alter(request.broker_id(), proposal, partition);
    result.set_error_code(error);
    if (error != error_code::kNone) continue;

    std::vector<NodeId> isr;
    for (const NodeId replica : partition->replicas)
      for (const auto& member : proposal.new_isr())
        if (member.broker_id() == replica) isr.push_back(replica);
    const bool changed = isr != partition->isr;
    if (changed) set_nodes(*add_change(*topic, proposal.partition(), decision.records).mutable_isr(), isr);
    result.set_leader(partition->leader);
    result.set_leader_epoch(partition->leader_epoch);
    result.set_partition_epoch(partition->partition_epoch + (changed ? 1 : 0));
    result.mutable_isr()->Assign(isr.begin(), isr.end());
  }
}

std::int32_t Controller::validate_alter(NodeId from, const AlterPartitionRequest::Partition& proposal,
                                        const PartitionImage* partition) const {
  if (partition == nullptr) return error_code::kUnknownTopicOrPartition;
  // Who knows more than we do has heard of a newer controller.
  if (proposal.leader_epoch() > partition->leader_epoch || proposal.partition_epoch() > partition->partition_epoch)
    return error_code::kNotController;
  if (proposal.leader_epoch() < partition->leader_epoch) return error_code::kFencedLeaderEpoch;
  if (from != partition->leader) return error_code::kInvalidRequest;
  if (proposal.partition_epoch() < partition->partition_epoch) return error_code::kInvalidUpdateVersion;
  std::set<NodeId> members;
  for (const auto& member : proposal.new_isr()) {
    if (!partition->has_replica(member.broker_id()) || !members.insert(member.broker_id()).second)
      return error_code::kInvalidRequest;
  }
  if (!members.contains(from)) return error_code::kInvalidRequest;
  for (const auto& member : proposal.new_isr()) {
    const BrokerImage* broker = image().broker(member.broker_id());
    // KIP-841: no fenced or leaving member; KIP-903: and no earlier incarnation of one.
    if (broker == nullptr || !broker->active()) return error_code::kIneligibleReplica;
    if (member.broker_epoch() != -1 && member.broker_epoch() != broker->epoch) return error_code::kIneligibleReplica;
  }
  return error_code::kNone;
}

std::int32_t Controller::elect_one(const TopicImage& topic, PartitionId number, bool unclean,
                                   MetadataBatch& records) const {
  const PartitionImage* partition = topic.partition(number);
  if (partition == nullptr) return error_code::kUnknownTopicOrPartition;
  if (unclean) {
    if (partition->leader != kNoNode) return error_code::kElectionNotNeeded;
    Assume assume;
    assume.unclean = true;
    const int before = records.records_size();
    update_partition(topic, number, assume, records);
    return records.records_size() > before ? error_code::kNone : error_code::kEligibleLeadersNotAvailable;
  }
  const NodeId preferred = partition->replicas.front();
  if (partition->leader == preferred) return error_code::kElectionNotNeeded;
  if (!partition->in_isr(preferred) || !active(preferred, {})) return error_code::kPreferredLeaderNotAvailable;
  add_change(topic, number, records).set_leader(preferred);
  return error_code::kNone;
}

void Controller::rebalance(MetadataBatch& records) const {
  for_each_partition(image(), [&](const TopicImage& topic, PartitionId number) {
    (void)elect_one(topic, number, /*unclean=*/false, records);  // where it is not possible nothing changes
  });
}

void Controller::on_elect_leaders(const ElectLeadersRequest& request, Decision& decision) {
  ElectLeadersResponse& response = *decision.response.mutable_elect_leaders();
  const auto elect = [&](const TopicImage& topic, PartitionId number, bool named) {
    const std::int32_t error = elect_one(topic, number, request.unclean(), decision.records);
    if (!named && error == error_code::kElectionNotNeeded) return;
    ElectLeadersResponse::Partition& result = *response.add_partitions();
    result.set_topic(topic.name);
    result.set_partition(number);
    result.set_error_code(error);
  };
  if (request.partitions().empty()) {
    for_each_partition(image(), [&](const TopicImage& topic, PartitionId number) { elect(topic, number, false); });
    return;
  }
  std::set<std::pair<std::string, PartitionId>> seen;
  for (const ElectLeadersRequest::Partition& wanted : request.partitions()) {
    if (!seen.emplace(wanted.topic(), wanted.partition()).second) continue;
    if (const TopicPtr topic = image().topic(wanted.topic())) {
      elect(*topic, wanted.partition(), true);
      continue;
    }
    ElectLeadersResponse::Partition& result = *response.add_partitions();
    result.set_topic(wanted.topic());
    result.set_partition(wanted.partition());
    result.set_error_code(error_code::kUnknownTopicOrPartition);
  }
}

}  // namespace ordeal::meta
