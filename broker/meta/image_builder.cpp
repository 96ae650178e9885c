// Replay: each record type changes the image in one place, and keeps rows and digest in step.
#include "broker/meta/image_builder.h"

#include "broker/base/check.h"
#include "broker/meta/image_rows.h"

namespace ordeal::meta {

namespace {

std::unexpected<Error> contradiction(Offset index, std::string text) {
  return fail(Errc::corrupt, fmt::format("metadata entry {}: {}", index, text));
}

}  // namespace

Status ImageBuilder::replay(std::string_view serialized_batch, Offset index) {
  MetadataBatch batch;
  if (!batch.ParseFromArray(serialized_batch.data(), static_cast<int>(serialized_batch.size())))
    return contradiction(index, "does not parse");
  return replay(batch, index);
}

Status ImageBuilder::replay(const MetadataBatch& batch, Offset index) {
  if (index <= image_.offset_) return contradiction(index, fmt::format("image is already at {}", image_.offset_));
  owned_.clear();
  for (const MetadataRecord& record : batch.records()) {
    const Status replayed = replay_record(record, index);
    if (!replayed) return contradiction(index, replayed.error().text);
  }
  owned_.clear();
  image_.offset_ = index;
  return {};
}

void ImageBuilder::skip(Offset index) {
  ORDEAL_CHECK(index > image_.offset_);
  image_.offset_ = index;
}

RowChanges ImageBuilder::take_changes() { return std::exchange(changes_, {}); }

Status ImageBuilder::replay_record(const MetadataRecord& record, Offset index) {
  switch (record.record_case()) {
    case MetadataRecord::kRegisterBroker:
      return register_broker(record.register_broker(), index);
    case MetadataRecord::kUnregisterBroker:
      return unregister_broker(record.unregister_broker());
    case MetadataRecord::kFenceBroker: {
      const auto& fence = record.fence_broker();
      return change_broker(fence.broker_id(), fence.broker_epoch(), true, false);
    }
    case MetadataRecord::kUnfenceBroker: {
      const auto& unfence = record.unfence_broker();
      return change_broker(unfence.broker_id(), unfence.broker_epoch(), false, false);
    }
    case MetadataRecord::kBrokerShuttingDown: {
      const auto& stop = record.broker_shutting_down();
      const BrokerImage* broker = image_.broker(stop.broker_id());
      return change_broker(stop.broker_id(), stop.broker_epoch(), broker == nullptr || broker->fenced, true);
    }
    case MetadataRecord::kTopic:
      return create_topic(record.topic());
    case MetadataRecord::kRemoveTopic:
      return remove_topic(record.remove_topic());
    case MetadataRecord::kPartition:
      return create_partition(record.partition());
    case MetadataRecord::kPartitionChange:
      return change_partition(record.partition_change());
    case MetadataRecord::kTopicConfig:
      return set_config(record.topic_config());
    case MetadataRecord::kProducerIdBlock:
      return set_producer_id(record.producer_id_block());
    case MetadataRecord::kFeature:
      return set_feature(record.feature());
    case MetadataRecord::kNoOp:
      return {};
    case MetadataRecord::RECORD_NOT_SET:
      break;
  }
  return fail(Errc::corrupt, "unknown record type");
}

Status ImageBuilder::register_broker(const RegisterBrokerRecord& record, Offset index) {
  if (record.broker_epoch() != index)
    return fail(Errc::corrupt, fmt::format("broker {} has epoch {}", record.broker_id(), record.broker_epoch()));
  const std::string key = rows::broker_key(record.broker_id());
  if (const BrokerImage* old = image_.broker(record.broker_id())) drop_row(key, rows::broker_value(*old));
  BrokerImage broker = rows::broker_from(record);
  add_row(key, rows::broker_value(broker));
  image_.brokers_[broker.id] = std::move(broker);
  return {};
}

Status ImageBuilder::unregister_broker(const UnregisterBrokerRecord& record) {
  const BrokerImage* broker = image_.broker(record.broker_id());
  if (broker == nullptr || broker->epoch != record.broker_epoch())
    return fail(Errc::corrupt, fmt::format("no broker {} of epoch {}", record.broker_id(), record.broker_epoch()));
  drop_row(rows::broker_key(broker->id), rows::broker_value(*broker));
  image_.brokers_.erase(record.broker_id());
  return {};
}

Status ImageBuilder::change_broker(NodeId id, BrokerEpoch epoch, bool fenced, bool shutting_down) {
  const auto it = image_.brokers_.find(id);
  if (it == image_.brokers_.end() || it->second.epoch != epoch)
    return fail(Errc::corrupt, fmt::format("no broker {} of epoch {}", id, epoch));
  BrokerImage& broker = it->second;
  drop_row(rows::broker_key(id), rows::broker_value(broker));
  broker.fenced = fenced;
  broker.shutting_down = shutting_down;
  add_row(rows::broker_key(id), rows::broker_value(broker));
  return {};
}

Status ImageBuilder::create_topic(const TopicRecord& record) {
  const Uuid id = uuid_from_bytes(record.topic_id());
  if (id.is_zero() || image_.topics_by_id_.contains(id) || image_.topics_.contains(record.name()))
    return fail(Errc::corrupt, "topic " + record.name() + " exists or has no id");
  auto topic = std::make_shared<TopicImage>();
  topic->name = record.name();
  topic->id = id;
  add_row(rows::topic_key(id), rows::topic_value(*topic));
  image_.topics_[topic->name] = topic;
  image_.topics_by_id_[id] = topic;
  owned_[id] = std::move(topic);
  return {};
}

Status ImageBuilder::remove_topic(const RemoveTopicRecord& record) {
  const Uuid id = uuid_from_bytes(record.topic_id());
  const TopicPtr topic = image_.topic(id);
  if (!topic) return fail(Errc::corrupt, "no topic " + id.to_string());
  for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
    const auto number = static_cast<PartitionId>(i);
    drop_row(rows::partition_key(id, number), rows::partition_value(id, number, topic->partitions[i]));
  }
  drop_row(rows::topic_key(id), rows::topic_value(*topic));
  image_.topics_.erase(topic->name);
  image_.topics_by_id_.erase(id);
  owned_.erase(id);
  return {};
}

