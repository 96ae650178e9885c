// A controller whose records commit at once, with the verbs its tests speak in.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "broker/meta/controller.h"
#include "broker/meta/error_code.h"

namespace ordeal::meta {

inline constexpr Instant kStart{10s};

inline constexpr BrokerEpoch kNow = -2;  // in a proposal: the member's current epoch

// How the incarnation before stopped, as the next one tells it.
struct Stopped {
  BrokerEpoch clean_epoch = -1;
  bool log_kept = true;
};

inline Uuid incarnation(int number) {
  Uuid id;
  id.bytes[0] = 1;
  id.bytes[15] = static_cast<std::uint8_t>(number);
  return id;
}

struct Fixture {
  mutation::Switches switches;
  ControllerConfig config;
  Controller controller;
  Instant now = kStart;
  MetadataBatch last;  // the records of the last call
  int incarnations = 100;
  bool log_durable = true;  // of the brokers that register

  static ControllerConfig defaults() {
    ControllerConfig config;
    config.self = 1;
    config.self_incarnation = incarnation(1);
    config.cluster_id = "c";
    return config;
  }
  explicit Fixture(ControllerConfig with = defaults())
      : config(with), controller(config, ClusterImage{}, Random(1), kStart, switches) {}
  explicit Fixture(mutation::Bug bug) : Fixture() { switches.turn_on(bug); }

  void commit(const MetadataBatch& records) {
    last = records;
    if (!records.records().empty()) controller.replay(records, controller.next_index());
  }
  ControllerResponse call(const ControllerRequest& request) {
    Decision decision = controller.handle(request, now);
    commit(decision.records);
    return decision.response;
  }
  // Lets time pass in steps that are no stall; the brokers in `alive` heartbeat.
  void pass(Duration duration, const std::vector<NodeId>& alive) {
    const Instant end = now + duration;
    while (now < end) {
      now = std::min(end, now + 100ms);
      for (const NodeId id : alive) (void)heartbeat(id);
      while (true) {
        const MetadataBatch records = controller.tick(now);
        if (records.records().empty()) break;
        commit(records);
      }
    }
  }

