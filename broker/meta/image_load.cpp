// The image from its rows and back: start-up, snapshots, and the proof (by digest) that both give the same image.
#include "broker/base/bytes.h"
#include "broker/meta/image_builder.h"
#include "broker/meta/image_rows.h"

namespace ordeal::meta {

Rows ImageBuilder::to_rows(const ClusterImage& image) {
  Rows all;
  for (const auto& [id, broker] : image.brokers()) all[rows::broker_key(id)] = rows::broker_value(broker);
  for (const auto& [id, topic] : image.topics_by_id()) {
    all[rows::topic_key(id)] = rows::topic_value(*topic);
    for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
      const auto number = static_cast<PartitionId>(i);
      all[rows::partition_key(id, number)] = rows::partition_value(id, number, topic->partitions[i]);
    }
  }
  for (const auto& [name, level] : image.features()) all[rows::feature_key(name)] = rows::feature_value(level);
  if (image.next_producer_id() != 0) all[rows::producer_id_key()] = rows::producer_id_value(image.next_producer_id());
  return all;
}

Result<ImagePtr> ImageBuilder::load(const Rows& all, Offset offset) {
  ImageBuilder builder{ClusterImage{}};
  // Topics before partitions: a partition needs its topic, and "ip" sorts before "it".
  for (const std::string_view kind : {"ib", "it", "ip", "if", "in"}) {
    for (auto it = all.lower_bound(kind); it != all.end() && it->first.starts_with(kind); ++it)
      ORDEAL_TRY(builder.load_row(it->first, it->second));
  }
  builder.owned_.clear();
  builder.image_.offset_ = offset;
  // Encoding the image again must give the very rows it was read from.
  for (const auto& [key, value] : all) {
    const auto it = builder.changes_.find(key);
    if (it == builder.changes_.end() || it->second != value)
      return fail(Errc::corrupt, "metadata image: a row of kind " + key.substr(0, 2) + " does not read back");
  }
  return builder.build();
}

Status ImageBuilder::load_row(std::string_view key, std::string_view value) {
  const std::string_view kind = key.substr(0, 2);
  const std::string_view id_bytes = key.substr(2);
  const auto damaged = [&] { return fail(Errc::corrupt, "metadata image: damaged row of kind " + std::string(kind)); };
  const std::string text(value);
  if (kind == "ib") {
    StoredBroker stored;
    if (!stored.ParseFromString(text)) return damaged();
    BrokerImage broker = rows::broker_from(stored.registration());
    broker.fenced = stored.fenced();
    broker.shutting_down = stored.shutting_down();
    add_row(rows::broker_key(broker.id), rows::broker_value(broker));
    image_.brokers_[broker.id] = std::move(broker);
    return {};
  }
  if (kind == "it") {
    StoredTopic stored;
    if (!stored.ParseFromString(text) || id_bytes.size() != 16) return damaged();
    TopicRecord record;
    record.set_name(stored.name());
    record.set_topic_id(std::string(id_bytes));
    ORDEAL_TRY(create_topic(record));
    for (const StoredTopicConfig& config : stored.configs()) {
      TopicConfigRecord change;
      change.set_topic_id(std::string(id_bytes));
      change.set_name(config.name());
      change.set_value(config.value());
      ORDEAL_TRY(set_config(change));
    }
    return {};
  }
  if (kind == "ip") {
    PartitionRecord record;
    if (!record.ParseFromString(text)) return damaged();
    return create_partition(record);
  }
  if (kind == "if") {
    if (value.size() != 4) return damaged();
    FeatureRecord record;
    record.set_name(std::string(id_bytes));
    record.set_level(load_be<std::int32_t>(as_bytes(value).data()));
    return set_feature(record);
  }
  if (value.size() != 8) return damaged();
  ProducerIdBlockRecord record;
  record.set_next_producer_id(load_be<std::int64_t>(as_bytes(value).data()));
  return set_producer_id(record);
}

}  // namespace ordeal::meta