TopicImage* ImageBuilder::own_topic(const Uuid& id) {
  if (const auto it = owned_.find(id); it != owned_.end()) return it->second.get();
  const auto it = image_.topics_by_id_.find(id);
  if (it == image_.topics_by_id_.end()) return nullptr;
  auto copy = std::make_shared<TopicImage>(*it->second);
  it->second = copy;
  image_.topics_[copy->name] = copy;
  return (owned_[id] = std::move(copy)).get();
}

Status ImageBuilder::create_partition(const PartitionRecord& record) {
  const Uuid id = uuid_from_bytes(record.topic_id());
  TopicImage* topic = own_topic(id);
  if (topic == nullptr) return fail(Errc::corrupt, "no topic " + id.to_string());
  if (record.partition() != static_cast<PartitionId>(topic->partitions.size()))
    return fail(Errc::corrupt, fmt::format("{} has no room for partition {}", topic->name, record.partition()));
  PartitionImage partition = rows::partition_from(record);
  if ((partition.isr.empty() && partition.leader != kNoNode) || partition.replicas.empty())
    return fail(Errc::corrupt, fmt::format("{}-{} has no replicas or no ISR", topic->name, record.partition()));
  add_row(rows::partition_key(id, record.partition()), rows::partition_value(id, record.partition(), partition));
  topic->partitions.push_back(std::move(partition));
  return {};
}

Status ImageBuilder::change_partition(const PartitionChangeRecord& record) {
  const Uuid id = uuid_from_bytes(record.topic_id());
  TopicImage* topic = own_topic(id);
  if (topic == nullptr || topic->partition(record.partition()) == nullptr)
    return fail(Errc::corrupt, fmt::format("no partition {} of topic {}", record.partition(), id.to_string()));
  PartitionImage& partition = topic->partitions[static_cast<std::size_t>(record.partition())];
  const std::string key = rows::partition_key(id, record.partition());
  drop_row(key, rows::partition_value(id, record.partition(), partition));
  const auto assign = [](std::vector<NodeId>& to, const PartitionChangeRecord::NodeList& from) {
    to.assign(from.nodes().begin(), from.nodes().end());
  };
  if (record.has_isr()) assign(partition.isr, record.isr());
  if (record.has_replicas()) assign(partition.replicas, record.replicas());
  if (record.has_elr()) assign(partition.elr, record.elr());
  if (record.has_last_known_elr()) assign(partition.last_known_elr, record.last_known_elr());
  if (record.has_leader()) {
    partition.leader = record.leader();
    ++partition.leader_epoch;
  }
  ++partition.partition_epoch;
  add_row(key, rows::partition_value(id, record.partition(), partition));
  if (partition.leader != kNoNode && !partition.in_isr(partition.leader))
    return fail(Errc::corrupt,
                fmt::format("{}-{}: leader {} is not in the ISR", topic->name, record.partition(), partition.leader));
  return {};
}

Status ImageBuilder::set_config(const TopicConfigRecord& record) {
  const Uuid id = uuid_from_bytes(record.topic_id());
  TopicImage* topic = own_topic(id);
  if (topic == nullptr) return fail(Errc::corrupt, "no topic " + id.to_string());
  drop_row(rows::topic_key(id), rows::topic_value(*topic));
  if (record.has_value()) {
    topic->configs[record.name()] = record.value();
  } else {
    topic->configs.erase(record.name());
  }
  add_row(rows::topic_key(id), rows::topic_value(*topic));
  return {};
}

Status ImageBuilder::set_producer_id(const ProducerIdBlockRecord& record) {
  if (record.next_producer_id() <= image_.next_producer_id_)
    return fail(Errc::corrupt, fmt::format("producer ids go back to {}", record.next_producer_id()));
  const std::string key = rows::producer_id_key();
  if (image_.next_producer_id_ != 0) drop_row(key, rows::producer_id_value(image_.next_producer_id_));
  image_.next_producer_id_ = record.next_producer_id();
  add_row(key, rows::producer_id_value(image_.next_producer_id_));
  return {};
}

Status ImageBuilder::set_feature(const FeatureRecord& record) {
  const std::string key = rows::feature_key(record.name());
  if (const auto it = image_.features_.find(record.name()); it != image_.features_.end()) {
    drop_row(key, rows::feature_value(it->second));
    image_.features_.erase(it);
  }
  if (record.level() == 0) return {};
  image_.features_[record.name()] = record.level();
  add_row(key, rows::feature_value(record.level()));
  return {};
}

void ImageBuilder::drop_row(const std::string& key, const std::string& old_value) {
  image_.digest_ -= rows::hash(key, old_value);
  changes_[key] = std::nullopt;
}

void ImageBuilder::add_row(const std::string& key, std::string new_value) {
  image_.digest_ += rows::hash(key, new_value);
  changes_[key] = std::move(new_value);
}

}  // namespace ordeal::meta