  BrokerRegistrationResponse register_broker(NodeId id, int incarnation_number, const std::string& rack = "",
                                             const std::string& cluster = "c", Stopped stopped = {}) {
    ControllerRequest request;
    BrokerRegistrationRequest* body = request.mutable_broker_registration();
    body->set_broker_id(id);
    body->set_cluster_id(cluster);
    body->set_incarnation_id(uuid_to_bytes(incarnation(incarnation_number)));
    body->set_rack(rack);
    body->set_previous_broker_epoch(stopped.clean_epoch);
    body->set_log_kept(stopped.log_kept);
    body->set_log_durable(log_durable);
    to_record({"CLIENT", {"10.0.0.1", 9092}}, body->add_listeners());
    return call(request).broker_registration();
  }
  BrokerHeartbeatResponse heartbeat(NodeId id, bool want_fence = false, bool want_shutdown = false,
                                    Offset offset = -1) {
    ControllerRequest request;
    BrokerHeartbeatRequest* body = request.mutable_broker_heartbeat();
    body->set_broker_id(id);
    body->set_broker_epoch(epoch(id));
    body->set_want_fence(want_fence);
    body->set_want_shutdown(want_shutdown);
    body->set_current_metadata_offset(offset == -1 ? image().offset() : offset);
    return call(request).broker_heartbeat();
  }
  // Registered and unfenced, each on a rack of its own.
  void add_brokers(int count) {
    for (NodeId id = 1; id <= count; ++id) {
      REQUIRE(register_broker(id, id, "r" + std::to_string(id)).error_code() == 0);
      REQUIRE_FALSE(heartbeat(id).is_fenced());
    }
  }
  CreateTopicsResponse::Topic create(const std::string& name, int partitions, int factor,
                                     std::map<std::string, std::string> configs = {}) {
    ControllerRequest request;
    auto* topic = request.mutable_create_topics()->add_topics();
    topic->set_name(name);
    topic->set_num_partitions(partitions);
    topic->set_replication_factor(factor);
    for (const auto& [key, value] : configs) {
      auto* config_entry = topic->add_configs();
      config_entry->set_name(key);
      config_entry->set_value(value);
    }
    return call(request).create_topics().topics(0);
  }
  // With the replicas given, the first leading.
  CreateTopicsResponse::Topic create_on(const std::string& name, std::vector<std::vector<NodeId>> layout) {
    ControllerRequest request;
    auto* topic = request.mutable_create_topics()->add_topics();
    topic->set_name(name);
    topic->set_num_partitions(-1);
    topic->set_replication_factor(-1);
    for (std::size_t i = 0; i < layout.size(); ++i) {
      auto* assignment = topic->add_assignments();
      assignment->set_partition(static_cast<std::int32_t>(i));
      assignment->mutable_replicas()->Assign(layout[i].begin(), layout[i].end());
    }
    return call(request).create_topics().topics(0);
  }
  // The next incarnation of a broker whose session is over.
  BrokerEpoch restart(NodeId id, Stopped stopped = {}) {
    const auto response = register_broker(id, ++incarnations, "", "c", stopped);
    REQUIRE(response.error_code() == 0);
    return response.broker_epoch();
  }
  AlterTopicConfigsResponse::Topic alter_config(const std::string& topic, const std::string& key,
                                                std::optional<std::string> value) {
    ControllerRequest request;
    auto* wanted = request.mutable_alter_topic_configs()->add_topics();
    wanted->set_name(topic);
    auto* entry = wanted->add_configs();
    entry->set_name(key);
    if (value) entry->set_value(*value);
    return call(request).alter_topic_configs().topics(0);
  }
  struct Proposal {
    NodeId from;
    std::vector<std::pair<NodeId, BrokerEpoch>> isr;
    std::optional<LeaderEpoch> leader_epoch = std::nullopt;
    std::optional<PartitionEpoch> partition_epoch = std::nullopt;
    std::optional<BrokerEpoch> broker_epoch = std::nullopt;
  };
  ControllerRequest alter_request(const std::string& topic, const Proposal& proposal) {
    ControllerRequest request;
    AlterPartitionRequest* body = request.mutable_alter_partition();
    body->set_broker_id(proposal.from);
    body->set_broker_epoch(proposal.broker_epoch.value_or(epoch(proposal.from)));
    auto* partition = body->add_partitions();
    partition->set_topic_id(uuid_to_bytes(image().topic(topic)->id));
    partition->set_leader_epoch(proposal.leader_epoch.value_or(part(topic).leader_epoch));
    partition->set_partition_epoch(proposal.partition_epoch.value_or(part(topic).partition_epoch));
    for (const auto& [id, member_epoch] : proposal.isr) {
      auto* member = partition->add_new_isr();
      member->set_broker_id(id);
      member->set_broker_epoch(member_epoch == kNow ? epoch(id) : member_epoch);
    }
    return request;
  }
  AlterPartitionResponse alter(const std::string& topic, const Proposal& proposal) {
    return call(alter_request(topic, proposal)).alter_partition();
  }
  std::int32_t alter_error(const std::string& topic, const Proposal& proposal) {
    const AlterPartitionResponse response = alter(topic, proposal);
    return response.error_code() != 0 ? response.error_code() : response.partitions(0).error_code();
  }

  const ClusterImage& image() const { return controller.image(); }
  BrokerEpoch epoch(NodeId id) const { return image().broker(id) == nullptr ? -1 : image().broker(id)->epoch; }
  const PartitionImage& part(const std::string& topic, PartitionId number = 0) const {
    return *image().partition(topic, number);
  }
};

using Nodes = std::vector<NodeId>;

}  // namespace ordeal::meta
