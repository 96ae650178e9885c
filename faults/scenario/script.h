// The steps of a scenario's script, parsed. Shapes only; faults/sim/scenarios runs them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace ordeal::scenario {

// One step: its verb, its arguments as written (expressions stay text until they are evaluated; parse_scenario has
// checked that they parse), nested steps, and where it stands in the file.
struct Step {
  std::string verb;                  // "kill", "wait", "repeat"
  nlohmann::ordered_json arguments;  // the whole mapping but nested steps
  std::vector<Step> steps;           // do:, then:
  std::vector<Step> otherwise;       // else:
  std::string where;                 // "a1.yaml:12:5"
};
using Script = std::vector<Step>;

}  // namespace ordeal::scenario
