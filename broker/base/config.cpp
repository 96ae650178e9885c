// Parsing, checking and describing configuration against the tables of config_table.cpp.
#include "broker/base/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "broker/base/check.h"

namespace ordeal {
namespace {

std::unexpected<Error> wrong(std::string text) { return fail(Errc::invalid_argument, std::move(text)); }

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n\f";
  const std::size_t from = text.find_first_not_of(kBlank);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(kBlank) - from + 1);
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::size_t end = text.find(separator);
    const std::string_view part = trim(text.substr(0, end));
    if (!part.empty()) parts.emplace_back(part);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return parts;
}

std::optional<std::int64_t> to_integer(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t up = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = up;
    }
  }
  return row[b.size()];
}

std::string suggestion(std::string_view name, bool topic) {
  std::vector<std::string_view> names;
  if (topic) {
    for (const TopicKey& key : topic_config_keys()) names.push_back(key.key.name);
  } else {
    for (const ConfigKey& key : broker_config_keys()) names.push_back(key.name);
  }
  const std::string_view near = nearest_name(name, names);
  return near.empty() ? "" : fmt::format(" (did you mean '{}'?)", near);
}

bool is_allowed(std::string_view allowed, std::string_view value) {
  const std::vector<std::string> names = split(allowed, '|');
  return std::find(names.begin(), names.end(), value) != names.end();
}

Status check_value(const ConfigKey& key, std::string_view value) {
  switch (key.type) {
    case ConfigType::boolean:
    case ConfigType::string:
      if (!key.allowed.empty() && !is_allowed(key.allowed, value)) {
        return wrong(fmt::format("{}={}: must be one of {}", key.name, value, key.allowed));
      }
      return {};
    case ConfigType::list:
      for (const std::string& part : split(value, ',')) {
        if (!key.allowed.empty() && !is_allowed(key.allowed, part)) {
          return wrong(fmt::format("{}={}: '{}' is none of {}", key.name, value, part, key.allowed));
        }
      }
      return {};
    case ConfigType::int32:
    case ConfigType::int64: {
      const std::optional<std::int64_t> number = to_integer(value);
      if (!number) return wrong(fmt::format("{}={}: not a number", key.name, value));
      if (*number < key.min || *number > key.max) {
        return wrong(fmt::format("{}={}: must be between {} and {}", key.name, value, key.min, key.max));
      }
      return {};
    }
  }
  return {};
}

Status check_given(const ConfigMap& given) {
  for (const auto& [name, value] : given) {
    const ConfigKey* key = find_broker_key(name);
    if (key == nullptr) return wrong(fmt::format("unknown key '{}'{}", name, suggestion(name, false)));
    ORDEAL_TRY(check_value(*key, value));
  }
  return {};
}

Result<ConfigMap> parse_properties(std::string_view text, std::string_view source) {
  ConfigMap given;
  int line_number = 0;
  while (!text.empty()) {
    std::string line;
    const int first_line = line_number + 1;
    bool more = true;
    while (more && !text.empty()) {  // a trailing backslash joins lines
      const std::size_t end = text.find('\n');
      std::string_view part = trim(text.substr(0, end));
      text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
      ++line_number;
      more = !part.empty() && part.back() == '\\';
      if (more) part.remove_suffix(1);
      line += part;
    }
    if (line.empty() || line.front() == '#' || line.front() == '!') continue;
    const std::string where = fmt::format("{} line {}", source, first_line);
    const std::size_t at = line.find_first_of("=:");
    if (at == std::string::npos) return fail(Error{Errc::invalid_argument, "no '=' in '" + line + "'"}.at(where));
    const std::string name(trim(std::string_view(line).substr(0, at)));
    const std::string value(trim(std::string_view(line).substr(at + 1)));
    ConfigMap one;
    one.emplace(name, value);
    if (Status status = check_given(one); !status) return fail(status.error().at(where));
    if (!given.emplace(name, value).second) {
      return fail(Error{Errc::invalid_argument, "'" + name + "' is given twice"}.at(where));
    }
  }
  return given;
}

