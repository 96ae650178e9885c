// Broker and topic configuration under Kafka's names: one table says what exists, its type, default, range and meaning.
//
// Sources, strongest first: a topic's own overrides, what the properties file or --set said, the default. An unknown
// key is an error that names the nearest known one; a value out of range is an error that names the range. Text in,
// typed values out: nothing here reads files. Defaults are Kafka 4.3's except where a key's text says otherwise.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/result.h"
#include "broker/base/types.h"

namespace ordeal {

enum class ConfigType : std::uint8_t { boolean, string, int32, int64, list };

struct ConfigKey {
  std::string_view name;
  ConfigType type = ConfigType::string;
  std::optional<std::string_view> fallback;  // the default as text; nullopt: none
  std::int64_t min = std::numeric_limits<std::int64_t>::min();
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  std::string_view allowed;  // "CreateTime|LogAppendTime"; empty: anything. Of a list: its elements
  std::string_view doc;
};

// A topic key and the broker keys that give its default, strongest first.
struct TopicKey {
  ConfigKey key;  // `fallback` unused: the broker keys have it
  struct Synonym {
    std::string_view broker_key;
    std::int64_t factor = 1;  // from the broker key's unit to the topic key's (hours to milliseconds)
  };
  std::vector<Synonym> synonyms;
};

std::span<const ConfigKey> broker_config_keys();   // sorted by name
const std::vector<TopicKey>& topic_config_keys();  // sorted by name
const ConfigKey* find_broker_key(std::string_view name);
const TopicKey* find_topic_key(std::string_view name);

using ConfigMap = std::map<std::string, std::string, std::less<>>;

// Settings of one topic, defaulted and checked.
struct TopicConfig {
  bool cleanup_delete = true;  // cleanup.policy
  bool cleanup_compact = false;
  std::string compression_type = "producer";  // producer, uncompressed, gzip, snappy, lz4, zstd
  std::int64_t flush_messages = 1;            // 1: fsync before acknowledging; more: page cache
  std::int32_t index_interval_bytes = 4096;
  std::int32_t max_message_bytes = 1048588;
  std::int64_t timestamp_after_max_ms = 3600000;
  std::int64_t timestamp_before_max_ms = std::numeric_limits<std::int64_t>::max();
  bool log_append_time = false;  // message.timestamp.type
  std::int32_t min_insync_replicas = 1;
  bool preallocate = false;
  std::int64_t retention_bytes = -1;
  std::int64_t retention_ms = 7LL * 24 * 3600 * 1000;
  std::int32_t segment_bytes = 1 << 30;
  std::int32_t segment_index_bytes = 10 << 20;
  std::int64_t segment_ms = 7LL * 24 * 3600 * 1000;
  bool unclean_leader_election = false;

  // Durability mode: true if a record counts only once it is flushed.
  bool fsync() const { return flush_messages == 1; }
  bool operator==(const TopicConfig&) const = default;
};

struct ListenerAddress {
  std::string name;  // CLIENT, REPLICATION, CONTROLLER
  Endpoint endpoint;
  auto operator<=>(const ListenerAddress&) const = default;
};

struct BrokerConfig {
  // Who and where. Listener lists are sorted by name and hold CLIENT, REPLICATION and CONTROLLER.
  NodeId node_id = kNoNode;
  std::string cluster_id;
  std::string rack;  // empty: none
  std::vector<ListenerAddress> listeners;
  std::vector<ListenerAddress> advertised_listeners;
  std::map<NodeId, Endpoint> voters;  // controller.quorum.voters: of a cluster that has not changed them yet
  std::string log_dir;                // the one directory of log.dirs, absolute
  std::string metadata_dir;           // metadata.log.dir: the metadata store; by default inside log_dir

  // Topics.
  std::int32_t num_partitions = 1;
  std::int32_t default_replication_factor = 1;
  bool auto_create_topics = true;
  bool delete_topic = true;

  // Metadata plane.
  Duration election_timeout{};
  Duration quorum_fetch_timeout{};
  Duration broker_heartbeat_interval{};
  Duration broker_session_timeout{};
  bool auto_leader_rebalance = true;
  Duration leader_imbalance_check_interval{};
  std::int64_t metadata_log_entries_max = 0;  // ordeal.metadata.log.max.entries
  bool controlled_shutdown = true;
  Duration controlled_shutdown_timeout{};

  // Replication.
  Duration replica_lag_time_max{};
  Duration replica_fetch_wait_max{};
  std::int32_t replica_fetch_min_bytes = 1;
  std::int32_t replica_fetch_max_bytes = 1 << 20;
  std::int32_t replica_fetch_response_max_bytes = 10 << 20;
  Duration replica_fetch_backoff{};
  Duration replica_socket_timeout{};
  std::int32_t num_replica_fetchers = 1;
  Duration high_watermark_checkpoint_interval{};

  // Logs.
  Duration retention_check_interval{};
  Duration flush_offset_checkpoint_interval{};
  Duration segment_delete_delay{};
  std::int64_t producer_id_expiration_ms = 0;
  std::int32_t io_threads = 8;  // num.io.threads: the pool for blocking file work

  // Connections.
  std::int32_t socket_request_max_bytes = 0;
  std::int32_t fetch_max_bytes = 0;
  std::int32_t fetch_session_slots = 1000;  // max.incremental.fetch.session.cache.slots
  std::int32_t max_connections = 0;
  Duration connections_max_idle{};
  std::int32_t max_in_flight = 0;  // ordeal.max.in.flight.requests.per.connection

  // The harness.
  std::vector<std::string> mutations;  // ordeal.mutations
  std::string trace_file;              // ordeal.trace.file; empty: none
  Duration hw_trace_interval{};        // ordeal.trace.hw.interval.ms; zero: every change

  TopicConfig topic_defaults;
  ConfigMap given;  // keys that the file or --set gave, as text

  const Endpoint* listener(std::string_view name) const;    // nullptr: none of that name
  const Endpoint* advertised(std::string_view name) const;  // likewise
};

// `properties` is the text of a server.properties file, `source` its name for errors, `sets` are "key=value" overrides.
Result<BrokerConfig> parse_broker_config(std::string_view properties, std::string_view source,
                                         std::span<const std::string> sets = {});
// The same from a map, for programs that build a configuration (the simulator).
Result<BrokerConfig> make_broker_config(ConfigMap given);

// A topic's settings over the broker's defaults. Errors (Errc::invalid_argument) as Kafka's INVALID_CONFIG would say.
Result<TopicConfig> make_topic_config(const BrokerConfig& broker, const ConfigMap& overrides);

// For DescribeConfigs.
enum class ConfigOrigin : std::uint8_t { topic, static_broker, default_config };
struct ConfigSynonym {
  std::string name;
  std::string value;
  ConfigOrigin origin = ConfigOrigin::default_config;
};
struct DescribedConfig {
  std::string name;
  std::optional<std::string> value;
  ConfigOrigin origin = ConfigOrigin::default_config;
  ConfigType type = ConfigType::string;
  std::string_view doc;
  std::vector<ConfigSynonym> synonyms;  // all that would apply, the one in force first
};
std::vector<DescribedConfig> describe_broker(const BrokerConfig& broker);
std::vector<DescribedConfig> describe_topic(const BrokerConfig& broker, const ConfigMap& overrides);

// The closest of `names` if it is close enough to be a slip of the pen; empty otherwise.
std::string_view nearest_name(std::string_view wrong, std::span<const std::string_view> names);

}  // namespace ordeal
