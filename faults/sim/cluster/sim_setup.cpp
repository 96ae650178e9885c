#include "faults/sim/cluster/sim_setup.h"

#include <fmt/format.h>

#include <algorithm>

namespace ordeal::sim {
namespace {

const char* key_mode_name(workload::KeyMode mode) {
  switch (mode) {
    case workload::KeyMode::unique:
      return "unique";
    case workload::KeyMode::hot:
      return "hot";
    case workload::KeyMode::none:
      break;
  }
  return "none";
}

nlohmann::ordered_json topics_json(const std::vector<workload::TopicSpec>& topics) {
  auto list = nlohmann::ordered_json::array();
  for (const workload::TopicSpec& topic : topics) {
    nlohmann::ordered_json one{
        {"name", topic.name}, {"partitions", topic.partitions}, {"replication", topic.replication}};
    for (const auto& [key, value] : topic.configs) one["configs"][key] = value;
    list.push_back(std::move(one));
  }
  return list;
}

// The settings that every broker of that world has, parsed.
Result<BrokerConfig> broker_config(const ConfigMap& set, int nodes) {
  ConfigMap config = cluster_config(1, nodes);
  for (const auto& [key, value] : set) config[key] = value;
  return make_broker_config(std::move(config));
}

Result<TopicConfig> topic_config(const BrokerConfig& broker, const workload::TopicSpec& topic) {
  ConfigMap overrides;
  for (const auto& [key, value] : topic.configs) overrides[key] = value;
  return make_topic_config(broker, overrides);
}

Status check_topics(const BrokerConfig& broker, const workload::LogConfig& workload, int nodes) {
  for (const workload::TopicSpec& topic : workload.topics) {
    if (topic.replication < 1 || topic.replication > nodes)
      return fail(Errc::invalid_argument,
                  fmt::format("topic {}: {} replicas on {} nodes", topic.name, topic.replication, nodes));
    if (const auto parsed = topic_config(broker, topic); !parsed) return fail(parsed.error().at("topic " + topic.name));
  }
  return {};
}

}  // namespace

nlohmann::ordered_json workload_json(const workload::LogConfig& config) {
  return {{"topics", topics_json(config.topics)},
          {"producers", config.producers},
          {"consumers", config.consumers},
          {"rate", config.rate},
          {"value_size", config.value_size},
          {"keys", key_mode_name(config.keys)},
          {"acks", config.acks},
          {"idempotence", config.idempotence},
          {"compression", config.compression},
          {"max_in_flight", config.max_in_flight},
          {"outstanding_max", config.outstanding_max},
          {"retries", config.retries},
          {"linger_ms", config.linger_ms},
          {"delivery_timeout_ms", config.delivery_timeout_ms},
          {"request_timeout_ms", config.request_timeout_ms},
          {"isolation", config.isolation},
          {"poll_interval_ms", config.poll_interval_ms},
          {"list_end_interval_ms", config.list_end_interval_ms},
          {"stop_grace_s", config.stop_grace_s},
          {"audit_budget_s", config.audit_budget_s}};
}

Result<workload::LogConfig> workload_of(const nlohmann::json& given, int nodes) {
  nlohmann::json whole = workload_json(modest_workload(nodes));
  for (const auto& [key, value] : given.items()) whole[key] = value;
  whole["run_id"] = "sim";
  whole["client"] = "native";
  if (!whole.contains("bootstrap")) whole["bootstrap"] = fmt::format("{}:{}", node_host(1), kClientPort);
  return workload::parse_config(whole.dump(), "workload");
}

Result<TrialOptions> trial_options(const scenario::Scenario& scenario, bool with_bug) {
  TrialOptions options;
  ClusterOptions& cluster = options.cluster;
  cluster.seed = scenario.seed;
  cluster.nodes = scenario.cluster.nodes;
  if (cluster.nodes < 1 || cluster.nodes > 7) return fail(Errc::invalid_argument, "a world has 1 to 7 nodes");
  cluster.config = scenario.cluster.set;
  const scenario::NetworkSpec& network = scenario.cluster.network;
  cluster.network.latency_min = network.latency_min;
  cluster.network.latency_max = std::max(network.latency_min, network.latency_max);
  cluster.network.slow_in = static_cast<std::uint64_t>(network.slow_in);
  cluster.network.slow_max = network.slow_max;
  cluster.network.window = static_cast<std::size_t>(network.window);
  cluster.network.split_in = static_cast<std::uint64_t>(network.split_in);
  cluster.loop.shuffle = scenario.cluster.shuffle;
  cluster.buggify = scenario.cluster.buggify;
  if (with_bug && !scenario.bug.empty()) {
    const auto bug = mutation::find_bug(scenario.bug);
    if (!bug) return fail(Errc::invalid_argument, scenario.bug + " is no known bug");
    cluster.mutations.push_back(*bug);
  }
  auto workload = workload_of(scenario.workload, cluster.nodes);
  if (!workload) return fail(workload.error());
  const auto broker = broker_config(cluster.config, cluster.nodes);
  if (!broker) return fail(broker.error());
  ORDEAL_TRY(check_topics(*broker, *workload, cluster.nodes));
  options.workload = std::move(*workload);
  return options;
}

std::map<std::string, std::string> effective_settings(const TrialOptions& options) {
  const workload::LogConfig workload = options.workload.value_or(modest_workload(options.cluster.nodes));
  const auto broker = broker_config(options.cluster.config, options.cluster.nodes);
  ORDEAL_CHECK(broker.has_value(), "{}", broker.error().to_string());
  bool fsync = true;
  bool unclean = false;
  bool retention = false;
  bool compact = false;
  std::int64_t min_isr = 1 << 15;
  std::int64_t replication = 1 << 15;
  constexpr std::int64_t kLongerThanAnyWorld = 3600 * 1000;
  for (const workload::TopicSpec& topic : workload.topics) {
    const auto config = topic_config(*broker, topic);
    ORDEAL_CHECK(config.has_value(), "{}", config.error().to_string());
    fsync = fsync && config->fsync();
    unclean = unclean || config->unclean_leader_election;
    compact = compact || config->cleanup_compact;
    retention = retention || config->retention_bytes >= 0 ||
                (config->retention_ms >= 0 && config->retention_ms < kLongerThanAnyWorld);
    min_isr = std::min<std::int64_t>(min_isr, config->min_insync_replicas);
    replication = std::min<std::int64_t>(replication, topic.replication);
  }
  const auto truth = [](bool is) { return is ? "true" : "false"; };
  std::map<std::string, std::string> effective{
      {"acks", workload.acks == -1 ? "all" : std::to_string(workload.acks)},
      {"enable.idempotence", truth(workload.idempotence)},
      {"max.in.flight.requests.per.connection", std::to_string(workload.max_in_flight)},
      {"isolation.level", workload.isolation},
      {"replication.factor", std::to_string(replication)},
      {"min.insync.replicas", std::to_string(min_isr)},
      {"unclean.leader.election.enable", truth(unclean)},
      {"log.flush.interval.messages", fsync ? "1" : "9223372036854775807"},
      {"log.cleanup.policy", compact ? "compact" : "delete"},
      {"log.retention.acts", truth(retention)}};
  if (workload.retries >= 0) effective["retries"] = std::to_string(workload.retries);
  return effective;
}

}  // namespace ordeal::sim
