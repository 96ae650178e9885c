// One row of the image as bytes: keys and values shared by replay, load and snapshots.
#pragma once

#include <string>

#include "broker/meta/image_builder.h"

namespace ordeal::meta::rows {

std::string broker_key(NodeId id);
std::string topic_key(const Uuid& id);
std::string partition_key(const Uuid& topic, PartitionId partition);
std::string feature_key(std::string_view name);
std::string producer_id_key();

std::string broker_value(const BrokerImage& broker);
std::string topic_value(const TopicImage& topic);
std::string partition_value(const Uuid& topic, PartitionId number, const PartitionImage& partition);
std::string feature_value(std::int32_t level);
std::string producer_id_value(ProducerId next);

std::uint64_t hash(std::string_view key, std::string_view value);

BrokerImage broker_from(const RegisterBrokerRecord& record);
PartitionImage partition_from(const PartitionRecord& record);

}  // namespace ordeal::meta::rows
