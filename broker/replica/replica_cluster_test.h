// Whole replication in one simulated world: real replica managers, logs and fetchers on simulated disks and network;
// the controller is the real decider without Raft (requests reach it by function call, images arrive by polling).
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker/env/sync.h"
#include "broker/meta/controller.h"
#include "broker/meta/error_code.h"
#include "broker/replica/replica_manager.h"
#include "broker/wire/api.h"
#include "broker/wire/frame.h"
#include "broker/wire/messages/fetch.h"
#include "broker/wire/messages/offsets.h"
#include "broker/wire/record_batch.h"
#include "faults/sim/sim_world.h"

namespace ordeal::replica::testing {

inline constexpr std::uint16_t kReplicationPort = 9093;
inline const std::string kDataDir = "/data/logs";

inline std::string host_of(NodeId id) { return fmt::format("10.77.0.{}", 10 + id); }

// The controller's decisions, shared by all nodes of a cluster. Nobody times out here: tests say who is fenced.
class TestController {
 public:
  explicit TestController(Instant now) : controller_(config(), meta::ClusterImage{}, Random(1), now) {
    apply(controller_.bootstrap());
  }

  meta::ControllerResponse handle(const meta::ControllerRequest& request, Instant now) {
    meta::Decision decision = controller_.handle(request, now);
    apply(decision.records);
    return decision.response;
  }
  meta::ImagePtr image() const { return image_; }

  BrokerEpoch register_broker(NodeId id, std::uint64_t incarnation, Instant now) {
    meta::ControllerRequest request;
    auto& body = *request.mutable_broker_registration();
    body.set_broker_id(id);
    body.set_cluster_id("test");
    std::string uuid(16, '\0');
    uuid[0] = static_cast<char>(id);
    uuid[1] = static_cast<char>(incarnation);
    uuid[2] = static_cast<char>(incarnation >> 8);
    uuid[15] = 1;
    body.set_incarnation_id(uuid);
    body.set_rack(fmt::format("r{}", id));
    auto& listener = *body.add_listeners();
    listener.set_name("REPLICATION");
    listener.set_host(host_of(id));
    listener.set_port(kReplicationPort);
    const auto response = handle(request, now);
    REQUIRE(response.broker_registration().error_code() == 0);
    return response.broker_registration().broker_epoch();
  }
  void heartbeat(NodeId id, BrokerEpoch epoch, bool fence, Instant now) {
    meta::ControllerRequest request;
    auto& body = *request.mutable_broker_heartbeat();
    body.set_broker_id(id);
    body.set_broker_epoch(epoch);
    body.set_current_metadata_offset(image_->offset());
    body.set_want_fence(fence);
    handle(request, now);
  }
  void fence(NodeId id, Instant now) {
    const meta::BrokerImage* broker = image_->broker(id);
    if (broker != nullptr && !broker->fenced) heartbeat(id, broker->epoch, true, now);
  }
  void create_topic(const std::string& name, std::vector<NodeId> replicas, int partitions, Instant now,
                    std::map<std::string, std::string> configs = {}) {
    meta::ControllerRequest request;
    auto& topic = *request.mutable_create_topics()->add_topics();
    topic.set_name(name);
    topic.set_num_partitions(-1);
    topic.set_replication_factor(-1);
    for (int partition = 0; partition < partitions; ++partition) {
      auto& assignment = *topic.add_assignments();
      assignment.set_partition(partition);
      for (const NodeId replica : replicas) assignment.add_replicas(replica);
    }
    for (const auto& [key, value] : configs) {
      auto& config = *topic.add_configs();
      config.set_name(key);
      config.set_value(value);
    }
    const auto response = handle(request, now);
    REQUIRE_MESSAGE(response.create_topics().topics(0).error_code() == 0,
                    response.create_topics().topics(0).error_message());
  }
  void delete_topic(const std::string& name, Instant now) {
    meta::ControllerRequest request;
    request.mutable_delete_topics()->add_topics()->set_name(name);
    const auto response = handle(request, now);
    REQUIRE(response.delete_topics().topics(0).error_code() == 0);
  }
  // Any record, for states that only a real cluster's history would bring about.
  void apply(const meta::MetadataBatch& records) {
    if (records.records_size() == 0) return;
    controller_.replay(records, controller_.next_index());
    image_ = std::make_shared<const meta::ClusterImage>(controller_.image());
  }
  // Elections and ISRs that a real cluster would come to by a longer way.
  void move_leader(const std::string& topic, PartitionId partition, NodeId to) { change(topic, partition, {}, to); }
  void set_isr(const std::string& topic, PartitionId partition, std::vector<NodeId> isr, NodeId leader) {
    change(topic, partition, std::move(isr), leader);
  }

