// The controller while this node leads: activation, requests, acknowledgement, resignation.
#include "broker/base/check.h"
#include "broker/meta/error_code.h"
#include "broker/meta/node_impl.h"

namespace ordeal::meta {

namespace {

std::string joined(const std::vector<NodeId>& ids) {
  std::string text;
  for (const NodeId id : ids) text += (text.empty() ? "" : ",") + std::to_string(id);
  return text;
}

}  // namespace

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
  config.min_insync_replicas = config_.min_insync_replicas;
  config.unclean_leader_election = config_.unclean_leader_election;
  config.auto_leader_rebalance = config_.auto_leader_rebalance;
  config.leader_rebalance_interval = config_.leader_rebalance_interval;
  const Instant now = env_.scheduler.now();
  controller_.emplace(std::move(config), *image_, Random(env_.random.next()), now, switches_);
  controller_term_ = raft_->term();
  ORDEAL_CHECK(controller_->next_index() == raft_->last_index() + 1);
  env_.trace.info("controller.active", {{"term", controller_term_}});
  // What was committed while nobody was active has not been told yet.
  for (const auto& [id, broker] : image_->brokers()) report_broker(broker, image_->offset());
  for (const auto& [name, topic] : image_->topics())
    for (std::size_t i = 0; i < topic->partitions.size(); ++i)
      report_partition(*topic, static_cast<PartitionId>(i), image_->offset());
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
  if (raft_->wants_entry()) {
    MetadataBatch nothing;
    nothing.add_records()->mutable_no_op();
    append_records(nothing);
  }
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
  Decision decision;
  if (request.request.has_alter_voters()) {
    alter_voters(request.request.alter_voters(), decision.response);
  } else if (request.request.has_describe_quorum()) {
    return request.reply->set(describe_quorum());  // as it is now: it rests on nothing that waits to be committed
  } else {
    decision = controller_->handle(request.request, env_.scheduler.now());
  }
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

void Node::Impl::report_committed(const raft::Entry& entry, const ClusterImage& after) {
  if (!leads()) return;  // also before its controller is active: what an earlier one appended commits then
  MetadataBatch batch;
  ORDEAL_CHECK(batch.ParseFromString(entry.data), "an entry that was replayed does not parse");
  std::set<NodeId> brokers;
  std::set<std::pair<Uuid, PartitionId>> partitions;
  for (const MetadataRecord& record : batch.records()) {
    if (record.has_register_broker()) brokers.insert(record.register_broker().broker_id());
    if (record.has_fence_broker()) brokers.insert(record.fence_broker().broker_id());
    if (record.has_unfence_broker()) brokers.insert(record.unfence_broker().broker_id());
    if (record.has_broker_shutting_down()) brokers.insert(record.broker_shutting_down().broker_id());
    if (record.has_partition())
      partitions.emplace(uuid_from_bytes(record.partition().topic_id()), record.partition().partition());
    if (record.has_partition_change())
      partitions.emplace(uuid_from_bytes(record.partition_change().topic_id()), record.partition_change().partition());
  }
  for (const NodeId id : brokers)
    if (const BrokerImage* broker = after.broker(id)) report_broker(*broker, entry.index);
  for (const auto& [id, number] : partitions)
    if (const TopicPtr topic = after.topic(id)) report_partition(*topic, number, entry.index);
}

void Node::Impl::report_broker(const BrokerImage& broker, Offset index) {
  env_.trace.debug("controller.broker", {{"broker", broker.id},
                                         {"broker_epoch", broker.epoch},
                                         {"fenced", broker.fenced ? 1 : 0},
                                         {"in_shutdown", broker.shutting_down ? 1 : 0},
                                         {"index", index}});
}

void Node::Impl::report_partition(const TopicImage& topic, PartitionId number, Offset index) {
  const PartitionImage& partition = topic.partitions[static_cast<std::size_t>(number)];
  const std::string isr = joined(partition.isr);
  const std::string elr = joined(partition.elr);
  env_.trace.debug("controller.partition", {{"topic", std::string_view(topic.name)},
                                            {"partition", number},
                                            {"leader", partition.leader},
                                            {"leader_epoch", partition.leader_epoch},
                                            {"partition_epoch", partition.partition_epoch},
                                            {"isr", std::string_view(isr)},
                                            {"elr", std::string_view(elr)},
                                            {"index", index}});
}

}  // namespace ordeal::meta
