// Dispatch and timers of the controller.
#include "broker/meta/controller.h"

#include "broker/base/check.h"
#include "broker/meta/error_code.h"

namespace ordeal::meta {

namespace {
constexpr std::string_view kMetadataVersion = "metadata.version";
constexpr std::int32_t kMetadataLevel = 1;
}  // namespace

Controller::Controller(ControllerConfig config, const ClusterImage& image, Random random, Instant now,
                       const mutation::Switches& switches)
    : config_(std::move(config)),
      switches_(switches),
      state_(image),
      random_(random),
      last_tick_(now),
      next_rebalance_(now + config_.leader_rebalance_interval) {
  for (const auto& [id, broker] : image.brokers()) {
    Session& session = sessions_[id];
    const bool dead = id == config_.self && broker.incarnation != config_.self_incarnation;
    session.deadline = dead ? now : now + config_.session_timeout;
    if (broker.shutting_down) session.shutdown_offset = image.offset();
  }
}

void Controller::replay(const MetadataBatch& records, Offset index) {
  ORDEAL_CHECK(index == next_index(), "entry {} after {}", index, state_.view().offset());
  const Status replayed = state_.replay(records, index);
  ORDEAL_CHECK(replayed.has_value(), "the controller's own records do not replay: {}", replayed.error().text);
  (void)state_.take_changes();
  std::erase_if(sessions_, [&](const auto& each) { return image().broker(each.first) == nullptr; });
}

Decision Controller::handle(const ControllerRequest& request, Instant now) {
  Decision decision;
  switch (request.body_case()) {
    case ControllerRequest::kBrokerRegistration:
      on_registration(request.broker_registration(), now, decision);
      break;
    case ControllerRequest::kBrokerHeartbeat:
      on_heartbeat(request.broker_heartbeat(), now, decision);
      break;
    case ControllerRequest::kAlterPartition:
      on_alter_partition(request.alter_partition(), decision);
      break;
    case ControllerRequest::kCreateTopics:
      on_create_topics(request.create_topics(), decision);
      break;
    case ControllerRequest::kDeleteTopics:
      on_delete_topics(request.delete_topics(), decision);
      break;
    case ControllerRequest::kAllocateProducerIds:
      on_allocate_producer_ids(request.allocate_producer_ids(), decision);
      break;
    case ControllerRequest::kElectLeaders:
      on_elect_leaders(request.elect_leaders(), decision);
      break;
    case ControllerRequest::kAlterTopicConfigs:
      on_alter_topic_configs(request.alter_topic_configs(), decision);
      break;
    case ControllerRequest::kAlterVoters:  // the quorum's business, not of the image
    case ControllerRequest::kDescribeQuorum:
    case ControllerRequest::BODY_NOT_SET:
      decision.response.set_error_code(error_code::kInvalidRequest);
      decision.response.set_error_message("a request without a body");
  }
  return decision;
}

MetadataBatch Controller::bootstrap() const {
  MetadataBatch records;
  if (!image().features().empty()) return records;
  FeatureRecord* feature = records.add_records()->mutable_feature();
  feature->set_name(std::string(kMetadataVersion));
  feature->set_level(kMetadataLevel);
  return records;
}

MetadataBatch Controller::tick(Instant now) {
  // When this process itself stood still, heartbeats are waiting unread: the brokers are not to blame.
  const Duration gap = now - last_tick_;
  last_tick_ = now;
  if (gap > config_.session_timeout / 2)
    for (auto& [id, session] : sessions_) session.deadline += gap;

  MetadataBatch records;
  for (const auto& [id, broker] : image().brokers()) {
    const auto session = sessions_.find(id);
    ORDEAL_CHECK(session != sessions_.end(), "broker {} without a session", id);
    if (broker.fenced || now < session->second.deadline) continue;
    fence(broker, false, records);
    return records;  // one a turn: the next one's partitions depend on this
  }
  if (config_.auto_leader_rebalance && now >= next_rebalance_) {
    next_rebalance_ = now + config_.leader_rebalance_interval;
    rebalance(records);
  }
  return records;
}

Instant Controller::next_deadline() const {
  // Also often enough to tell a stall of our own from silence of the brokers.
  Instant earliest = last_tick_ + config_.session_timeout / 4;
  for (const auto& [id, broker] : image().brokers()) {
    const auto session = sessions_.find(id);
    if (!broker.fenced && session != sessions_.end()) earliest = std::min(earliest, session->second.deadline);
  }
  return config_.auto_leader_rebalance ? std::min(earliest, next_rebalance_) : earliest;
}

void Controller::connection_lost(NodeId broker, Instant now) {
  const auto session = sessions_.find(broker);
  if (session == sessions_.end() || broker == config_.self) return;
  session->second.deadline = std::min(session->second.deadline, now + config_.lost_connection_grace);
}

}  // namespace ordeal::meta
