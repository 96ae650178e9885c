#include "faults/sim/swarm/swarm.h"

#include <fmt/format.h>

#include <algorithm>

#include "faults/plan/draw.h"
#include "faults/sim/cluster/sim_setup.h"
#include "faults/sim/swarm/settings.h"

namespace ordeal::sim {
namespace {

void take_workload(const Overrides& overrides, nlohmann::json& into) {
  for (const auto& [key, value] : overrides.workload.items()) into[key] = value;
}

void take_settings(const Overrides& overrides, ConfigMap& set) {
  for (const auto& [key, value] : overrides.set) set.insert_or_assign(key, value);
}

// A setting of the command line holds for every topic, so no topic may keep its own.
void forget_topic_settings(const Overrides& overrides, std::vector<workload::TopicSpec>& topics) {
  for (workload::TopicSpec& topic : topics) {
    std::erase_if(topic.configs, [&](const auto& config) {
      const TopicKey* key = find_topic_key(config.first);
      return key != nullptr && std::ranges::any_of(key->synonyms, [&](const TopicKey::Synonym& synonym) {
               return overrides.set.contains(synonym.broker_key);
             });
    });
  }
}

std::string title_of(const scenario::Scenario& world, const workload::LogConfig& workload) {
  std::string topics;
  for (const workload::TopicSpec& topic : workload.topics)
    topics +=
        fmt::format("{}{} of {} x {}", topics.empty() ? "" : ", ", topic.name, topic.partitions, topic.replication);
  return fmt::format("{} nodes; {}; acks {}; {}", world.cluster.nodes, topics,
                     workload.acks == -1 ? "all" : std::to_string(workload.acks),
                     world.plan && !world.plan->description.empty() ? world.plan->description : "a plan");
}

// Segments small enough to roll, but neither smaller than a few batches nor so many that a world is all files.
void fit_segments(const workload::LogConfig& workload, ConfigMap& set, std::vector<workload::TopicSpec>& topics) {
  constexpr std::int64_t kSeconds = 60;
  constexpr std::int64_t kSegmentsMost = 100;
  const std::int64_t written = static_cast<std::int64_t>(workload.rate) * (workload.value_size + 80) * kSeconds;
  const std::int64_t least = std::max<std::int64_t>(1024 + 8 * workload.value_size, written / kSegmentsMost);
  const auto raise = [least](std::string& text) {
    text = std::to_string(std::max<std::int64_t>(least, std::stoll(text)));
  };
  if (const auto given = set.find("log.segment.bytes"); given != set.end()) raise(given->second);
  for (workload::TopicSpec& topic : topics)
    for (auto& [key, value] : topic.configs)
      if (key == "segment.bytes") raise(value);
}

// Where every fetch takes long, a follower that may take a record at a time would not catch up within any bound.
void fit_fetches(const scenario::NetworkSpec& network, const workload::LogConfig& workload, ConfigMap& set) {
  const bool slow = network.latency_max >= 1ms || (network.slow_in > 0 && network.slow_in < 100);
  if (!slow) return;
  const std::int64_t least = 16 * (workload.value_size + 80);
  for (const char* key : {"replica.fetch.max.bytes", "replica.fetch.response.max.bytes"})
    if (const auto given = set.find(key); given != set.end())
      given->second = std::to_string(std::max<std::int64_t>(least, std::stoll(given->second)));
}

Duration draw_time(Random random, bool small) {
  return std::chrono::seconds(small ? random.between(20, 30) : random.between(20, 60));
}

}  // namespace

scenario::Scenario draw_world(std::uint64_t seed, const Overrides& overrides) {
  const Random root = Random(seed).fork("swarm");
  scenario::Scenario world;
  world.name = fmt::format("seed-{}", seed);
  world.seed = seed;
  world.bug = overrides.bug;
  world.cluster.nodes = overrides.nodes.value_or(draw_nodes(root.fork("nodes"), overrides.small, overrides.focus));
  const int nodes = world.cluster.nodes;
  ConfigMap& set = world.cluster.set;
  workload::LogConfig workload = modest_workload(nodes);
  workload.topics = draw_topics(root.fork("topics"), nodes, overrides.small);
  forget_topic_settings(overrides, workload.topics);
  draw_guarantees(root.fork("guarantees"), set, workload, overrides.focus);
  draw_timeouts(root.fork("timeouts"), set, overrides.focus);
  draw_voters(root.fork("voters"), nodes, overrides.focus, set);
  draw_limits(root.fork("limits"), set);
  draw_clients(root.fork("clients"), workload, overrides.small, overrides.focus);
  fit_segments(workload, set, workload.topics);
  world.cluster.network = draw_network(root.fork("network"));
  fit_fetches(world.cluster.network, workload, set);
  take_settings(overrides, set);
  world.cluster.shuffle = root.fork("shuffle").chance(3, 4);
  world.cluster.buggify = overrides.buggify.value_or(root.fork("buggify").chance(1, 2));
  world.time = overrides.time.value_or(draw_time(root.fork("time"), overrides.small));
  world.workload = workload_json(workload);
  take_workload(overrides, world.workload);
  const plan::Plan mix =
      overrides.plan ? *overrides.plan : draw_faults(root.fork("faults"), nodes, overrides.small, overrides.focus);
  world.plan = plan::draw(mix, seed, world.time);
  world.title = title_of(world, workload);
  return world;
}

scenario::Scenario plain_world(std::uint64_t seed, const Overrides& overrides) {
  scenario::Scenario world;
  world.name = fmt::format("seed-{}", seed);
  world.title = "the plain world";
  world.seed = seed;
  world.bug = overrides.bug;
  world.cluster.nodes = overrides.nodes.value_or(3);
  world.cluster.set = overrides.set;
  world.cluster.buggify = overrides.buggify.value_or(false);
  take_workload(overrides, world.workload);
  world.time = overrides.time.value_or(60s);
  world.plan = plan::draw(overrides.plan ? *overrides.plan : default_plan(), seed, world.time);
  return world;
}

}  // namespace ordeal::sim
