// What a broken invariant leaves behind, and where the families of invariants report it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "broker/base/types.h"
#include "faults/sim/sim_world.h"

namespace ordeal::sim {

struct Violation {
  std::string invariant;  // "LeaderInIsr"
  std::string text;
  Instant at{};
};

// What the world promises: some invariants hold only under some of it.
struct WorldPromises {
  bool fsync = true;     // acknowledged means synced; else it is in the page cache only
  bool unclean = false;  // a replica from outside the ISR may be elected
  int min_isr = 1;       // the least of any topic
  // A deposed controller that runs and hears nobody has this long to notice.
  Duration controller_step_down = 5s;
};

class Breaches {
 public:
  explicit Breaches(World& world) : world_(world) {}
  void report(std::string invariant, std::string text) {
    constexpr std::uint64_t kEach = 5;  // one mistake breaks an invariant many times
    if (++counts_[invariant] > kEach) return;
    violations_.push_back({std::move(invariant), std::move(text), world_.now()});
  }
  const std::vector<Violation>& all() const { return violations_; }

 private:
  World& world_;
  std::map<std::string, std::uint64_t> counts_;
  std::vector<Violation> violations_;  // the first few of each
};

// "1,2,3" as trace events have it.
std::set<NodeId> parse_nodes(const std::string& list);

}  // namespace ordeal::sim