Result<Endpoint> parse_endpoint(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong(fmt::format("'{}' has no port", text));
  std::string_view host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  const std::optional<std::int64_t> port = to_integer(text.substr(colon + 1));
  if (!port || *port < 0 || *port > 65535) return wrong(fmt::format("'{}' has no valid port", text));
  if (host.empty()) return wrong(fmt::format("'{}' has no host", text));
  return Endpoint{std::string(host), static_cast<std::uint16_t>(*port)};
}

Result<std::vector<ListenerAddress>> parse_listeners(std::string_view key, std::string_view text) {
  std::vector<ListenerAddress> listeners;
  for (const std::string& part : split(text, ',')) {
    const std::size_t at = part.find("://");
    if (at == std::string::npos) return wrong(fmt::format("{}: '{}' is not NAME://host:port", key, part));
    Result<Endpoint> endpoint = parse_endpoint(std::string_view(part).substr(at + 3));
    if (!endpoint) return fail(endpoint.error().at(key));
    listeners.push_back({part.substr(0, at), std::move(*endpoint)});
  }
  std::sort(listeners.begin(), listeners.end());
  const std::vector<std::string_view> wanted = {"CLIENT", "CONTROLLER", "REPLICATION"};
  const bool all = listeners.size() == wanted.size() &&
                   std::equal(wanted.begin(), wanted.end(), listeners.begin(),
                              [](std::string_view name, const ListenerAddress& l) { return l.name == name; });
  if (!all) return wrong(fmt::format("{}={}: must name CLIENT, REPLICATION and CONTROLLER once each", key, text));
  return listeners;
}

Result<std::map<NodeId, Endpoint>> parse_voters(std::string_view text) {
  std::map<NodeId, Endpoint> voters;
  for (const std::string& part : split(text, ',')) {
    const std::size_t at = part.find('@');
    const std::optional<std::int64_t> id = to_integer(std::string_view(part).substr(0, at));
    if (at == std::string::npos || !id || *id < 0 || *id > std::numeric_limits<NodeId>::max()) {
      return wrong(fmt::format("controller.quorum.voters: '{}' is not id@host:port", part));
    }
    Result<Endpoint> endpoint = parse_endpoint(std::string_view(part).substr(at + 1));
    if (!endpoint) return fail(endpoint.error().at("controller.quorum.voters"));
    if (!voters.emplace(static_cast<NodeId>(*id), std::move(*endpoint)).second) {
      return wrong(fmt::format("controller.quorum.voters: node {} is named twice", *id));
    }
  }
  return voters;
}

// Typed reads of values that check_given has passed, or of their defaults.
class Values {
 public:
  explicit Values(const ConfigMap& given) : given_(given) {}
  std::optional<std::string> find(std::string_view name) const {
    const ConfigKey* key = find_broker_key(name);
    ORDEAL_CHECK(key != nullptr, "{} is not in the table", name);
    if (const auto at = given_.find(name); at != given_.end()) return at->second;
    if (!key->fallback) return std::nullopt;
    return std::string(*key->fallback);
  }
  std::string text(std::string_view name) const { return find(name).value_or(""); }
  std::int64_t number(std::string_view name) const { return *to_integer(text(name)); }
  std::int32_t int32(std::string_view name) const { return static_cast<std::int32_t>(number(name)); }
  bool flag(std::string_view name) const { return text(name) == "true"; }
  Duration ms(std::string_view name) const {
    // Longer than a century is for ever, and must not overflow nanoseconds.
    constexpr std::int64_t kCenturyMs = 100LL * 365 * 24 * 3600 * 1000;
    return std::chrono::milliseconds(std::min(number(name), kCenturyMs));
  }

 private:
  const ConfigMap& given_;
};

