// Shrinking: from a scenario that fails to a smaller one that still fails by the same name.
//
// Every candidate is a whole world, played from its beginning; it is kept if it fails the same way and is smaller. The
// order of attempts goes from what explains most to what explains least: faults, time, script, clients, topics, nodes,
// settings, network. Rounds repeat until none of them finds anything, or the budget is spent.
#pragma once

#include <functional>
#include <string>

#include "faults/scenario/scenario.h"

namespace ordeal::sim {

struct Sizes {
  std::int64_t faults = 0;  // steps of the plan
  std::int64_t nodes = 0;
  std::int64_t partitions = 0;
  std::int64_t clients = 0;  // producers and consumers
  std::int64_t rate = 0;
  double time_s = 0;
  std::int64_t steps = 0;     // of the script, nested ones counted
  std::int64_t settings = 0;  // that differ from the simulator's defaults
};
Sizes sizes_of(const scenario::Scenario& scenario);
nlohmann::ordered_json to_json(const Sizes& sizes);

struct ShrinkOptions {
  std::function<bool(const scenario::Scenario&)> fails;          // plays it: does it still fail by the name kept?
  std::function<bool()> out_of_time;                             // asked before each candidate
  std::function<void(const std::string& what)> on_success = {};  // a candidate was kept: what went away
};

struct Shrunk {
  scenario::Scenario scenario;
  std::int64_t tries = 0;
  std::int64_t kept = 0;
};

// `failing` fails under `options.fails`, and its plan's steps have their targets resolved where they acted.
Shrunk shrink(scenario::Scenario failing, const ShrinkOptions& options);

// The plan as it was played: targets that roles resolved to stand instead of the roles, and steps that never fired are
// gone. So a step keeps its meaning when others leave.
plan::Plan freeze(const plan::Plan& played);

}  // namespace ordeal::sim
