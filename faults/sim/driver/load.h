// A scenario by what a person types: a file, the folder of a stored world, a name of the corpus, or a bug's id.
#pragma once

#include <string>

#include "broker/base/result.h"
#include "faults/scenario/scenario.h"

namespace ordeal::sim {

Result<scenario::Scenario> load_scenario(const std::string& name);

}  // namespace ordeal::sim
