#include "faults/sim/invariants/invariants.h"

#include <fmt/format.h>

namespace ordeal::sim {

std::set<NodeId> parse_nodes(const std::string& list) {
  std::set<NodeId> nodes;
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    if (comma > at) nodes.insert(std::stoi(list.substr(at, comma - at)));
    at = comma + 1;
  }
  return nodes;
}

Invariants::Invariants(World& world, std::string log_dir, WorldPromises promises)
    : world_(world),
      log_dir_(std::move(log_dir)),
      promises_(promises),
      breaches_(world),
      models_(world, log_dir_),
      controller_(world, breaches_),
      partitions_(promises_, models_, breaches_),
      raft_(world, promises_, breaches_),
      storage_(models_, breaches_) {
  world_.trace().observe([this](const TraceEvent& event) { observe(event); });
  models_.on_disturbed([this](NodeId node, DiskChange change) {
    partitions_.disturbed(node, change);
    storage_.disturbed(node, change);
    raft_.disturbed(node, change);
  });
}

void Invariants::observe(const TraceEvent& event) {
  if (event.kind == "broker.start") models_.attach(event.node);
  controller_.observe(event);
  partitions_.observe(event);
  raft_.observe(event);
  storage_.observe(event);
}

void Invariants::check_replicas() {
  for (const TopicPartition& at : partitions()) partitions_.log_matching(at);
}

void Invariants::check_leaders_complete() {
  check_replicas();
  for (const TopicPartition& at : partitions()) partitions_.all_replicas_complete(at);
}

std::string Invariants::summary() const {
  std::string text;
  for (const Violation& violation : violations())
    text +=
        fmt::format("{} at {} ns: {}\n", violation.invariant, violation.at.time_since_epoch().count(), violation.text);
  return text;
}

}  // namespace ordeal::sim
