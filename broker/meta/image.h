// ClusterImage: what the committed metadata log says about the cluster, as one immutable value.
//
// Every node replays the same records in the same order, so equal offsets mean equal images; digest() says so cheaply
// (it is kept up to date with each changed row and does not depend on history). Readers hold a
// shared_ptr<const ClusterImage> and never see it change. A new image shares every untouched topic with the old one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/result.h"
#include "broker/base/types.h"

namespace ordeal::meta {

inline constexpr std::string_view kClientListener = "CLIENT";
inline constexpr std::string_view kReplicationListener = "REPLICATION";
inline constexpr std::string_view kControllerListener = "CONTROLLER";

struct ListenerEndpoint {
  std::string name;
  Endpoint endpoint;
  auto operator<=>(const ListenerEndpoint&) const = default;
};

struct BrokerImage {
  NodeId id = kNoNode;
  BrokerEpoch epoch = -1;  // the Raft index of its registration
  Uuid incarnation;
  std::string rack;                         // empty: none
  std::vector<ListenerEndpoint> listeners;  // sorted by name
  bool fenced = true;
  bool shutting_down = false;
  bool log_durable = false;  // an unclean stop of this incarnation loses nothing that others may count on

  // May lead partitions and join an ISR (KIP-841).
  bool active() const { return !fenced && !shutting_down; }
  const Endpoint* endpoint(std::string_view listener) const;  // nullptr when it has no such listener
  bool operator==(const BrokerImage&) const = default;
};

struct PartitionImage {
  std::vector<NodeId> replicas;  // the first is the preferred leader
  std::vector<NodeId> isr;       // ordered as in `replicas`; empty only while there is no leader
  NodeId leader = kNoNode;
  LeaderEpoch leader_epoch = 0;        // grows with every change of leader, also to none
  PartitionEpoch partition_epoch = 0;  // grows with every change
  // KIP-966: left the ISR while it was below its minimum, when nothing could be committed without them, and have not
  // stopped uncleanly since. Disjoint from the ISR; empty while the ISR has its minimum.
  std::vector<NodeId> elr;
  std::vector<NodeId> last_known_elr;  // while there is no leader: who led last

  bool has_replica(NodeId node) const;
  bool in_isr(NodeId node) const;
  bool in_elr(NodeId node) const;
  bool operator==(const PartitionImage&) const = default;
};

struct TopicImage {
  std::string name;
  Uuid id;
  std::vector<PartitionImage> partitions;                   // index = partition number
  std::map<std::string, std::string, std::less<>> configs;  // only what the topic overrides

  const PartitionImage* partition(PartitionId number) const;  // nullptr when out of range
  const std::string* config(std::string_view key) const;      // nullptr when not overridden
  bool operator==(const TopicImage&) const = default;
};
using TopicPtr = std::shared_ptr<const TopicImage>;

class ClusterImage {
 public:
  // The Raft index of the last entry applied; 0 before the first. "Metadata offset" in requests means this.
  Offset offset() const { return offset_; }
  // Of all rows; equal at equal offsets on all nodes.
  std::uint64_t digest() const { return digest_; }

  const std::map<NodeId, BrokerImage>& brokers() const { return brokers_; }
  const std::map<std::string, TopicPtr, std::less<>>& topics() const { return topics_; }
  const std::map<Uuid, TopicPtr>& topics_by_id() const { return topics_by_id_; }
  const std::map<std::string, std::int32_t, std::less<>>& features() const { return features_; }
  ProducerId next_producer_id() const { return next_producer_id_; }

  const BrokerImage* broker(NodeId id) const;   // nullptr when not registered
  TopicPtr topic(std::string_view name) const;  // nullptr when there is none
  TopicPtr topic(const Uuid& id) const;         // nullptr when there is none
  const PartitionImage* partition(const Uuid& topic, PartitionId number) const;
  const PartitionImage* partition(std::string_view topic, PartitionId number) const;

 private:
  friend class ImageBuilder;  // image_builder.h: replay and load
  Offset offset_ = 0;
  std::uint64_t digest_ = 0;
  std::map<NodeId, BrokerImage> brokers_;
  std::map<std::string, TopicPtr, std::less<>> topics_;
  std::map<Uuid, TopicPtr> topics_by_id_;
  std::map<std::string, std::int32_t, std::less<>> features_;
  ProducerId next_producer_id_ = 0;
};
using ImagePtr = std::shared_ptr<const ClusterImage>;

}  // namespace ordeal::meta
