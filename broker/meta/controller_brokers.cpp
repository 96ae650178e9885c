// Brokers: registration, heartbeats, fencing, controlled shutdown.
#include "broker/base/check.h"
#include "broker/base/mark.h"
#include "broker/meta/controller.h"
#include "broker/meta/error_code.h"

namespace ordeal::meta {

void Controller::touch(NodeId broker, Instant now) { sessions_[broker].deadline = now + config_.session_timeout; }

bool Controller::has_valid_session(const BrokerImage& broker, Instant now) const {
  const auto session = sessions_.find(broker.id);
  return !broker.fenced && session != sessions_.end() && now < session->second.deadline;
}

std::optional<std::int32_t> Controller::check_epoch(NodeId id, BrokerEpoch epoch) const {
  const BrokerImage* broker = image().broker(id);
  if (broker == nullptr) return error_code::kBrokerIdNotRegistered;
  if (broker->epoch != epoch) return error_code::kStaleBrokerEpoch;
  return std::nullopt;
}

void Controller::fence(const BrokerImage& broker, bool lost, MetadataBatch& records) const {
  FenceBrokerRecord* record = records.add_records()->mutable_fence_broker();
  record->set_broker_id(broker.id);
  record->set_broker_epoch(broker.epoch);
  leave_all(broker.id, lost, records);
}

// KIP-966. A clean stop flushes everything and leaves a marker with the broker epoch it had; that epoch proves that no
// other incarnation came in between. Without it an incarnation that flushed before others counted on anything has lost
// nothing they counted on, provided that its directory is still there. One that left flushing to the page cache may
// have: nothing tells a killed process from a machine that lost power.
bool Controller::may_have_lost(const BrokerImage& before, const BrokerRegistrationRequest& now) {
  if (!now.log_kept()) return true;
  return now.previous_broker_epoch() != before.epoch && !before.log_durable;
}

void Controller::on_registration(const BrokerRegistrationRequest& request, Instant now, Decision& decision) {
  BrokerRegistrationResponse& response = *decision.response.mutable_broker_registration();
  response.set_broker_epoch(-1);
  const auto refuse = [&](std::int32_t code, std::string why) {
    response.set_error_code(code);
    response.set_error_message(std::move(why));
  };
  if (request.cluster_id() != config_.cluster_id)
    return refuse(error_code::kInconsistentClusterId, "this is cluster " + config_.cluster_id);
  const Uuid incarnation = uuid_from_bytes(request.incarnation_id());
  if (request.broker_id() < 0 || incarnation.is_zero() || request.listeners().empty())
    return refuse(error_code::kInvalidRequest, "a broker needs an id, an incarnation id and listeners");

  const BrokerImage* existing = image().broker(request.broker_id());
  if (existing != nullptr && existing->incarnation == incarnation) {
    touch(existing->id, now);  // asked again because our first answer was lost
    return response.set_broker_epoch(existing->epoch);
  }
  if (existing != nullptr && has_valid_session(*existing, now)) {
    connection_lost(existing->id, now);  // most likely it died and this is its successor
    return refuse(error_code::kDuplicateBrokerRegistration,
                  fmt::format("another incarnation of broker {} is alive", request.broker_id()));
  }

  // The old incarnation's leaderships end here, so that a restart always means a new leader epoch.
  if (existing != nullptr) {
    const bool lost = may_have_lost(*existing, request);
    if (lost) ORDEAL_MARK("controller.unclean_shutdown");
    if (!existing->fenced) {
      fence(*existing, lost, decision.records);
    } else if (lost) {
      leave_all(existing->id, true, decision.records);
    }
  }
  RegisterBrokerRecord* record = decision.records.add_records()->mutable_register_broker();
  record->set_broker_id(request.broker_id());
  record->set_broker_epoch(next_index());
  record->set_incarnation_id(request.incarnation_id());
  std::vector<ListenerEndpoint> listeners = listeners_from(request.listeners());
  std::ranges::sort(listeners);
  for (const ListenerEndpoint& listener : listeners) to_record(listener, record->add_listeners());
  record->set_rack(request.rack());
  record->set_log_durable(request.log_durable());
  sessions_[request.broker_id()] = Session{};
  touch(request.broker_id(), now);
  response.set_broker_epoch(next_index());
}

void Controller::on_heartbeat(const BrokerHeartbeatRequest& request, Instant now, Decision& decision) {
  BrokerHeartbeatResponse& response = *decision.response.mutable_broker_heartbeat();
  if (const auto error = check_epoch(request.broker_id(), request.broker_epoch()))
    return response.set_error_code(*error);
  const BrokerImage& broker = *image().broker(request.broker_id());
  touch(broker.id, now);
  sessions_[broker.id].metadata_offset = request.current_metadata_offset();
  const bool caught_up = request.current_metadata_offset() >= broker.epoch;
  response.set_is_caught_up(caught_up);
  response.set_is_fenced(broker.fenced);

  if (request.want_shutdown()) return controlled_shutdown(broker, decision.records, response);
  if (broker.fenced && !request.want_fence() && caught_up) {
    UnfenceBrokerRecord* record = decision.records.add_records()->mutable_unfence_broker();
    record->set_broker_id(broker.id);
    record->set_broker_epoch(broker.epoch);
    join_all(broker.id, decision.records);
    response.set_is_fenced(false);
  } else if (!broker.fenced && request.want_fence()) {
    fence(broker, false, decision.records);
    response.set_is_fenced(true);
  }
}

// First the leaderships move and everyone learns of it; then the broker may go.
void Controller::controlled_shutdown(const BrokerImage& broker, MetadataBatch& records,
                                     BrokerHeartbeatResponse& response) {
  Session& session = sessions_[broker.id];
  if (broker.fenced) return response.set_should_shutdown(true);
  if (!broker.shutting_down) {
    BrokerShuttingDownRecord* record = records.add_records()->mutable_broker_shutting_down();
    record->set_broker_id(broker.id);
    record->set_broker_epoch(broker.epoch);
    leave_all(broker.id, false, records);
    session.shutdown_offset = next_index();
    return;
  }
  if (!others_caught_up(broker.id, session.shutdown_offset)) return;
  fence(broker, false, records);
  response.set_is_fenced(true);
  response.set_should_shutdown(true);
}

bool Controller::others_caught_up(NodeId leaving, Offset offset) const {
  return std::ranges::all_of(image().brokers(), [&](const auto& each) {
    const auto& [id, broker] = each;
    if (id == leaving || !broker.active()) return true;
    const auto session = sessions_.find(id);
    return session != sessions_.end() && session->second.metadata_offset >= offset;
  });
}

}  // namespace ordeal::meta
