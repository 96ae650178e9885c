// Topics and producer ids: creation, settings, deletion, blocks of 1000 ids.
#include <algorithm>

#include "broker/base/bytes.h"
#include "broker/base/check.h"
#include "broker/meta/controller.h"
#include "broker/meta/error_code.h"
#include "broker/meta/placement.h"
#include "broker/meta/topic_config.h"

namespace ordeal::meta {
namespace {

using Wanted = CreateTopicsRequest::Topic;
using Layout = std::vector<std::vector<NodeId>>;  // replicas of each partition

struct Refusal {
  std::int32_t code = error_code::kNone;
  std::string why;
};
using Checked = std::optional<Refusal>;

Checked refuse(std::int32_t code, std::string why) { return Refusal{code, std::move(why)}; }

Checked check_name(const std::string& name, const ClusterImage& image, const std::map<std::string, int>& asked) {
  if (asked.at(name) > 1) return refuse(error_code::kInvalidRequest, "the request names the topic twice");
  if (const auto wrong = check_topic_name(name)) return refuse(error_code::kInvalidTopic, *wrong);
  if (image.topic(name)) return refuse(error_code::kTopicAlreadyExists, "Topic '" + name + "' already exists.");
  if (name.find_first_of("._") == std::string::npos) return std::nullopt;
  for (const auto& [other, topic] : image.topics())
    if (topic_names_collide(name, other))
      return refuse(error_code::kInvalidTopic, "topic '" + name + "' collides with '" + other + "'");
  return std::nullopt;
}

Checked check_configs(const Wanted& topic) {
  for (const CreateTopicsRequest::Config& config : topic.configs()) {
    if (!config.has_value()) return refuse(error_code::kInvalidConfig, config.name() + " has no value");
    if (const auto wrong = check_topic_config(config.name(), config.value()))
      return refuse(error_code::kInvalidConfig, *wrong);
  }
  return std::nullopt;
}

std::vector<std::string> elements(const std::string& list) {
  std::vector<std::string> out;
  for (std::size_t from = 0; from < list.size();) {
    const std::size_t end = std::min(list.find(',', from), list.size());
    out.push_back(list.substr(from, end - from));
    from = end + 1;
  }
  return out;
}

// What a setting that is a list becomes: an element that is there is not added twice.
std::string changed_list(const AlterTopicConfigsRequest::ListChange& change, const TopicImage& topic) {
  const auto own = topic.configs.find(change.name());
  std::vector<std::string> list = elements(own == topic.configs.end() ? change.otherwise() : own->second);
  for (const std::string& element : elements(change.value())) {
    std::erase(list, element);
    if (!change.remove()) list.push_back(element);
  }
  return fmt::format("{}", fmt::join(list, ","));
}

Checked check_changes(const AlterTopicConfigsRequest::Topic& wanted, const TopicPtr& topic, int times) {
  if (times > 1) return refuse(error_code::kInvalidRequest, "the request names the topic twice");
  if (!topic)
    return refuse(error_code::kUnknownTopicOrPartition, fmt::format("The topic '{}' does not exist.", wanted.name()));
  std::set<std::string> seen;
  const auto twice = [&](const std::string& name) { return !seen.insert(name).second; };
  for (const AlterTopicConfigsRequest::ListChange& change : wanted.list_changes()) {
    if (twice(change.name())) return refuse(error_code::kInvalidRequest, change.name() + " is changed twice");
    if (!is_list_config(change.name()))
      return refuse(error_code::kInvalidConfig, fmt::format("{} is not a list", change.name()));
    if (const auto wrong = check_topic_config(change.name(), changed_list(change, *topic)))
      return refuse(error_code::kInvalidConfig, *wrong);
  }
  for (const CreateTopicsRequest::Config& config : wanted.configs()) {
    if (twice(config.name())) return refuse(error_code::kInvalidRequest, config.name() + " is changed twice");
    if (!config.has_value()) {
      const auto known = topic_config_names();
      if (std::ranges::find(known, config.name()) == known.end())
        return refuse(error_code::kInvalidConfig, "Unknown topic config name: " + config.name());
    } else if (const auto wrong = check_topic_config(config.name(), config.value())) {
      return refuse(error_code::kInvalidConfig, *wrong);
    }
  }
  return std::nullopt;
}

// A layout given by hand: partitions 0..n-1, each on the same number of distinct, registered brokers.
Checked check_assignments(const Wanted& topic, const ClusterImage& image, Layout& layout) {
  if (topic.num_partitions() != -1 || topic.replication_factor() != -1)
    return refuse(error_code::kInvalidRequest, "give either assignments or counts");
  layout.resize(static_cast<std::size_t>(topic.assignments_size()));
  const auto wrong = [](std::string why) { return refuse(error_code::kInvalidReplicaAssignment, std::move(why)); };
  for (const CreateTopicsRequest::Assignment& assignment : topic.assignments()) {
    const std::int32_t number = assignment.partition();
    if (number < 0 || number >= topic.assignments_size() || !layout[static_cast<std::size_t>(number)].empty())
      return wrong("partitions must be numbered from 0 without gaps");
    std::vector<NodeId> replicas(assignment.replicas().begin(), assignment.replicas().end());
    const std::set<NodeId> distinct(replicas.begin(), replicas.end());
    if (replicas.empty() || distinct.size() != replicas.size()) return wrong("replicas must be distinct, at least one");
    if (assignment.replicas_size() != topic.assignments(0).replicas_size())
      return wrong("all partitions must have the same number of replicas");
    bool any_active = false;
    for (const NodeId replica : replicas) {
      const BrokerImage* broker = image.broker(replica);
      if (broker == nullptr) return wrong(fmt::format("broker {} is not registered", replica));
      any_active = any_active || broker->active();
    }
    if (!any_active) return wrong(fmt::format("no broker of partition {} is active", number));
    layout[static_cast<std::size_t>(number)] = std::move(replicas);
  }
  return std::nullopt;
}

Checked place(const Wanted& topic, const ControllerConfig& config, Placement& placement, Layout& layout) {
  const std::int32_t partitions = topic.num_partitions() == -1 ? config.num_partitions : topic.num_partitions();
  const std::int32_t factor =
      topic.replication_factor() == -1 ? config.default_replication_factor : topic.replication_factor();
  if (partitions < 1 || partitions > kPartitionsMax)
    return refuse(error_code::kInvalidPartitions, fmt::format("partitions must be from 1 to {}", kPartitionsMax));
  if (factor < 1) return refuse(error_code::kInvalidReplicationFactor, "the replication factor must be at least 1");
  if (static_cast<std::size_t>(factor) > placement.brokers())
    return refuse(error_code::kInvalidReplicationFactor,
                  fmt::format("{} replicas need as many brokers; {} are registered", factor, placement.brokers()));
  if (placement.active_brokers() == 0)
    return refuse(error_code::kInvalidReplicationFactor, "all brokers are fenced or shutting down");
  for (std::int32_t i = 0; i < partitions; ++i) layout.push_back(placement.next(static_cast<std::size_t>(factor)));
  return std::nullopt;
}

void add_partition(const Uuid& topic, PartitionId number, const std::vector<NodeId>& replicas,
                   const ClusterImage& image, MetadataBatch& records) {
  PartitionRecord* record = records.add_records()->mutable_partition();
  record->set_topic_id(uuid_to_bytes(topic));
  record->set_partition(number);
  for (const NodeId replica : replicas) {
    record->add_replicas(replica);
    if (image.broker(replica)->active()) record->add_isr(replica);
  }
  ORDEAL_CHECK(record->isr_size() > 0);
  record->set_leader(record->isr(0));
}

}  // namespace

Uuid Controller::new_topic_id() {
  Uuid id;
  do {
    const std::uint64_t high = random_.next();
    const std::uint64_t low = random_.next();
    store_be(id.bytes.data(), high);
    store_be(id.bytes.data() + 8, low);
    id.bytes[6] = static_cast<std::uint8_t>((id.bytes[6] & 0x0f) | 0x40);  // version 4
    id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3f) | 0x80);
    // A leading dash would look like an option on command lines.
  } while (image().topic(id) || id.to_string().starts_with('-'));
  return id;
}

