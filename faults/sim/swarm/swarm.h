// Swarm: every seed draws a world of its own, so that a sweep visits settings and fault mixes that no person would
// pair.
//
// The result is a Scenario: data that can be printed, saved, replayed and shrunk. Nothing else of a world is drawn
// outside the world itself. Every aspect has its own random stream, so that overriding one leaves the others alone.
// Whatever is drawn is legal: a world may be harsh, but what it promises (sim_setup.h) follows from its settings.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "faults/scenario/scenario.h"

namespace ordeal::sim {

// What the command line gives; it wins over what is drawn.
struct Overrides {
  std::optional<int> nodes;
  std::optional<Duration> time;
  std::optional<plan::Plan> plan;  // drawn with the seed, in place of a drawn mix of faults
  std::optional<bool> buggify;
  ConfigMap set;
  nlohmann::json workload = nlohmann::json::object();
  std::string bug;
  std::string focus;   // a group of known bugs, "A" to "F": odds that suit it; empty: none
  bool small = false;  // short, busy worlds for searches: strong faults, 20 to 30 simulated seconds
};

scenario::Scenario draw_world(std::uint64_t seed, const Overrides& overrides);

// The world of one fixed shape (three nodes, defaults) under `plan`, or the simulator's own plan.
scenario::Scenario plain_world(std::uint64_t seed, const Overrides& overrides);

}  // namespace ordeal::sim