// The text in force for a topic key from the broker's side, with its synonyms, strongest first.
std::vector<ConfigSynonym> broker_synonyms(const TopicKey& topic, const ConfigMap& given) {
  std::vector<ConfigSynonym> synonyms;
  const auto add = [&](const TopicKey::Synonym& from, std::string value, ConfigOrigin origin) {
    // -1 means never in every unit.
    if (from.factor != 1 && value != "-1") value = std::to_string(*to_integer(value) * from.factor);
    synonyms.push_back({std::string(from.broker_key), std::move(value), origin});
  };
  for (const TopicKey::Synonym& from : topic.synonyms) {
    if (const auto at = given.find(from.broker_key); at != given.end()) {
      add(from, at->second, ConfigOrigin::static_broker);
    }
  }
  for (const TopicKey::Synonym& from : topic.synonyms) {
    const ConfigKey* key = find_broker_key(from.broker_key);
    if (key->fallback) add(from, std::string(*key->fallback), ConfigOrigin::default_config);
  }
  ORDEAL_CHECK(!synonyms.empty(), "{} has no default", topic.key.name);
  return synonyms;
}

TopicConfig typed_topic(const ConfigMap& given, const ConfigMap& overrides) {
  const auto text = [&](std::string_view name) -> std::string {
    if (const auto at = overrides.find(name); at != overrides.end()) return at->second;
    return broker_synonyms(*find_topic_key(name), given).front().value;
  };
  const auto number = [&](std::string_view name) { return *to_integer(text(name)); };
  const auto int32 = [&](std::string_view name) { return static_cast<std::int32_t>(number(name)); };
  const std::vector<std::string> policies = split(text("cleanup.policy"), ',');
  TopicConfig config;
  config.cleanup_delete = std::find(policies.begin(), policies.end(), "delete") != policies.end();
  config.cleanup_compact = std::find(policies.begin(), policies.end(), "compact") != policies.end();
  config.compression_type = text("compression.type");
  config.flush_messages = number("flush.messages");
  config.index_interval_bytes = int32("index.interval.bytes");
  config.max_message_bytes = int32("max.message.bytes");
  config.timestamp_after_max_ms = number("message.timestamp.after.max.ms");
  config.timestamp_before_max_ms = number("message.timestamp.before.max.ms");
  config.log_append_time = text("message.timestamp.type") == "LogAppendTime";
  config.min_insync_replicas = int32("min.insync.replicas");
  config.preallocate = text("preallocate") == "true";
  config.retention_bytes = number("retention.bytes");
  config.retention_ms = number("retention.ms");
  config.segment_bytes = int32("segment.bytes");
  config.segment_index_bytes = int32("segment.index.bytes");
  config.segment_ms = number("segment.ms");
  config.unclean_leader_election = text("unclean.leader.election.enable") == "true";
  return config;
}

Status fill_places(BrokerConfig& config, const Values& values) {
  for (const std::string_view name : {"node.id", "cluster.id", "listeners", "controller.quorum.voters"}) {
    if (values.text(name).empty()) return wrong(fmt::format("'{}' must be given", name));
  }
  config.node_id = values.int32("node.id");
  config.cluster_id = values.text("cluster.id");
  config.rack = values.text("broker.rack");
  auto listeners = parse_listeners("listeners", values.text("listeners"));
  if (!listeners) return fail(std::move(listeners).error());
  config.listeners = std::move(*listeners);
  config.advertised_listeners = config.listeners;
  if (const std::string advertised = values.text("advertised.listeners"); !advertised.empty()) {
    auto parsed = parse_listeners("advertised.listeners", advertised);
    if (!parsed) return fail(std::move(parsed).error());
    config.advertised_listeners = std::move(*parsed);
  }
  auto voters = parse_voters(values.text("controller.quorum.voters"));
  if (!voters) return fail(std::move(voters).error());
  config.voters = std::move(*voters);
  if (config.voters.empty()) return wrong("controller.quorum.voters names no voter");
  constexpr std::size_t kVotersMax = 5;  // as changes of the voters have it; two may fail
  if (config.voters.size() > kVotersMax) {
    return wrong(
        fmt::format("controller.quorum.voters names {} voters, a quorum has up to {}: leave the others out, "
                    "they follow the metadata log as observers",
                    config.voters.size(), kVotersMax));
  }
  const std::vector<std::string> roles = split(values.text("process.roles"), ',');
  if (roles.size() != 2 || roles[0] == roles[1]) return wrong("process.roles: a node is both broker and controller");
  const std::string dirs = values.text("log.dirs").empty() ? values.text("log.dir") : values.text("log.dirs");
  const std::vector<std::string> parts = split(dirs, ',');
  if (parts.size() != 1) return wrong(fmt::format("log.dirs={}: exactly one directory must be given", dirs));
  config.log_dir = parts.front();
  if (config.log_dir.front() != '/') return wrong(fmt::format("log.dirs={}: must be an absolute path", dirs));
  config.metadata_dir = values.text("metadata.log.dir");
  if (config.metadata_dir.empty()) config.metadata_dir = config.log_dir + "/__cluster_metadata";
  return {};
}

