#include "faults/sim/cluster/liveness.h"

#include <fmt/format.h>

#include <algorithm>

namespace ordeal::sim {
namespace {

Violation violation(SimCluster& cluster, std::string name, std::string text) {
  return {std::move(name), std::move(text), cluster.world().now()};
}

// KIP-966: who may lead without data being given up. With nobody in ISR and ELR it is who led last, if that is known.
std::vector<NodeId> electable(const meta::PartitionImage& partition) {
  std::vector<NodeId> nodes = partition.isr;
  nodes.insert(nodes.end(), partition.elr.begin(), partition.elr.end());
  return nodes.empty() ? partition.last_known_elr : nodes;
}

using Look = std::function<std::optional<Violation>(const TopicPartition&, const meta::PartitionImage&)>;

std::optional<Violation> first_of(const meta::ImagePtr& image, const Look& look) {
  for (const auto& [name, topic] : image->topics()) {
    for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
      auto found = look({name, static_cast<PartitionId>(i)}, topic->partitions[i]);
      if (found) return found;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<Violation> missing_leader(SimCluster& cluster) {
  for (const NodeId id : cluster.world().nodes())
    if (!cluster.serving(id)) return violation(cluster, "NotServing", fmt::format("node {} does not serve", id));
  return first_of(cluster.newest_image(), [&](const TopicPartition& at, const meta::PartitionImage& partition) {
    const bool led = partition.leader != kNoNode || electable(partition).empty();
    return led ? std::nullopt : std::optional(violation(cluster, "NoLeader", at.to_string() + " has no leader"));
  });
}

std::optional<Violation> missing_member(SimCluster& cluster) {
  if (auto missing = missing_leader(cluster)) return missing;
  return first_of(
      cluster.newest_image(),
      [&](const TopicPartition& at, const meta::PartitionImage& partition) -> std::optional<Violation> {
        if (partition.leader == kNoNode) return std::nullopt;  // it waits for somebody who decides
        const auto leads = cluster.status(partition.leader, at);
        if (!leads || !leads->leading || leads->leader_epoch != partition.leader_epoch)
          return violation(cluster, "NotWhole",
                           fmt::format("{}: node {} does not know its leadership", at.to_string(), partition.leader));
        if (leads->isr.size() != leads->maximal_isr.size())
          return violation(
              cluster, "AlterPartitionStuck",
              fmt::format("{}: node {} still waits for the answer to a changed ISR", at.to_string(), partition.leader));
        if (partition.isr.size() != partition.replicas.size() || leads->isr.size() != partition.isr.size())
          return violation(cluster, "NotWhole",
                           fmt::format("{}: the ISR has {} of {} replicas", at.to_string(),
                                       std::min(partition.isr.size(), leads->isr.size()), partition.replicas.size()));
        return std::nullopt;
      });
}

std::optional<Violation> missing_in_core(SimCluster& cluster) {
  if (cluster.controller() == kNoNode)
    return violation(cluster, "NoController", "a majority of the nodes is up and linked, and none is controller");
  return first_of(
      cluster.newest_image(),
      [&](const TopicPartition& at, const meta::PartitionImage& partition) -> std::optional<Violation> {
        const auto up = [&](NodeId id) { return cluster.serving(id); };
        if (!std::ranges::any_of(electable(partition), up)) return std::nullopt;
        if (partition.leader != kNoNode && up(partition.leader)) return std::nullopt;
        return violation(
            cluster, "NoLeader",
            fmt::format("{} has no leader among the nodes that are up, though one of them may lead", at.to_string()));
      });
}

namespace {

// What all replicas hold together: it grows while one of them catches up.
Offset held_by_all(SimCluster& cluster) {
  Offset sum = 0;
  const meta::ImagePtr image = cluster.newest_image();
  if (image == nullptr) return 0;  // nobody serves
  for (const auto& [name, topic] : image->topics())
    for (std::size_t i = 0; i < topic->partitions.size(); ++i)
      for (const NodeId id : topic->partitions[i].replicas)
        if (const auto own = cluster.status(id, {name, static_cast<PartitionId>(i)})) sum += own->flushed_end;
  return sum;
}

}  // namespace

std::optional<Violation> await_none(SimCluster& cluster, Duration bound,
                                    const std::function<std::optional<Violation>()>& missing, Patience patience) {
  const int turns = patience == Patience::while_replicas_grow ? 10 : 1;
  std::optional<Violation> found;
  const auto none = [&] {
    found = missing();
    return !found.has_value();
  };
  for (int turn = 0; turn < turns; ++turn) {
    const Offset before = held_by_all(cluster);
    if (cluster.wait_until(none, bound)) return std::nullopt;
    if (held_by_all(cluster) <= before) break;
  }
  found->text = fmt::format("{} s later {}", bound / 1s, found->text);
  return found;
}

}  // namespace ordeal::sim