void Controller::on_create_topics(const CreateTopicsRequest& request, Decision& decision) {
  CreateTopicsResponse& response = *decision.response.mutable_create_topics();
  std::map<std::string, int> asked;
  for (const Wanted& topic : request.topics()) ++asked[topic.name()];
  Placement placement(image(), random_);
  std::vector<std::string> accepted;
  for (const Wanted& topic : request.topics()) {
    CreateTopicsResponse::Topic& result = *response.add_topics();
    result.set_name(topic.name());
    Layout layout;
    Checked refused = check_name(topic.name(), image(), asked);
    for (const std::string& other : accepted)
      if (!refused && topic_names_collide(topic.name(), other))
        refused = refuse(error_code::kInvalidTopic, "topic '" + topic.name() + "' collides with '" + other + "'");
    if (!refused) refused = check_configs(topic);
    if (!refused)
      refused = topic.assignments().empty() ? place(topic, config_, placement, layout)
                                            : check_assignments(topic, image(), layout);
    if (refused) {
      result.set_error_code(refused->code);
      result.set_error_message(refused->why);
      continue;
    }
    if (!topic.assignments().empty())
      for (const auto& replicas : layout) placement.count(replicas);
    accepted.push_back(topic.name());
    result.set_num_partitions(static_cast<std::int32_t>(layout.size()));
    result.set_replication_factor(static_cast<std::int32_t>(layout.front().size()));
    *result.mutable_configs() = topic.configs();
    if (request.validate_only()) continue;

    const Uuid id = new_topic_id();
    result.set_topic_id(uuid_to_bytes(id));
    TopicRecord* record = decision.records.add_records()->mutable_topic();
    record->set_name(topic.name());
    record->set_topic_id(uuid_to_bytes(id));
    for (const CreateTopicsRequest::Config& config : topic.configs()) {
      TopicConfigRecord* change = decision.records.add_records()->mutable_topic_config();
      change->set_topic_id(uuid_to_bytes(id));
      change->set_name(config.name());
      change->set_value(config.value());
    }
    for (std::size_t i = 0; i < layout.size(); ++i)
      add_partition(id, static_cast<PartitionId>(i), layout[i], image(), decision.records);
  }
}

