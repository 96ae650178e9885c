#include "broker/meta/placement.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "broker/base/check.h"

namespace ordeal::meta {

Placement::Placement(const ClusterImage& image, Random& random) {
  for (const auto& [id, broker] : image.brokers()) {
    const std::string rack = broker.rack.empty() ? "broker " + std::to_string(id) : "rack " + broker.rack;
    brokers_.push_back({id, rack, broker.active()});
  }
  for (const auto& [name, topic] : image.topics())
    for (const PartitionImage& partition : topic->partitions) count(partition.replicas);
  if (!brokers_.empty()) start_ = random.below(brokers_.size());
}

std::size_t Placement::active_brokers() const {
  return static_cast<std::size_t>(std::ranges::count(brokers_, true, &Candidate::active));
}

void Placement::count(const std::vector<NodeId>& replicas) {
  for (Candidate& broker : brokers_) {
    if (std::ranges::find(replicas, broker.id) == replicas.end()) continue;
    ++broker.replicas;
    if (replicas.front() == broker.id) ++broker.leaders;
  }
}

std::vector<NodeId> Placement::next(std::size_t replication_factor) {
  ORDEAL_CHECK(replication_factor >= 1 && replication_factor <= brokers_.size() && active_brokers() > 0);
  std::vector<NodeId> replicas;
  std::map<std::string, std::int64_t> used_racks;
  std::size_t from = start_;
  while (replicas.size() < replication_factor) {
    const bool leader = replicas.empty();
    const Candidate* best = nullptr;
    std::tuple<std::int64_t, bool, std::int64_t, std::int64_t, std::size_t> best_cost;
    for (std::size_t i = 0; i < brokers_.size(); ++i) {
      const Candidate& broker = brokers_[i];
      if (std::ranges::find(replicas, broker.id) != replicas.end() || (leader && !broker.active)) continue;
      const std::size_t distance = (i + brokers_.size() - from) % brokers_.size();
      const std::tuple cost(used_racks[broker.rack], !broker.active, leader ? broker.leaders : 0, broker.replicas,
                            distance);
      if (best != nullptr && best_cost <= cost) continue;
      best = &broker;
      best_cost = cost;
    }
    replicas.push_back(best->id);
    ++used_racks[best->rack];
    from = static_cast<std::size_t>(best - brokers_.data()) + 1;
  }
  start_ = (start_ + 1) % brokers_.size();
  count(replicas);
  return replicas;
}

}  // namespace ordeal::meta
