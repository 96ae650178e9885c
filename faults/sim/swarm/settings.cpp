#include "faults/sim/swarm/settings.h"

#include <fmt/format.h>

#include <algorithm>

#include "faults/sim/cluster/sim_cluster.h"

namespace ordeal::sim {
namespace {

template <class T>
void put(ConfigMap& set, std::string_view key, T value) {
  set.insert_or_assign(std::string(key), std::to_string(value));
}

}  // namespace

// In small worlds with a focus, five nodes now and then: controller and partition leader are then often apart.
int draw_nodes(Random random, bool small, std::string_view focus) {
  if (small) return focus.empty() ? 3 : one_of(random, {3, 3, 3, 4, 5, 5, 5});
  return one_of(random, {3, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7});
}

// Fewer voters than nodes, so that some can be added.
void draw_voters(Random random, int nodes, std::string_view focus, ConfigMap& set) {
  constexpr int kVoters = 3;
  if (nodes <= kVoters || !random.chance(focus == "F" ? 2 : 1, 3)) return;
  std::string voters;
  for (NodeId id = 1; id <= kVoters; ++id)
    voters += fmt::format("{}{}@{}:{}", id == 1 ? "" : ",", id, node_host(id), kControllerPort);
  set["controller.quorum.voters"] = voters;
}

std::vector<workload::TopicSpec> draw_topics(Random random, int nodes, bool small) {
  std::vector<workload::TopicSpec> topics;
  const std::int64_t count = small ? 1 : random.between(1, 2);
  for (std::int64_t i = 0; i < count; ++i) {
    Random own = random.fork("topic " + std::to_string(i));
    workload::TopicSpec topic;
    topic.name = i == 0 ? "t" : "u";
    topic.partitions = static_cast<std::int32_t>(own.between(1, small ? 2 : 4));
    const int replication = small ? 3 : one_of(own, {3, 3, 3, 3, 2, 4, 5, 1});
    topic.replication = static_cast<std::int16_t>(std::min(replication, nodes));
    const int majority = topic.replication / 2 + 1;
    const int min_isr = one_of(own, {majority, majority, majority, 1, static_cast<int>(topic.replication)});
    topic.configs.emplace_back("min.insync.replicas", std::to_string(min_isr));
    if (own.chance(1, 4)) topic.configs.emplace_back("segment.bytes", std::to_string(own.between(1024, 32768)));
    if (own.chance(1, 6)) topic.configs.emplace_back("index.interval.bytes", std::to_string(own.between(0, 512)));
    if (own.chance(1, 6)) topic.configs.emplace_back("message.timestamp.type", "LogAppendTime");
    topics.push_back(std::move(topic));
  }
  return topics;
}

void draw_guarantees(Random random, ConfigMap& set, workload::LogConfig& workload, std::string_view focus) {
  const std::uint64_t cached = focus.empty() ? 4 : focus == "E" ? 3 : focus == "A" ? 6 : 16;
  if (random.chance(1, cached))
    set["log.flush.interval.messages"] = random.chance(1, 2) ? "9223372036854775807" : "100";
  if (random.chance(1, focus.empty() ? 9 : 36)) set["unclean.leader.election.enable"] = "true";
  const int acks = one_of(random, {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1, 1, 0});
  workload.acks = focus.empty() ? acks : -1;
  workload.idempotence = workload.acks == -1 && random.chance(4, 5);
  if (random.chance(1, 10)) workload.isolation = "read_uncommitted";
  if (random.chance(1, focus == "E" ? 3 : 12)) {  // old records go: what is below the log's start is nobody's loss
    put(set, "log.retention.bytes", random.between(4'000, 100'000));
    put(set, "log.retention.check.interval.ms", random.between(200, 5'000));
  }
}

// Ratios stay sane: several heartbeats a session, an election timeout above a round trip of the slowest network drawn.
void draw_timeouts(Random random, ConfigMap& set, std::string_view focus) {
  if (focus == "A" && random.fork("membership").chance(1, 2)) {
    // Members that fall silent stay for long: by their lag, or even without a word to the controller.
    Random own = random.fork("stale members");
    put(set, "replica.lag.time.max.ms", 30'000);
    if (own.chance(1, 3)) put(set, "broker.session.timeout.ms", 30'000);
    if (own.chance(1, 2)) return;
  }
  if (random.chance(1, 3)) return;  // the product's
  const std::int64_t election = random.between(200, 1'000);
  put(set, "controller.quorum.election.timeout.ms", election);
  put(set, "controller.quorum.fetch.timeout.ms", election * random.between(2, 3));
  const std::int64_t heartbeat = random.between(50, 400);
  put(set, "broker.heartbeat.interval.ms", heartbeat);
  set.try_emplace("broker.session.timeout.ms", std::to_string(heartbeat * random.between(5, 10)));
  set.try_emplace("replica.lag.time.max.ms", std::to_string(random.between(800, 10'000)));
  put(set, "replica.fetch.wait.max.ms", one_of<std::int64_t>(random, {5, 50, 200, 500}));
  put(set, "replica.fetch.backoff.ms", random.between(5, 300));
  put(set, "replica.socket.timeout.ms", random.between(1'000, 5'000));
  put(set, "ordeal.controlled.shutdown.timeout.ms", random.between(500, 10'000));
  if (random.chance(1, 3)) put(set, "leader.imbalance.check.interval.seconds", random.between(1, 20));
  if (random.chance(1, 4)) set["auto.leader.rebalance.enable"] = "false";
  if (random.chance(1, 4)) set["controlled.shutdown.enable"] = "false";
}

void draw_limits(Random random, ConfigMap& set) {
  put(set, "log.segment.bytes", one_of<std::int64_t>(random, {1'024, 4'096, 16'384, 65'536, 1 << 20}));
  if (random.chance(1, 2)) put(set, "log.index.interval.bytes", one_of<std::int64_t>(random, {0, 1, 64, 512, 4'096}));
  if (random.chance(1, 5)) put(set, "log.index.size.max.bytes", random.between(64, 1'024));
  if (random.chance(1, 4)) put(set, "log.roll.ms", random.between(500, 10'000));
  if (random.chance(1, 3)) put(set, "replica.fetch.max.bytes", one_of<std::int64_t>(random, {1, 200, 2'000, 20'000}));
  if (random.chance(1, 4)) put(set, "replica.fetch.response.max.bytes", random.between(1, 20'000));
  if (random.chance(1, 4)) put(set, "fetch.max.bytes", random.between(1'024, 20'000));
  if (random.chance(1, 4)) put(set, "num.replica.fetchers", random.between(2, 3));
  if (random.chance(1, 4)) put(set, "ordeal.max.in.flight.requests.per.connection", random.between(1, 8));
  if (random.chance(1, 4)) put(set, "log.segment.delete.delay.ms", random.between(0, 5'000));
  put(set, "replica.high.watermark.checkpoint.interval.ms", one_of<std::int64_t>(random, {100, 1'000, 5'000}));
  put(set, "log.flush.offset.checkpoint.interval.ms", one_of<std::int64_t>(random, {300, 3'000, 60'000}));
  if (random.chance(1, 2)) put(set, "ordeal.metadata.log.max.entries", one_of<std::int64_t>(random, {8, 16, 64}));
  if (random.chance(1, 4)) put(set, "max.incremental.fetch.session.cache.slots", random.between(0, 2));
}

void draw_clients(Random random, workload::LogConfig& workload, bool small, std::string_view focus) {
  workload.producers = static_cast<std::int32_t>(random.between(1, small ? 2 : 4));
  workload.consumers = static_cast<std::int32_t>(random.between(0, 2));
  workload.rate = one_of(random, {20, 40, 60, 60, 100, 150});
  workload.value_size = one_of(random, {40, 64, 64, 200, 1'000});
  workload.keys = one_of(random, {workload::KeyMode::none, workload::KeyMode::unique, workload::KeyMode::hot});
  workload.compression = one_of<std::string>(random, {"none", "none", "none", "gzip", "snappy", "lz4", "zstd"});
  workload.max_in_flight = one_of(random, {1, 2, 5, 5, 5});
  workload.linger_ms = one_of(random, {0, 0, 5, 10, 50});
  workload.outstanding_max = one_of(random, {50, 400, 400});
  workload.request_timeout_ms = static_cast<std::int32_t>(random.between(800, 4'000));
  workload.delivery_timeout_ms = workload.request_timeout_ms + static_cast<std::int32_t>(random.between(2'000, 12'000));
  // Producers that give up soon leave tails that nobody writes again; large values make each record a batch of its own.
  Random haste = random.fork("haste");
  if (!focus.empty() && haste.chance(1, 2)) {
    workload.request_timeout_ms = static_cast<std::int32_t>(haste.between(500, 1'000));
    workload.delivery_timeout_ms = workload.request_timeout_ms + static_cast<std::int32_t>(haste.between(0, 1'500));
    if (haste.chance(1, 2)) workload.idempotence = false;
    if (haste.chance(1, 2)) workload.max_in_flight = 100;
    if (focus == "A" && haste.chance(1, 3)) {
      workload.value_size = 17'000;
      workload.rate = 30;
      workload.linger_ms = 0;
    }
  }
  workload.poll_interval_ms = one_of(random, {50, 250, 1'000});
  workload.list_end_interval_ms = one_of(random, {0, 200, 500, 1'000});
}

scenario::NetworkSpec draw_network(Random random) {
  scenario::NetworkSpec network;
  switch (random.below(4)) {
    case 0:
      break;  // the defaults: one room
    case 1:   // far apart
      network.latency_min = Duration(1ms) * random.between(1, 5);
      network.latency_max = network.latency_min + Duration(1ms) * random.between(1, 15);
      break;
    case 2:  // now and then very slow
      network.slow_in = random.between(10, 80);
      network.slow_max = Duration(1ms) * random.between(50, 400);
      break;
    default:  // fast
      network.latency_min = 10us;
      network.latency_max = 100us;
      network.slow_in = 0;
      break;
  }
  if (random.chance(1, 3)) network.window = random.between(2, 64) * 1024;
  if (random.chance(1, 3)) network.split_in = one_of<std::int64_t>(random, {0, 1, 2, 16});
  return network;
}

}  // namespace ordeal::sim
