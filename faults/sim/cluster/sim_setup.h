// From a scenario (data) to what a trial is started with, and from there to what such a world promises.
//
// One function each, so that a drawn world, a saved one, a scripted bug and a shrunk one mean the same everywhere.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "checker/check.h"
#include "faults/scenario/scenario.h"
#include "faults/sim/cluster/sim_trial.h"

namespace ordeal::sim {

// The workload under the names of workload.md; run id, addresses and seed, which the trial fills in, are left out.
nlohmann::ordered_json workload_json(const workload::LogConfig& config);

// The modest defaults with `given` over them. invalid_argument names the field.
Result<workload::LogConfig> workload_of(const nlohmann::json& given, int nodes);

// Everything but plan, time and script, which whoever runs the trial plays. `with_bug`: the scenario's switch is on.
// Refuses what no world could be made of: unknown settings, replication above the number of nodes, unknown bugs.
Result<TrialOptions> trial_options(const scenario::Scenario& scenario, bool with_bug);

// What holds over the whole world, under Kafka's names, as trial.json's `effective` has it: where topics differ, the
// weakest.
std::map<std::string, std::string> effective_settings(const TrialOptions& options);

}  // namespace ordeal::sim
