// The order of starting and stopping is the contract here (broker.h); everything else is wiring.
#include "broker/server/broker.h"

#include <fmt/format.h>

#include "broker/base/check.h"
#include "broker/log/log_dir.h"
#include "broker/meta/control.pb.h"

namespace ordeal::server {

class Broker::NodeMetadata final : public Metadata {
 public:
  explicit NodeMetadata(meta::Node& node) : node_(node) {}
  meta::ImagePtr image() const override { return node_.image(); }
  env::Signal& image_changed() override { return node_.image_changed(); }
  NodeId controller_id() const override { return node_.controller_id(); }
  BrokerEpoch broker_epoch() const override { return node_.broker_epoch(); }
  env::Task<Result<meta::ControllerResponse>> call_controller(meta::ControllerRequest request,
                                                              Instant deadline) override {
    return node_.call_controller(std::move(request), deadline);
  }

 private:
  meta::Node& node_;
};

class Broker::ReplicaPartitions final : public Partitions {
 public:
  explicit ReplicaPartitions(replica::ReplicaManager& manager) : manager_(manager) {}
  env::Task<std::vector<replica::AppendResult>> append(replica::AppendParams params) override {
    return manager_.append(std::move(params));
  }
  env::Task<std::vector<replica::FetchResult>> fetch(replica::FetchParams params) override {
    return manager_.fetch(std::move(params));
  }
  env::Task<std::vector<replica::ListOffsetsResult>> list_offsets(
      std::vector<replica::ListOffsetsQuery> queries) override {
    return manager_.list_offsets(std::move(queries));
  }
  env::Task<std::vector<replica::EpochAnswer>> offset_for_leader_epoch(
      std::vector<replica::EpochQuery> queries) override {
    return manager_.offset_for_leader_epoch(std::move(queries));
  }
  std::vector<replica::PartitionStatus> status() const override { return manager_.status(); }