 private:
  static meta::ControllerConfig config() {
    meta::ControllerConfig config;
    config.cluster_id = "test";
    config.session_timeout = 1000h;
    config.auto_leader_rebalance = false;
    return config;
  }
  void change(const std::string& topic, PartitionId partition, std::vector<NodeId> isr, NodeId leader) {
    const meta::TopicPtr known = image_->topic(topic);
    meta::MetadataBatch batch;
    auto& record = *batch.add_records()->mutable_partition_change();
    record.set_topic_id(std::string(known->id.bytes.begin(), known->id.bytes.end()));
    record.set_partition(partition);
    for (const NodeId member : isr) record.mutable_isr()->add_nodes(member);
    if (leader != known->partition(partition)->leader) record.set_leader(leader);
    apply(batch);
  }
  meta::Controller controller_;
  meta::ImagePtr image_ = std::make_shared<const meta::ClusterImage>();
};

struct ClusterOptions {
  std::uint64_t seed = 1;
  int nodes = 3;
  bool fsync = true;
  std::int32_t min_isr = 1;
  Duration lag = 1s;
  std::vector<mutation::Bug> bugs;
};

class Cluster;

// One broker's replication half, with a listener that serves Fetch and OffsetForLeaderEpoch to the others.
class TestNode {
 public:
  TestNode(Cluster& cluster, sim::NodeContext& context);
  ReplicaManager& manager() { return *manager_; }
  bool ready() const { return ready_; }
  const sim::NodeContext& context() const { return context_; }
  static env::Task<> stop(TestNode* self);

 private:
  static env::Task<> run(TestNode* self);
  static env::Task<> watch(TestNode* self);
  static env::Task<> serve(TestNode* self, std::unique_ptr<env::Stream> stream);
  env::Task<Bytes> answer(Slice frame);
  void controller_goodbye();

  Cluster& cluster_;
  sim::NodeContext& context_;
  env::Env& env_;
  env::Gate gate_;
  std::unique_ptr<ReplicaManager> manager_;
  std::unique_ptr<env::Listener> listener_;
  BrokerEpoch epoch_ = -1;
  bool ready_ = false;
};

class Cluster {
 public:
  explicit Cluster(ClusterOptions options);

  // ---- Verbs. Those that take long let the world run.
  void start(NodeId id) { world.start(id); }
  void start_all();
  void kill(NodeId id, bool fence = true);
  void power_cut(NodeId id, bool fence = true);
  void stop(NodeId id);
  void deafen(NodeId id, bool deaf = true) {
    deaf_.erase(id);
    if (deaf) deaf_.insert(id);
  }
  void cut(NodeId a, NodeId b) { world.cut(host_of(a), host_of(b)); }
  void heal(NodeId a, NodeId b) { world.heal(host_of(a), host_of(b)); }
  void create_topic(const std::string& name, std::vector<NodeId> replicas, int partitions = 1);
  void run_for(Duration duration) { world.run_for(duration); }
  bool run_until(const std::function<bool()>& done, Duration at_most = 30s) { return world.run_until(done, at_most); }

  // Starts an append on `node`; the result is there once the world has run far enough.
  using Pending = std::shared_ptr<std::optional<AppendResult>>;
  Pending begin_produce(NodeId node, const std::string& value, std::int16_t acks = -1, Duration timeout = 5s,
                        TopicPartition at = {"t", 0});
  AppendResult produce(NodeId node, const std::string& value, std::int16_t acks = -1, Duration timeout = 5s,
                       TopicPartition at = {"t", 0});
  std::shared_ptr<std::optional<FetchResult>> begin_fetch(NodeId node, Offset from, Duration wait,
                                                          TopicPartition at = {"t", 0}, std::int32_t min_bytes = 1);
  FetchResult fetch(NodeId node, Offset from, Duration wait = 0ms, TopicPartition at = {"t", 0});
  ListOffsetsResult list_offset(NodeId node, std::int64_t timestamp, TopicPartition at = {"t", 0});

  // ---- What is so
  TestNode& node(NodeId id) { return world.process<TestNode>(id); }
  bool up(NodeId id) const { return world.state(id) == sim::NodeState::running; }
  bool ready(NodeId id) {
    const auto process = processes_[id].lock();
    return up(id) && process && process->ready();
  }
  NodeId leader(TopicPartition at = {"t", 0}) const;
  std::vector<NodeId> isr(TopicPartition at = {"t", 0}) const;
  PartitionStatus status(NodeId id, TopicPartition at = {"t", 0});
  // Every replica of the partition is up, in the ISR, and has the leader's end and high watermark.
  bool settled(TopicPartition at = {"t", 0});
  Bytes log_bytes(NodeId id, TopicPartition at = {"t", 0});  // as the node would read them: no recovery needed
  std::vector<std::string> values(NodeId id, TopicPartition at = {"t", 0});

  sim::World world;
  TestController controller;
  mutation::Switches switches;
  ClusterOptions options;

 private:
  friend class TestNode;
  std::map<NodeId, std::weak_ptr<TestNode>> processes_;
  std::set<NodeId> deaf_;  // cut off from the controller
};

Bytes one_batch(const std::string& value, WallMs now);
std::vector<std::string> values_of(ByteView batches);

}  // namespace ordeal::replica::testing
