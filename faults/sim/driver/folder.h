// A world stored as a run's folder, in the names and shapes of a trial on real processes (docs/formats/sim.md), so that
// checker and report read it as they read any other.
#pragma once

#include <string>
#include <vector>

#include "broker/base/result.h"
#include "faults/sim/driver/play.h"

namespace ordeal::sim {

// `played` must have its evidence. `words`: what replays it. The folder is made, and what was in it replaced.
Status store_world(const std::string& folder, const scenario::Scenario& scenario, const Played& played,
                   const std::vector<std::string>& words);

}  // namespace ordeal::sim
