// The tables of configuration keys: data only. Keys with no effect are not listed, so that setting one is an error.
#include <algorithm>
#include <array>

#include "broker/base/config.h"

namespace ordeal {
namespace {

constexpr std::int64_t kInt32Max = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kInt64Max = std::numeric_limits<std::int64_t>::max();
constexpr std::string_view kForever64 = "9223372036854775807";
constexpr std::string_view kCompressionTypes = "producer|uncompressed|gzip|snappy|lz4|zstd";
constexpr std::int64_t kHour = 3600 * 1000;
constexpr std::int64_t kMinute = 60 * 1000;

constexpr ConfigKey flag(std::string_view name, std::string_view fallback, std::string_view doc) {
  return {name, ConfigType::boolean, fallback, 0, 0, "true|false", doc};
}
constexpr ConfigKey text(std::string_view name, std::optional<std::string_view> fallback, std::string_view doc,
                         std::string_view allowed = "") {
  return {name, ConfigType::string, fallback, 0, 0, allowed, doc};
}
constexpr ConfigKey list(std::string_view name, std::optional<std::string_view> fallback, std::string_view doc,
                         std::string_view allowed = "") {
  return {name, ConfigType::list, fallback, 0, 0, allowed, doc};
}
constexpr ConfigKey int32(std::string_view name, std::optional<std::string_view> fallback, std::int64_t min,
                          std::string_view doc, std::int64_t max = kInt32Max) {
  return {name, ConfigType::int32, fallback, min, max, "", doc};
}
constexpr ConfigKey int64(std::string_view name, std::optional<std::string_view> fallback, std::int64_t min,
                          std::string_view doc) {
  return {name, ConfigType::int64, fallback, min, kInt64Max, "", doc};
}

constexpr auto make_broker_keys() {
  std::array keys = {
      int32("node.id", std::nullopt, 0, "Id of this node, as broker and as metadata voter."),
      text("cluster.id", std::nullopt, "Id of the cluster; data and messages of another cluster are refused."),
      text("broker.rack", "", "Rack of this broker: replicas are spread over racks."),
      list("process.roles", "broker,controller", "Every node plays both roles.", "broker|controller"),
      list("listeners", std::nullopt, "NAME://host:port for CLIENT, REPLICATION and CONTROLLER."),
      list("advertised.listeners", "", "What others are told to connect to; as `listeners` when empty."),
      text("inter.broker.listener.name", "REPLICATION", "The listener followers fetch from.", "REPLICATION"),
      list("controller.listener.names", "CONTROLLER", "The listener of the metadata quorum.", "CONTROLLER"),
      list("controller.quorum.voters", std::nullopt,
           "id@host:port of every voter that the cluster begins with, five at most; a node that is not among them "
           "follows."),
      list("log.dirs", "", "The directory of the partition logs (one)."),
      text("log.dir", "", "Used when log.dirs is not given."),
      text("metadata.log.dir", "", "Where the metadata store lives; inside the log directory when empty."),
      int32("num.partitions", "1", 1, "Partitions of a topic created without a number."),
      int32("default.replication.factor", "1", 1, "Replicas of a topic created without a number.", 32767),
      flag("auto.create.topics.enable", "true", "Create a topic when a client asks for its metadata."),
      flag("delete.topic.enable", "true", "Allow the deletion of topics."),
      int32("controller.quorum.election.timeout.ms", "300", 1,
            "A voter that heard no leader for this long (up to twice, drawn) asks for votes. Kafka: 1000."),
      int32("controller.quorum.fetch.timeout.ms", "600", 1,
            "A leader that no majority answered for this long resigns. Kafka: 2000."),
      int32("broker.heartbeat.interval.ms", "200", 1, "Heartbeats to the controller. Kafka: 2000."),
      int32("broker.session.timeout.ms", "1500", 1, "A broker silent for this long is fenced. Kafka: 9000."),
      flag("auto.leader.rebalance.enable", "true", "Move leadership back to preferred replicas."),
      int64("leader.imbalance.check.interval.seconds", "300", 1, "How often preferred leadership is restored."),
      flag("controlled.shutdown.enable", "true", "Move leaderships away before stopping."),
      int32("ordeal.controlled.shutdown.timeout.ms", "10000", 0, "The longest wait for that."),
      flag("unclean.leader.election.enable", "false", "Let a replica outside the ISR lead, losing records."),
      int64("replica.lag.time.max.ms", "10000", 1,
            "A follower that has not caught up for this long leaves the ISR. Kafka: 30000."),
      int32("replica.fetch.wait.max.ms", "500", 0, "The longest a follower's fetch waits for data."),
      int32("replica.fetch.min.bytes", "1", 0, "Bytes a follower's fetch waits for."),
      int32("replica.fetch.max.bytes", "1048576", 0, "Bytes of one partition in a follower's fetch."),
      int32("replica.fetch.response.max.bytes", "10485760", 0, "Bytes of a follower's whole fetch."),
      int32("replica.fetch.backoff.ms", "100", 0, "Pause after a failed follower fetch. Kafka: 1000."),
      int32("replica.socket.timeout.ms", "5000", 1,
            "A follower gives up on an unanswered fetch after this and its wait. Kafka: 30000."),
      int32("num.replica.fetchers", "1", 1, "Fetch connections per source broker."),
      int64("replica.high.watermark.checkpoint.interval.ms", "5000", 1, "How often high watermarks are saved."),
      int32("min.insync.replicas", "1", 1, "Replicas that must have a record before acks=all succeeds."),
      int32("log.segment.bytes", "1073741824", 1024, "Size of a segment file. Kafka's least value: 1048576."),
      int64("log.roll.ms", std::nullopt, 1, "Age at which a segment is rolled."),
      int32("log.roll.hours", "168", 1, "The same in hours; log.roll.ms wins."),
      int32("log.index.interval.bytes", "4096", 0, "Log bytes between two index entries."),
      int32("log.index.size.max.bytes", "10485760", 4, "Size of an index file."),
      int64("log.retention.ms", std::nullopt, -1, "Age at which segments are deleted; -1 never."),
      int32("log.retention.minutes", std::nullopt, -1, "The same in minutes; log.retention.ms wins."),
      int32("log.retention.hours", "168", -1, "The same in hours; the finer units win."),
      int64("log.retention.bytes", "-1", -1, "Size above which old segments are deleted; -1 none."),
      int64("log.retention.check.interval.ms", "300000", 1, "How often retention is applied."),
      list("log.cleanup.policy", "delete", "What becomes of old segments.", "delete|compact"),
      int64("log.flush.interval.messages", "1", 1,
            "1: records are flushed to disk before they are acknowledged. Kafka's default, 9223372036854775807: "
            "the page cache is enough."),
      int32("log.flush.offset.checkpoint.interval.ms", "60000", 1, "How often recovery points are saved."),
      text("log.message.timestamp.type", "CreateTime", "Whose clock stamps records.", "CreateTime|LogAppendTime"),
      int64("log.message.timestamp.before.max.ms", kForever64, 0, "How far back a record's timestamp may lie."),
      int64("log.message.timestamp.after.max.ms", "3600000", 0, "How far ahead a record's timestamp may lie."),
      flag("log.preallocate", "false", "Reserve a segment's size when it is created."),
      int64("log.segment.delete.delay.ms", "60000", 0, "Deleted files stay this long before they are swept."),
      int32("message.max.bytes", "1048588", 0, "The largest record batch, as sent."),
      text("compression.type", "producer", "Codec of stored batches; producer: as sent.", kCompressionTypes),
      int32("producer.id.expiration.ms", "86400000", 1, "A producer silent for this long is forgotten."),
      int32("num.io.threads", "8", 1, "Threads for blocking file work.", 256),
      int32("socket.request.max.bytes", "104857600", 1, "The largest request accepted."),
      int32("fetch.max.bytes", "57671680", 1024, "Bytes of a whole fetch response."),
      int32("max.incremental.fetch.session.cache.slots", "1000", 0, "Fetch sessions kept at a time; 0: none."),
      int32("max.connections", "2147483647", 1, "Connections served at a time."),
      int64("connections.max.idle.ms", "600000", 1, "A connection silent for this long is closed."),
      int32("ordeal.max.in.flight.requests.per.connection", "64", 1,
            "Requests of one connection being answered; reading pauses beyond it.", 65536),
      int64("ordeal.metadata.log.max.entries", "4096", 8,
            "Entries of the metadata log that are kept behind what is applied; beyond them the older half goes."),
      list("ordeal.mutations", "", "Named bugs to switch on."),
      text("ordeal.trace.file", "", "Where trace events go; nowhere when empty."),
      int32("ordeal.trace.hw.interval.ms", "100", 0,
            "The least time between two events about one partition's high watermark; 0: every change."),
  };
  std::sort(keys.begin(), keys.end(), [](const ConfigKey& a, const ConfigKey& b) { return a.name < b.name; });
  return keys;
}
constexpr auto kBrokerKeys = make_broker_keys();

// The topic key inherits type, range and text from its first broker key.
TopicKey topic(std::string_view name, std::vector<TopicKey::Synonym> synonyms) {
  TopicKey key{*find_broker_key(synonyms.front().broker_key), std::move(synonyms)};
  key.key.name = name;
  key.key.fallback = std::nullopt;
  return key;
}

}  // namespace

std::span<const ConfigKey> broker_config_keys() { return kBrokerKeys; }

const std::vector<TopicKey>& topic_config_keys() {
  static const std::vector<TopicKey> keys = {
      topic("cleanup.policy", {{"log.cleanup.policy"}}),
      topic("compression.type", {{"compression.type"}}),
      topic("flush.messages", {{"log.flush.interval.messages"}}),
      topic("index.interval.bytes", {{"log.index.interval.bytes"}}),
      topic("max.message.bytes", {{"message.max.bytes"}}),
      topic("message.timestamp.after.max.ms", {{"log.message.timestamp.after.max.ms"}}),
      topic("message.timestamp.before.max.ms", {{"log.message.timestamp.before.max.ms"}}),
      topic("message.timestamp.type", {{"log.message.timestamp.type"}}),
      topic("min.insync.replicas", {{"min.insync.replicas"}}),
      topic("preallocate", {{"log.preallocate"}}),
      topic("retention.bytes", {{"log.retention.bytes"}}),
      topic("retention.ms", {{"log.retention.ms"}, {"log.retention.minutes", kMinute}, {"log.retention.hours", kHour}}),
      topic("segment.bytes", {{"log.segment.bytes"}}),
      topic("segment.index.bytes", {{"log.index.size.max.bytes"}}),
      topic("segment.ms", {{"log.roll.ms"}, {"log.roll.hours", kHour}}),
      topic("unclean.leader.election.enable", {{"unclean.leader.election.enable"}}),
  };
  return keys;
}

const ConfigKey* find_broker_key(std::string_view name) {
  const auto* at = std::lower_bound(kBrokerKeys.begin(), kBrokerKeys.end(), name,
                                    [](const ConfigKey& key, std::string_view wanted) { return key.name < wanted; });
  return at != kBrokerKeys.end() && at->name == name ? at : nullptr;
}

const TopicKey* find_topic_key(std::string_view name) {
  for (const TopicKey& key : topic_config_keys()) {
    if (key.key.name == name) return &key;
  }
  return nullptr;
}

}  // namespace ordeal
