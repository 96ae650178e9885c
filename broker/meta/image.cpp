// Look-ups in the cluster image.
#include "broker/meta/image.h"

#include <algorithm>

namespace ordeal::meta {

const Endpoint* BrokerImage::endpoint(std::string_view listener) const {
  const auto it = std::ranges::find(listeners, listener, &ListenerEndpoint::name);
  return it == listeners.end() ? nullptr : &it->endpoint;
}

bool PartitionImage::has_replica(NodeId node) const { return std::ranges::find(replicas, node) != replicas.end(); }
bool PartitionImage::in_isr(NodeId node) const { return std::ranges::find(isr, node) != isr.end(); }
bool PartitionImage::in_elr(NodeId node) const { return std::ranges::find(elr, node) != elr.end(); }

const PartitionImage* TopicImage::partition(PartitionId number) const {
  if (number < 0 || static_cast<std::size_t>(number) >= partitions.size()) return nullptr;
  return &partitions[static_cast<std::size_t>(number)];
}

const std::string* TopicImage::config(std::string_view key) const {
  const auto it = configs.find(key);
  return it == configs.end() ? nullptr : &it->second;
}

const BrokerImage* ClusterImage::broker(NodeId id) const {
  const auto it = brokers_.find(id);
  return it == brokers_.end() ? nullptr : &it->second;
}

TopicPtr ClusterImage::topic(std::string_view name) const {
  const auto it = topics_.find(name);
  return it == topics_.end() ? nullptr : it->second;
}

TopicPtr ClusterImage::topic(const Uuid& id) const {
  const auto it = topics_by_id_.find(id);
  return it == topics_by_id_.end() ? nullptr : it->second;
}

const PartitionImage* ClusterImage::partition(const Uuid& topic_id, PartitionId number) const {
  const auto it = topics_by_id_.find(topic_id);
  return it == topics_by_id_.end() ? nullptr : it->second->partition(number);
}

const PartitionImage* ClusterImage::partition(std::string_view name, PartitionId number) const {
  const auto it = topics_.find(name);
  return it == topics_.end() ? nullptr : it->second->partition(number);
}

}  // namespace ordeal::meta
