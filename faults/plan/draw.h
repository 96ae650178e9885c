// From a plan and a seed to the concrete list of steps that a run executes and saves.
#pragma once

#include <cstdint>

#include "faults/plan/plan.h"

namespace ordeal::plan {

// Pure: the same plan, seed and time give the same list on every machine (integers only). Steps drawn from the random
// section are named r1, r2, ... in order of time and each has its own stream, so that removing one leaves the choices
// of the others alone; those of a manoeuvre r3 are r3.ID. `time` bounds the section when it has no stop. A plan that
// was drawn before comes back as it is.
Plan draw(const Plan& plan, std::uint64_t seed, Duration time);

}  // namespace ordeal::plan
