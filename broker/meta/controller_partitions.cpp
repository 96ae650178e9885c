// Requests about partitions: who is in sync (AlterPartition), and who shall lead (ElectLeaders).
#include <algorithm>

#include "broker/base/mark.h"
#include "broker/meta/controller.h"
#include "broker/meta/error_code.h"

namespace ordeal::meta {

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

    PartitionState state{request.broker_id(), {}, {}, partition->last_known_elr};
    for (const NodeId replica : partition->replicas)
      for (const auto& member : proposal.new_isr())
        if (member.broker_id() == replica) state.isr.push_back(replica);
    const std::int32_t minimum = min_isr(*topic, {});
    state.elr = eligible(*partition, state.isr, minimum, kNoNode);
    if (!state.elr.empty()) ORDEAL_MARK("controller.elr_kept");
    const bool changed = record_change(*topic, proposal.partition(), state, decision.records);
    result.set_leader(state.leader);
    result.set_leader_epoch(partition->leader_epoch + (state.leader != partition->leader ? 1 : 0));
    result.set_partition_epoch(partition->partition_epoch + (changed ? 1 : 0));
    result.mutable_isr()->Assign(state.isr.begin(), state.isr.end());
    result.set_min_isr(minimum);
  }
}

std::int32_t Controller::validate_alter(NodeId from, const AlterPartitionRequest::Partition& proposal,
                                        const PartitionImage* partition) const {
  if (partition == nullptr) return error_code::kUnknownTopicOrPartition;
  // Who knows more than we do has heard of a newer controller.
  if (proposal.leader_epoch() > partition->leader_epoch || proposal.partition_epoch() > partition->partition_epoch)
    return error_code::kNotController;
  // Compare-and-set: a proposal made from an older state must not undo what happened since.
  std::int32_t stale = error_code::kNone;
  if (proposal.leader_epoch() < partition->leader_epoch) {
    stale = error_code::kFencedLeaderEpoch;
  } else if (from != partition->leader) {
    return error_code::kInvalidRequest;
  } else if (proposal.partition_epoch() < partition->partition_epoch) {
    stale = error_code::kInvalidUpdateVersion;
  }
  if (stale != error_code::kNone && !switches_.active(mutation::Bug::ctl_accept_stale_epoch)) {
    ORDEAL_MARK("controller.alter_stale");
    return stale;
  }
  std::set<NodeId> members;
  for (const auto& member : proposal.new_isr()) {
    if (!partition->has_replica(member.broker_id()) || !members.insert(member.broker_id()).second)
      return error_code::kInvalidRequest;
  }
  if (!members.contains(from)) return error_code::kInvalidRequest;
  if (stale != error_code::kNone) return error_code::kNone;
  for (const auto& member : proposal.new_isr()) {
    if (!may_be_member(member, *partition)) return error_code::kIneligibleReplica;
  }
  return error_code::kNone;
}

bool Controller::may_be_member(const AlterPartitionRequest::IsrMember& member, const PartitionImage& partition) const {
  const BrokerImage* broker = image().broker(member.broker_id());
  if (broker == nullptr) return false;
  // KIP-841: whoever is fenced or about to leave does not lead, so it must not be counted on.
  if (!broker->active() && !switches_.active(mutation::Bug::ctl_isr_allows_fenced)) {
    ORDEAL_MARK("controller.alter_fenced_member");
    return false;
  }
  // KIP-903: what an earlier incarnation had fetched says nothing about this one. An unknown epoch is enough for
  // whoever is a member already: registering again takes a broker out of every ISR, which moves the partition epoch,
  // so this proposal would be stale by now. Of a joiner it proves nothing.
  const bool known =
      member.broker_epoch() == -1 ? partition.in_isr(broker->id) : member.broker_epoch() == broker->epoch;
  if (!known && !switches_.active(mutation::Bug::isr_ignore_broker_epoch)) {
    ORDEAL_MARK("controller.alter_stale_member");
    return false;
  }
  return true;
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
  const PartitionState state{preferred, partition->isr, partition->elr, {}};
  record_change(topic, number, state, records);
  return error_code::kNone;
}

void Controller::rebalance(MetadataBatch& records) const {
  for_each_partition([&](const TopicImage& topic, PartitionId number) {
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
    for_each_partition([&](const TopicImage& topic, PartitionId number) { elect(topic, number, false); });
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