 private:
  replica::ReplicaManager& manager_;
};

namespace {

Uuid draw_uuid(Random& random) {
  Uuid id;
  store_be<std::uint64_t>(id.bytes.data(), random.next());
  store_be<std::uint64_t>(id.bytes.data() + 8, random.next());
  return id;
}

log::LogConfig log_config(const BrokerConfig& broker) {
  const TopicConfig& topic = broker.topic_defaults;
  log::LogConfig config;
  config.segment_bytes = topic.segment_bytes;
  config.segment_ms = topic.segment_ms;
  config.index_interval_bytes = topic.index_interval_bytes;
  config.segment_index_bytes = topic.segment_index_bytes;
  config.retention_ms = topic.retention_ms;
  config.retention_bytes = topic.retention_bytes;
  config.max_message_bytes = topic.max_message_bytes;
  config.log_append_time = topic.log_append_time;
  config.timestamp_before_max_ms = topic.timestamp_before_max_ms;
  config.timestamp_after_max_ms = topic.timestamp_after_max_ms;
  if (topic.compression_type == "uncompressed") {
    config.compression = wire::Codec::none;
  } else {
    config.compression = wire::find_codec(topic.compression_type);  // "producer" names no codec
  }
  config.delete_old = topic.cleanup_delete;
  config.compacted = topic.cleanup_compact;
  config.producer_id_expiration_ms = broker.producer_id_expiration_ms;
  config.preallocate = topic.preallocate;
  return config;
}

}  // namespace

Broker::Broker(env::Env& env, BrokerConfig config, const mutation::Switches& switches,
               std::function<void(const Error&)> fatal, kv::KvFactory open_store)
    : env_(env),
      config_(std::move(config)),
      switches_(switches),
      fatal_(std::move(fatal)),
      store_factory_(std::move(open_store)),
      gate_(env.scheduler),
      settled_(env.scheduler) {
  ORDEAL_CHECK(fatal_ != nullptr, "a failed disk must be able to end the broker");
  if (!store_factory_) {
    store_factory_ = kv::rocks_factory([report = fatal_](const std::string& what) { report({Errc::io, what}); });
  }
}
Broker::~Broker() = default;

meta::NodeConfig Broker::node_config() {
  meta::NodeConfig node;
  node.id = config_.node_id;
  node.cluster_id = config_.cluster_id;
  node.voters = config_.voters;
  for (const ListenerAddress& listener : config_.listeners)
    if (listener.name == meta::kControllerListener) node.controller_endpoint = listener.endpoint;
  node.raft_entries_max = config_.metadata_log_entries_max;
  for (const ListenerAddress& listener : config_.advertised_listeners) {
    node.advertised.push_back({listener.name, listener.endpoint});
  }
  node.rack = config_.rack;
  node.incarnation = draw_uuid(env_.random);
  node.election_timeout = config_.election_timeout;
  node.quorum_timeout = config_.quorum_fetch_timeout;
  node.raft_heartbeat = std::min<Duration>(node.raft_heartbeat, config_.election_timeout / 3);
  node.broker_heartbeat = config_.broker_heartbeat_interval;
  node.session_timeout = config_.broker_session_timeout;
  node.num_partitions = config_.num_partitions;
  node.default_replication_factor = config_.default_replication_factor;
  node.min_insync_replicas = config_.topic_defaults.min_insync_replicas;
  node.log_durable = config_.topic_defaults.fsync();
  node.unclean_leader_election = config_.topic_defaults.unclean_leader_election;
  node.auto_leader_rebalance = config_.auto_leader_rebalance;
  node.leader_rebalance_interval = config_.leader_imbalance_check_interval;
  node.on_fatal = fatal_;
  return node;
}

replica::Options Broker::replica_options() const {
  replica::Options options;
  options.node_id = config_.node_id;
  options.cluster_id = config_.cluster_id;
  options.log_dir = config_.log_dir;
  options.fsync = config_.topic_defaults.fsync();
  options.log = log_config(config_);
  options.min_insync_replicas = config_.topic_defaults.min_insync_replicas;
  options.replica_lag_time_max = config_.replica_lag_time_max;
  options.hw_trace_interval = config_.hw_trace_interval;
  options.replica_fetch_wait_max = config_.replica_fetch_wait_max;
  options.replica_fetch_backoff = config_.replica_fetch_backoff;
  options.replica_request_timeout = config_.replica_socket_timeout;
  options.replica_fetch_min_bytes = config_.replica_fetch_min_bytes;
  options.replica_fetch_max_bytes = config_.replica_fetch_max_bytes;
  options.replica_fetch_response_max_bytes = config_.replica_fetch_response_max_bytes;
  options.high_watermark_checkpoint_interval = config_.high_watermark_checkpoint_interval;
  options.retention_check_interval = config_.retention_check_interval;
  options.flush_checkpoint_interval = config_.flush_offset_checkpoint_interval;
  options.fatal = fatal_;
  return options;
}

env::Task<Status> Broker::start() {
  ORDEAL_CHECK(!starting_ && !stopping_ && !stopped_, "a broker starts once");
  starting_ = true;
  Status up = co_await bring_up();
  starting_ = false;
  settled_.notify_all();
  if (up && !stopping_) {
    serving_ = true;
    env_.trace.info("broker.ready", {});
    co_return Status{};
  }
  if (stopping_) co_return fail(Errc::closed, "stopped while starting");
  stopping_ = true;
  co_await tear_down(false);
  co_return fail(up.error());
}

// Also asks how this node stopped last: the metadata node registers before the log directory is opened.
env::Task<Status> Broker::open_store(meta::NodeConfig& node) {
  const std::string path = config_.metadata_dir;
  const kv::KvFactory factory = store_factory_;
  env::Disk& disk = env_.disk;
  const std::string log_dir = config_.log_dir;
  std::function<Result<std::unique_ptr<kv::KvStore>>()> work = [path, factory, &disk, log_dir,
                                                                &node]() -> Result<std::unique_ptr<kv::KvStore>> {
    node.log_kept = log::has_been_log_directory(disk, log_dir);
    const auto epoch = log::clean_shutdown_epoch(disk, log_dir);
    if (!epoch) return fail(epoch.error());
    node.previous_broker_epoch = *epoch;
    ORDEAL_TRY(log::create_durably(disk, log_dir));
    return factory(path);
  };
  Result<std::unique_ptr<kv::KvStore>> store = co_await env::blocking(env_.scheduler, std::move(work));
  if (!store) co_return fail(store.error());  // names the folder
  store_ = std::move(*store);
  co_return Status{};
}

env::Task<Status> Broker::bring_up() {
  meta::NodeConfig node = node_config();
  const std::string incarnation = node.incarnation.to_string();
  env_.trace.info("broker.start", {{"incarnation", std::string_view(incarnation)}});
  ORDEAL_CO_TRY(co_await open_store(node));
  node_ = std::make_unique<meta::Node>(env_, std::move(node), *store_, switches_);
  replicas_ =
      std::make_unique<replica::ReplicaManager>(env_, switches_, replica::controller_link(*node_), replica_options());
  metadata_ = std::make_unique<NodeMetadata>(*node_);
  partitions_ = std::make_unique<ReplicaPartitions>(*replicas_);
  producer_ids_ = std::make_unique<ProducerIds>(env_.scheduler, *metadata_, config_.node_id);
  services_ = std::make_unique<Services>(Services{env_, config_, *metadata_, *partitions_, *producer_ids_});
  server_ = std::make_unique<Server>(*services_);

  Status node_up = co_await node_->start();
  if (!node_up) co_return node_up;
  node_started_ = true;
  Status logs_up = co_await replicas_->open();
  if (!logs_up) co_return logs_up;
  logs_open_ = true;
  Status registered = co_await wait_registered();
  if (!registered) co_return registered;
  co_await replicas_->start(node_->image());
  if (stopping_) co_return fail(Errc::closed, "stopping");
  gate_.spawn(follow_image(), "broker.image");
  for (const ListenerAddress& listener : config_.listeners) {
    if (listener.name == meta::kControllerListener) continue;  // the metadata node has it
    ORDEAL_CO_TRY(server_->listen(listener.name, listener.endpoint));
  }
  node_->set_ready();
  while (node_->fenced()) {
    if (stopping_) co_return fail(Errc::closed, "stopping");
    const Status unfenced = co_await node_->wait_unfenced(env_.scheduler.now() + 1s);
    if (!unfenced && unfenced.error().code != Errc::timed_out) co_return unfenced;
  }
  co_return Status{};
}

// The image must show this very registration: an older image of ours may name leaderships of an earlier incarnation.
env::Task<Status> Broker::wait_registered() {
  while (!stopping_) {
    const meta::ImagePtr image = node_->image();
    const meta::BrokerImage* self = image->broker(config_.node_id);
    if (self != nullptr && node_->broker_epoch() >= 0 && self->epoch == node_->broker_epoch()) co_return Status{};
    const bool changed = co_await node_->image_changed().wait(env_.scheduler.now() + 10ms);
    (void)changed;
  }
  co_return fail(Errc::closed, "stopping");
}

env::Task<> Broker::follow_image() {
  Offset applied = -1;
  while (!gate_.closing()) {
    meta::ImagePtr image = node_->image();
    if (image->offset() == applied) {
      const bool changed = co_await node_->image_changed().wait(env_.scheduler.now() + 1s);
      (void)changed;
      continue;
    }
    applied = image->offset();
    co_await replicas_->on_image(std::move(image));
  }
}

env::Task<> Broker::stop() {
  if (stopped_) co_return;
  if (stopping_) {  // someone else is at it
    while (!stopped_) {
      const bool settled = co_await settled_.wait();
      (void)settled;
    }
    co_return;
  }
  env_.trace.info("broker.stopping", {});
  const bool controlled = serving_ && config_.controlled_shutdown;
  stopping_ = true;
  serving_ = false;
  while (starting_) {
    const bool settled = co_await settled_.wait();
    (void)settled;
  }
  co_await tear_down(controlled);
}

// Asks the controller to move our leaderships away, and gives up early when there is no controller to ask: the last
// nodes of a cluster that is being stopped have no quorum any more.
env::Task<> Broker::leave_cluster() {
  constexpr Duration kAttempt = 250ms;
  const Duration without_controller_max = 3 * config_.quorum_fetch_timeout;
  const Instant deadline = env_.scheduler.now() + config_.controlled_shutdown_timeout;
  Instant controller_seen = env_.scheduler.now();
  while (true) {
    const Instant attempt = std::min(deadline, env_.scheduler.now() + kAttempt);
    const Status left = co_await node_->controlled_shutdown(attempt);
    if (left) co_return;
    const Instant now = env_.scheduler.now();
    if (node_->controller_id() != kNoNode) controller_seen = now;
    if (now < deadline && now - controller_seen < without_controller_max) continue;
    env_.trace.warn("broker.shutdown_uncontrolled", {{"error", std::string_view(left.error().text)}});
    co_return;
  }
}

env::Task<> Broker::tear_down(bool controlled) {
  constexpr Duration kRepliesWait = 1s;
  if (controlled) co_await leave_cluster();
  if (server_) server_->drain();
  gate_.begin_close();
  if (node_started_) node_->image_changed().notify_all();
  co_await gate_.close();
  if (logs_open_) co_await replicas_->stop();
  if (server_) co_await server_->close(env_.scheduler.now() + kRepliesWait);
  if (node_started_) co_await node_->stop();
  report_mutations();
  env_.trace.info("broker.stopped", {});
  stopped_ = true;
  settled_.notify_all();
}

void Broker::report_mutations() {
  for (const mutation::BugInfo& bug : mutation::all_bugs()) {
    if (!switches_.is_on(bug.bug)) continue;
    env_.trace.info("mutation.ran", {{"name", bug.name}, {"count", static_cast<std::int64_t>(switches_.ran(bug.bug))}});
  }
}

Endpoint Broker::local(const std::string& listener) const { return server_->local(listener); }

}  // namespace ordeal::server
