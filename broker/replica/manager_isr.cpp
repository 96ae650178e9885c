// ISR proposals to the controller: one AlterPartition request in flight, carrying every partition that has one to make.
#include <utility>

#include "broker/base/mark.h"
#include "broker/meta/control.pb.h"
#include "broker/meta/error_code.h"
#include "broker/replica/manager_impl.h"

namespace ordeal::replica {
namespace {

constexpr Duration kAlterDeadline = 5s;
constexpr Duration kAlterPause = 50ms;

AlterResult result_of(const meta::AlterPartitionResponse::Partition& answer, NodeId self) {
  namespace code = meta::error_code;
  AlterResult result;
  switch (answer.error_code()) {
    case code::kNone:
      // Another leader in the committed state means that this proposal was overtaken by an election.
      result.outcome = answer.leader() == self ? AlterOutcome::committed : AlterOutcome::overtaken;
      result.leader_epoch = answer.leader_epoch();
      result.partition_epoch = answer.partition_epoch();
      result.isr.assign(answer.isr().begin(), answer.isr().end());
      result.min_isr = answer.min_isr();
      break;
    case code::kIneligibleReplica:
    case code::kInvalidRequest:
      ORDEAL_MARK("replica.isr_proposal_rejected");
      result.outcome = AlterOutcome::rejected;
      break;
    case code::kInvalidUpdateVersion:
    case code::kFencedLeaderEpoch:
    case code::kUnknownTopicId:
    case code::kUnknownTopicOrPartition:
      ORDEAL_MARK("replica.isr_proposal_overtaken");
      result.outcome = AlterOutcome::overtaken;
      break;
    default:
      ORDEAL_MARK("replica.isr_proposal_ahead_of_controller");
      result.outcome = AlterOutcome::unknown;
  }
  return result;
}

std::string raw(const Uuid& id) { return {reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size()}; }

}  // namespace

void ReplicaManager::Impl::queue_proposal(const ReplicaPtr& replica) {
  proposals[replica->at()] = replica;
  proposals_changed.notify_all();
}

env::Task<> ReplicaManager::Impl::send_proposals() {
  while (!context.gate.closing()) {
    if (proposals.empty()) {
      const bool woken = co_await proposals_changed.wait();
      (void)woken;
      continue;
    }
    std::map<TopicPartition, ReplicaPtr> batch = std::exchange(proposals, {});
    const bool again = co_await send_once(std::move(batch));
    if (!again) continue;
    const bool go_on = co_await context.gate.sleep_for(kAlterPause);
    if (!go_on) co_return;
  }
}

// True when some proposals are to be sent again after a pause; they are queued.
env::Task<bool> ReplicaManager::Impl::send_once(std::map<TopicPartition, ReplicaPtr> batch) {
  const BrokerEpoch own_epoch = controller.broker_epoch();
  std::map<std::pair<std::string, PartitionId>, std::pair<ReplicaPtr, IsrProposal>> sent;
  meta::ControllerRequest request;
  meta::AlterPartitionRequest& alter = *request.mutable_alter_partition();
  alter.set_broker_id(options.node_id);
  alter.set_broker_epoch(own_epoch);
  for (const auto& [at, replica] : batch) {
    const auto proposal = replica->retired() ? std::nullopt : replica->partition().proposal(own_epoch);
    if (!proposal) continue;
    auto& part = *alter.add_partitions();
    part.set_topic_id(raw(replica->topic_id()));
    part.set_partition(at.partition);
    part.set_leader_epoch(proposal->leader_epoch);
    part.set_partition_epoch(proposal->partition_epoch);
    for (const ProposedReplica& member : proposal->isr) {
      auto& out = *part.add_new_isr();
      out.set_broker_id(member.id);
      out.set_broker_epoch(member.broker_epoch);
    }
    sent.emplace(std::pair(part.topic_id(), at.partition), std::pair(replica, *proposal));
  }
  if (sent.empty()) co_return false;
  const Instant deadline = env.scheduler.now() + kAlterDeadline;
  Result<meta::ControllerResponse> response = co_await controller.call(std::move(request), deadline);

  std::map<std::pair<std::string, PartitionId>, AlterResult> results;
  AlterResult otherwise;  // unknown
  if (response && response->error_code() == meta::error_code::kNone && response->has_alter_partition()) {
    const auto& body = response->alter_partition();
    if (body.error_code() == meta::error_code::kStaleBrokerEpoch) {
      ORDEAL_MARK("replica.isr_proposal_of_old_registration");
      otherwise.outcome = AlterOutcome::not_sent;
    }
    for (const auto& answer : body.partitions()) {
      results[{answer.topic_id(), answer.partition()}] = result_of(answer, options.node_id);
    }
  }
  if (!response) ORDEAL_MARK("replica.isr_proposal_unanswered");
  bool again = false;
  for (const auto& [key, what] : sent) {
    const auto& [replica, proposal] = what;
    if (replica->retired()) continue;
    const auto found = results.find(key);
    replica->on_alter_result(proposal, found == results.end() ? otherwise : found->second);
    if (replica->partition().proposal_pending()) {
      proposals[replica->at()] = replica;
      again = true;
    }
  }
  co_return again;
}

}  // namespace ordeal::replica