void Controller::on_alter_topic_configs(const AlterTopicConfigsRequest& request, Decision& decision) {
  AlterTopicConfigsResponse& response = *decision.response.mutable_alter_topic_configs();
  std::map<std::string, int> asked;
  for (const auto& wanted : request.topics()) ++asked[wanted.name()];
  for (const AlterTopicConfigsRequest::Topic& wanted : request.topics()) {
    AlterTopicConfigsResponse::Topic& result = *response.add_topics();
    result.set_name(wanted.name());
    const TopicPtr topic = image().topic(wanted.name());
    const Checked refused = check_changes(wanted, topic, asked.at(wanted.name()));
    if (refused) {
      result.set_error_code(refused->code);
      result.set_error_message(refused->why);
      continue;
    }
    if (request.validate_only()) continue;
    for (const AlterTopicConfigsRequest::ListChange& list : wanted.list_changes()) {
      TopicConfigRecord* change = decision.records.add_records()->mutable_topic_config();
      change->set_topic_id(uuid_to_bytes(topic->id));
      change->set_name(list.name());
      change->set_value(changed_list(list, *topic));
    }
    Assume assume;
    for (const CreateTopicsRequest::Config& config : wanted.configs()) {
      TopicConfigRecord* change = decision.records.add_records()->mutable_topic_config();
      change->set_topic_id(uuid_to_bytes(topic->id));
      change->set_name(config.name());
      if (config.has_value()) change->set_value(config.value());
      if (config.name() == kMinIsr)
        assume.min_isr = config.has_value() ? parse_min_isr(config.value()) : config_.min_insync_replicas;
    }
    if (!assume.min_isr) continue;
    // In the same entry: with a lower minimum the leader goes on without those outside the ISR.
    for (std::size_t i = 0; i < topic->partitions.size(); ++i)
      update_partition(*topic, static_cast<PartitionId>(i), assume, decision.records);
  }
}

void Controller::on_delete_topics(const DeleteTopicsRequest& request, Decision& decision) {
  DeleteTopicsResponse& response = *decision.response.mutable_delete_topics();
  std::set<Uuid> gone;
  for (const DeleteTopicsRequest::Topic& wanted : request.topics()) {
    DeleteTopicsResponse::Topic& result = *response.add_topics();
    result.set_name(wanted.name());
    result.set_topic_id(wanted.topic_id());
    const Uuid id = uuid_from_bytes(wanted.topic_id());
    const TopicPtr topic = wanted.name().empty() ? image().topic(id) : image().topic(wanted.name());
    if (!topic || gone.contains(topic->id)) {
      result.set_error_code(wanted.name().empty() ? error_code::kUnknownTopicId : error_code::kUnknownTopicOrPartition);
      result.set_error_message("there is no such topic");
      continue;
    }
    gone.insert(topic->id);
    result.set_name(topic->name);
    result.set_topic_id(uuid_to_bytes(topic->id));
    decision.records.add_records()->mutable_remove_topic()->set_topic_id(uuid_to_bytes(topic->id));
  }
}

void Controller::on_allocate_producer_ids(const AllocateProducerIdsRequest& request, Decision& decision) {
  AllocateProducerIdsResponse& response = *decision.response.mutable_allocate_producer_ids();
  if (const auto error = check_epoch(request.broker_id(), request.broker_epoch()))
    return response.set_error_code(*error);
  const ProducerId first = image().next_producer_id();
  ProducerIdBlockRecord* record = decision.records.add_records()->mutable_producer_id_block();
  record->set_broker_id(request.broker_id());
  record->set_broker_epoch(request.broker_epoch());
  record->set_next_producer_id(first + kProducerIdBlock);
  response.set_first_producer_id(first);
  response.set_count(kProducerIdBlock);
}

}  // namespace ordeal::meta
