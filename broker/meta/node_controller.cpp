// The controller while this node leads: activation, requests, acknowledgement, resignation.
#include "broker/base/check.h"
#include "broker/meta/error_code.h"
#include "broker/meta/node_impl.h"

namespace ordeal::meta {

ControllerResponse not_controller() {
  ControllerResponse response;
  response.set_error_code(error_code::kNotController);
  response.set_error_message("this node is not the active controller");
  return response;
}

bool Node::Impl::leads() const { return raft_->role() == raft::Role::leader; }

env::Task<ControllerResponse> Node::Impl::on_request(NodeId, ControllerRequest request) {
  if (!raft_ || !leads()) co_return not_controller();
  auto reply = std::make_shared<Reply>(env_.scheduler);
  post(Request{std::move(request), reply});
  std::optional<ControllerResponse> response = co_await reply->wait();
  co_return std::move(*response);
}

// Once the entry that opened the term is applied, so is everything committed before it.
void Node::Impl::activate_controller() {
  if (controller_ || !leads() || image_->offset() < raft_->term_start()) return;
  ControllerConfig config;
  config.self = config_.id;
  config.self_incarnation = config_.incarnation;
  config.cluster_id = config_.cluster_id;
  config.session_timeout = config_.session_timeout;
  config.lost_connection_grace = config_.lost_connection_grace;
  config.num_partitions = config_.num_partitions;
  config.default_replication_factor = config_.default_replication_factor;
  config.unclean_leader_election = config_.unclean_leader_election;
  config.auto_leader_rebalance = config_.auto_leader_rebalance;
  config.leader_rebalance_interval = config_.leader_rebalance_interval;
  const Instant now = env_.scheduler.now();
  controller_.emplace(std::move(config), *image_, Random(env_.random.next()), now);
  controller_term_ = raft_->term();
  ORDEAL_CHECK(controller_->next_index() == raft_->last_index() + 1);
  env_.trace.info("controller.active", {{"term", controller_term_}});
  for (const NodeId peer : lost_) controller_->connection_lost(peer, now);
  append_records(controller_->bootstrap());
  leader_changed_.notify_all();
}

void Node::Impl::resign_controller() {
  if (!controller_) return;
  env_.trace.info("controller.resigned", {{"term", controller_term_}});
  controller_.reset();
  for (auto& [index, waiting] : std::exchange(waiting_, {})) waiting.reply->set(not_controller());
}

void Node::Impl::tick_controller() {
  while (true) {
    const MetadataBatch records = controller_->tick(env_.scheduler.now());
    if (records.records().empty()) return;
    append_records(records);
  }
}

void Node::Impl::append_records(const MetadataBatch& records) {
  if (records.records().empty()) return;
  const std::optional<raft::Index> index = raft_->propose(records.SerializeAsString(), env_.scheduler.now());
  ORDEAL_CHECK(index.has_value() && *index == controller_->next_index());
  controller_->replay(records, *index);
}

void Node::Impl::decide(Request request) {
  if (!controller_) return request.reply->set(not_controller());
  Decision decision = controller_->handle(request.request, env_.scheduler.now());
  append_records(decision.records);
  // Also without records of its own an answer may rest on some that are not committed yet.
  const Offset index = controller_->image().offset();
  if (index <= image_->offset()) return request.reply->set(std::move(decision.response));
  waiting_.emplace(index, Waiting{std::move(decision.response), std::move(request.reply)});
}

void Node::Impl::acknowledge() {
  while (!waiting_.empty() && waiting_.begin()->first <= image_->offset()) {
    const auto first = waiting_.begin();
    first->second.reply->set(std::move(first->second.response));
    waiting_.erase(first);
  }
}

}  // namespace ordeal::meta
