// The broker's life cycle seen from the broker: register, heartbeat, unfence, controlled shutdown (KIP-631).
#include "broker/meta/error_code.h"
#include "broker/meta/node_impl.h"

namespace ordeal::meta {

namespace {
constexpr Duration kRegisterRetry = 100ms;
constexpr Duration kShutdownPoll = 50ms;
constexpr Duration kTransferWait = 300ms;
}  // namespace

void Node::Impl::kick_lifecycle() {
  lifecycle_kicked_ = true;
  lifecycle_wake_.notify_all();
}

void Node::Impl::set_ready() {
  ready_ = true;
  kick_lifecycle();
}

bool Node::Impl::fenced() const {
  const BrokerImage* self = image_->broker(config_.id);
  return self == nullptr || self->epoch != broker_epoch_ || self->fenced;
}

env::Task<> Node::Impl::lifecycle_loop() {
  bool registered = false;
  while (!gate_.closing()) {
    if (!registered) {
      registered = co_await register_broker();
      if (registered) continue;
      const bool go_on = co_await gate_.sleep_for(kRegisterRetry);
      if (!go_on) co_return;
      continue;
    }
    lifecycle_kicked_ = false;
    registered = co_await heartbeat();
    if (!registered || lifecycle_kicked_) continue;
    const Duration pause = want_shutdown_ && !may_shut_down_ ? kShutdownPoll : config_.broker_heartbeat;
    (void)co_await lifecycle_wake_.wait(env_.scheduler.now() + pause);
  }
}

env::Task<bool> Node::Impl::register_broker() {
  ControllerRequest request;
  BrokerRegistrationRequest* body = request.mutable_broker_registration();
  body->set_broker_id(config_.id);
  body->set_cluster_id(config_.cluster_id);
  body->set_incarnation_id(uuid_to_bytes(config_.incarnation));
  for (const ListenerEndpoint& listener : config_.advertised) to_record(listener, body->add_listeners());
  body->set_rack(config_.rack);
  body->set_previous_broker_epoch(config_.previous_broker_epoch);
  body->set_log_kept(config_.log_kept);
  body->set_log_durable(config_.log_durable);
  const Instant deadline = env_.scheduler.now() + config_.session_timeout;
  const Result<ControllerResponse> response = co_await call_controller(std::move(request), deadline);
  if (!response) co_return false;
  const BrokerRegistrationResponse& result = response->broker_registration();
  if (result.error_code() != error_code::kNone || result.broker_epoch() < 0) {
    env_.trace.warn("broker.registration_refused",
                    {{"error_code", result.error_code()}, {"error", result.error_message()}});
    co_return false;
  }
  broker_epoch_ = result.broker_epoch();
  env_.trace.info("broker.registered", {{"broker_epoch", broker_epoch_}});
  co_return true;
}

// False when the registration is gone and must be made again.
env::Task<bool> Node::Impl::heartbeat() {
  ControllerRequest request;
  BrokerHeartbeatRequest* body = request.mutable_broker_heartbeat();
  body->set_broker_id(config_.id);
  body->set_broker_epoch(broker_epoch_);
  body->set_current_metadata_offset(image_->offset());
  body->set_want_fence(!ready_);
  body->set_want_shutdown(want_shutdown_);
  const Instant deadline = env_.scheduler.now() + config_.session_timeout;
  const Result<ControllerResponse> response = co_await call_controller(std::move(request), deadline);
  if (!response) co_return true;
  const BrokerHeartbeatResponse& result = response->broker_heartbeat();
  if (result.error_code() == error_code::kStaleBrokerEpoch ||
      result.error_code() == error_code::kBrokerIdNotRegistered) {
    // Someone registered our id after us, or the registration was removed.
    env_.trace.warn("broker.registration_lost", {{"broker_epoch", broker_epoch_}});
    co_return false;
  }
  if (result.should_shutdown() && !may_shut_down_) {
    may_shut_down_ = true;
    image_changed_.notify_all();
  }
  co_return true;
}

void Node::Impl::note_own_registration(const ClusterImage& before, const ClusterImage& after) {
  const BrokerImage* now = after.broker(config_.id);
  const BrokerImage* then = before.broker(config_.id);
  if (now == nullptr || then == nullptr || now->epoch != then->epoch || now->fenced == then->fenced) return;
  env_.trace.info(now->fenced ? "broker.fenced" : "broker.unfenced", {{"broker_epoch", now->epoch}});
}

env::Task<Status> Node::Impl::wait_unfenced(Instant deadline) {
  while (fenced()) {
    if (gate_.closing()) co_return fail(Errc::closed, "the node is stopping");
    if (env_.scheduler.now() >= deadline)
      co_return fail(Errc::timed_out, "the controller has not unfenced this broker");
    (void)co_await image_changed_.wait(deadline);
  }
  co_return Status{};
}

env::Task<Status> Node::Impl::controlled_shutdown(Instant deadline) {
  want_shutdown_ = true;
  kick_lifecycle();
  while (!may_shut_down_) {
    if (gate_.closing()) co_return fail(Errc::closed, "the node is stopping");
    if (env_.scheduler.now() >= deadline) co_return fail(Errc::timed_out, "the controller has not let this broker go");
    (void)co_await image_changed_.wait(std::min(deadline, env_.scheduler.now() + kShutdownPoll));
  }
  if (raft_->voters().size() == 1 || raft_->leader() != config_.id) co_return Status{};
  // Hand the quorum over rather than let it find out by timeout.
  const Instant give_up = std::min(deadline, env_.scheduler.now() + kTransferWait);
  while (raft_->leader() == config_.id && env_.scheduler.now() < give_up) {
    post(Transfer{});
    (void)co_await leader_changed_.wait(std::min(give_up, env_.scheduler.now() + kShutdownPoll));
  }
  co_return Status{};
}

}  // namespace ordeal::meta
