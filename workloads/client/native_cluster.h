// The native client's view of a cluster: brokers, leaders, connections, protocol versions. On Env, so that the very
// same client runs in the simulator and against real processes.
//
// One NativeCluster is shared by the producers and consumers of one client. Metadata is refreshed on demand, at most
// one request at a time, and answers older than what is known (lower leader epoch) are not taken (KIP-320).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/channel/kafka_channel.h"
#include "broker/env/env.h"
#include "broker/env/sync.h"
#include "broker/wire/messages/offsets.h"
#include "broker/wire/messages/topics.h"

namespace ordeal::client {

struct ClusterOptions {
  std::vector<Endpoint> bootstrap;
  std::string client_id = "ordeal-native";
  Duration request_timeout = 5s;
  Duration connect_timeout = 2s;
  Duration retry_backoff = 50ms;
  Duration metadata_max_age = 2s;
};

struct LeaderInfo {
  NodeId node = kNoNode;
  LeaderEpoch epoch = kNoEpoch;
};

struct TopicToCreate {
  std::string name;
  std::int32_t partitions = 1;
  std::int16_t replication = 1;
  std::vector<std::pair<std::string, std::string>> configs;
};

struct ListedOffset {
  Offset offset = kNoOffset;
  LeaderEpoch leader_epoch = kNoEpoch;
  WallMs timestamp = kNoTimestamp;
};

class NativeCluster {
 public:
  NativeCluster(env::Env& env, ClusterOptions options);

  env::Env& env() { return env_; }
  const ClusterOptions& options() const { return options_; }

  // Asks any broker for the given topics' metadata (all of `topics_wanted` so far as well). Waits for a request already
  // under way instead of sending another.
  env::Task<Status> refresh(Instant deadline);
  void want_topic(const std::string& topic) { topics_wanted_.insert(topic); }

  // The leader as far as known; refreshes when unknown or after mark_stale(). nullopt: no leader before the deadline.
  env::Task<std::optional<LeaderInfo>> leader_of(TopicPartition tp, Instant deadline);
  // What an error or a reply taught us: the leader we used is not (or no longer) the leader.
  void mark_stale(const TopicPartition& tp, NodeId used);
  std::optional<Uuid> topic_id(const std::string& topic) const;
  std::optional<std::string> topic_name(const Uuid& id) const;
  std::vector<NodeId> nodes() const;

  // An open connection to the node with versions negotiated; reuses a good one. The pointer is shared: a caller keeps
  // its channel alive over its call.
  env::Task<Result<std::shared_ptr<channel::KafkaChannel>>> connect(NodeId node, Instant deadline);
  // The highest version that the broker and we both speak, not above `ceiling`.
  std::int16_t version_for(NodeId node, wire::ApiKey key, std::int16_t ceiling = 32767) const;

  // One request to a node. On a connection error the connection is forgotten.
  template <class Request>
  env::Task<Result<typename Request::Response>> call(NodeId node, Request request, Instant deadline,
                                                     std::int16_t ceiling = 32767) {
    auto opened = co_await connect(node, deadline);
    if (!opened) co_return fail(opened.error());
    std::shared_ptr<channel::KafkaChannel> link = *opened;
    const std::int16_t version = version_for(node, Request::kKey, ceiling);
    auto reply = co_await link->call(std::move(request), version, deadline);
    co_return reply;
  }

  // Creates topics through whichever broker answers, retrying until the deadline; TOPIC_ALREADY_EXISTS is success.
  // Returns once every partition has a leader.
  env::Task<Status> create_topics(std::vector<TopicToCreate> topics, Instant deadline);
  // ListOffsets of one partition at its leader (timestamp as in wire/messages/offsets.h). One attempt; the error text
  // begins with Kafka's error name.
  env::Task<Result<ListedOffset>> list_offset(TopicPartition tp, std::int64_t timestamp, Instant deadline,
                                              std::int8_t isolation = 0);

  void close();  // every connection; calls in progress end with Errc::closed

 private:
  struct Link {
    std::shared_ptr<channel::KafkaChannel> channel;
    std::map<std::int16_t, std::pair<std::int16_t, std::int16_t>> versions;  // api key -> [min, max] of the broker
    bool opening = false;
  };

  env::Task<Result<std::shared_ptr<channel::KafkaChannel>>> open_link(Endpoint to, Link* link, Instant deadline);
  env::Task<Status> ask_metadata(Instant deadline);
  env::Task<Result<std::shared_ptr<channel::KafkaChannel>>> any_broker(NodeId* used, Instant deadline);
  std::int16_t negotiated(const Link& link, wire::ApiKey key, std::int16_t ceiling) const;

  env::Env& env_;
  ClusterOptions options_;
  std::map<NodeId, Endpoint> brokers_;
  std::map<NodeId, Link> links_;
  std::map<std::size_t, Link> bootstrap_links_;  // by index into options_.bootstrap
  std::map<TopicPartition, LeaderInfo> leaders_;
  std::set<TopicPartition> stale_;
  std::map<std::string, Uuid> topic_ids_;
  std::set<std::string> topics_wanted_;
  std::size_t next_bootstrap_ = 0;
  Instant refreshed_at_{};
  bool refreshing_ = false;
  bool closed_ = false;
  env::Signal refreshed_;
  env::Signal opened_;
};

}  // namespace ordeal::client