void fill_numbers(BrokerConfig& config, const Values& values) {
  config.num_partitions = values.int32("num.partitions");
  config.default_replication_factor = values.int32("default.replication.factor");
  config.auto_create_topics = values.flag("auto.create.topics.enable");
  config.delete_topic = values.flag("delete.topic.enable");
  config.election_timeout = values.ms("controller.quorum.election.timeout.ms");
  config.quorum_fetch_timeout = values.ms("controller.quorum.fetch.timeout.ms");
  config.broker_heartbeat_interval = values.ms("broker.heartbeat.interval.ms");
  config.broker_session_timeout = values.ms("broker.session.timeout.ms");
  config.auto_leader_rebalance = values.flag("auto.leader.rebalance.enable");
  config.leader_imbalance_check_interval = std::chrono::seconds(
      std::min<std::int64_t>(values.number("leader.imbalance.check.interval.seconds"), 3'000'000'000));
  config.controlled_shutdown = values.flag("controlled.shutdown.enable");
  config.controlled_shutdown_timeout = values.ms("ordeal.controlled.shutdown.timeout.ms");
  config.replica_lag_time_max = values.ms("replica.lag.time.max.ms");
  config.replica_fetch_wait_max = values.ms("replica.fetch.wait.max.ms");
  config.replica_fetch_min_bytes = values.int32("replica.fetch.min.bytes");
  config.replica_fetch_max_bytes = values.int32("replica.fetch.max.bytes");
  config.replica_fetch_response_max_bytes = values.int32("replica.fetch.response.max.bytes");
  config.replica_fetch_backoff = values.ms("replica.fetch.backoff.ms");
  config.replica_socket_timeout = values.ms("replica.socket.timeout.ms");
  config.num_replica_fetchers = values.int32("num.replica.fetchers");
  config.high_watermark_checkpoint_interval = values.ms("replica.high.watermark.checkpoint.interval.ms");
  config.retention_check_interval = values.ms("log.retention.check.interval.ms");
  config.flush_offset_checkpoint_interval = values.ms("log.flush.offset.checkpoint.interval.ms");
  config.segment_delete_delay = values.ms("log.segment.delete.delay.ms");
  config.producer_id_expiration_ms = values.number("producer.id.expiration.ms");
  config.io_threads = values.int32("num.io.threads");
  config.socket_request_max_bytes = values.int32("socket.request.max.bytes");
  config.fetch_max_bytes = values.int32("fetch.max.bytes");
  config.metadata_log_entries_max = values.number("ordeal.metadata.log.max.entries");
  config.fetch_session_slots = values.int32("max.incremental.fetch.session.cache.slots");
  config.max_connections = values.int32("max.connections");
  config.connections_max_idle = values.ms("connections.max.idle.ms");
  config.max_in_flight = values.int32("ordeal.max.in.flight.requests.per.connection");
  config.mutations = split(values.text("ordeal.mutations"), ',');
  config.trace_file = values.text("ordeal.trace.file");
  config.hw_trace_interval = values.ms("ordeal.trace.hw.interval.ms");
}

const Endpoint* find_listener(const std::vector<ListenerAddress>& listeners, std::string_view name) {
  for (const ListenerAddress& listener : listeners) {
    if (listener.name == name) return &listener.endpoint;
  }
  return nullptr;
}

}  // namespace

const Endpoint* BrokerConfig::listener(std::string_view name) const { return find_listener(listeners, name); }
const Endpoint* BrokerConfig::advertised(std::string_view name) const {
  return find_listener(advertised_listeners, name);
}

std::string_view nearest_name(std::string_view wrong_name, std::span<const std::string_view> names) {
  std::string_view best;
  std::size_t best_distance = wrong_name.size() / 3 + 1;
  for (const std::string_view name : names) {
    const std::size_t distance = edit_distance(wrong_name, name);
    if (distance > best_distance || (distance == best_distance && !best.empty())) continue;
    best = name;
    best_distance = distance;
  }
  return best;
}

Result<BrokerConfig> make_broker_config(ConfigMap given) {
  ORDEAL_TRY(check_given(given));
  BrokerConfig config;
  const Values values(given);
  ORDEAL_TRY(fill_places(config, values));
  fill_numbers(config, values);
  config.topic_defaults = typed_topic(given, {});
  if (config.broker_heartbeat_interval >= config.broker_session_timeout) {
    return wrong("broker.heartbeat.interval.ms must be below broker.session.timeout.ms");
  }
  if (config.election_timeout >= config.quorum_fetch_timeout * 2) {
    return wrong("controller.quorum.election.timeout.ms must be below twice controller.quorum.fetch.timeout.ms");
  }
  if (config.replica_fetch_wait_max > config.replica_lag_time_max) {
    return wrong("replica.fetch.wait.max.ms must not exceed replica.lag.time.max.ms");
  }
  config.given = std::move(given);
  return config;
}

Result<BrokerConfig> parse_broker_config(std::string_view properties, std::string_view source,
                                         std::span<const std::string> sets) {
  Result<ConfigMap> given = parse_properties(properties, source);
  if (!given) return fail(std::move(given).error());
  for (const std::string& set : sets) {
    const std::size_t at = set.find('=');
    if (at == std::string::npos) return wrong(fmt::format("--set {}: no '='", set));
    (*given)[std::string(trim(std::string_view(set).substr(0, at)))] = trim(std::string_view(set).substr(at + 1));
  }
  return make_broker_config(std::move(*given));
}

Result<TopicConfig> make_topic_config(const BrokerConfig& broker, const ConfigMap& overrides) {
  for (const auto& [name, value] : overrides) {
    const TopicKey* key = find_topic_key(name);
    if (key == nullptr) return wrong(fmt::format("unknown topic config '{}'{}", name, suggestion(name, true)));
    ORDEAL_TRY(check_value(key->key, value));
  }
  return typed_topic(broker.given, overrides);
}

std::vector<DescribedConfig> describe_broker(const BrokerConfig& broker) {
  std::vector<DescribedConfig> all;
  for (const ConfigKey& key : broker_config_keys()) {
    DescribedConfig described;
    described.name = key.name;
    described.type = key.type;
    described.doc = key.doc;
    if (const auto at = broker.given.find(key.name); at != broker.given.end()) {
      described.synonyms.push_back({described.name, at->second, ConfigOrigin::static_broker});
    }
    if (key.fallback) {
      described.synonyms.push_back({described.name, std::string(*key.fallback), ConfigOrigin::default_config});
    }
    if (!described.synonyms.empty()) {
      described.value = described.synonyms.front().value;
      described.origin = described.synonyms.front().origin;
    }
    all.push_back(std::move(described));
  }
  return all;
}

std::vector<DescribedConfig> describe_topic(const BrokerConfig& broker, const ConfigMap& overrides) {
  std::vector<DescribedConfig> all;
  for (const TopicKey& key : topic_config_keys()) {
    DescribedConfig described;
    described.name = key.key.name;
    described.type = key.key.type;
    described.doc = key.key.doc;
    described.synonyms = broker_synonyms(key, broker.given);
    if (const auto at = overrides.find(key.key.name); at != overrides.end()) {
      described.synonyms.insert(described.synonyms.begin(), {described.name, at->second, ConfigOrigin::topic});
    }
    described.value = described.synonyms.front().value;
    described.origin = described.synonyms.front().origin;
    all.push_back(std::move(described));
  }
  return all;
}

}  // namespace ordeal
