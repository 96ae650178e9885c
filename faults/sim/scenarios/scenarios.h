// Known bugs as scripts: the shortest schedule in which the bug shows, played against whole simulated clusters.
//
// With the bug switched off every script must end in a pass: the schedule is harsh but legal. With it on, the mutated
// branch must have run and the ordinary checker must report the property that the registry names for that bug.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "broker/mutation/mutation.h"
#include "faults/sim/cluster/sim_trial.h"

namespace ordeal::sim {

struct Scenario {
  std::string id;  // of the corpus: "A1"
  mutation::Bug bug;
  std::string summary;     // the schedule in one line
  std::uint64_t seed = 1;  // a script works under any seed; this one is the regression test's
  TrialOptions options;    // without seed and mutation
  // Plays the schedule while clients run. An error says which situation did not come about.
  std::function<Status(Trial& trial)> script;
};

struct ScenarioResult {
  TrialResult trial;
  std::uint64_t ran = 0;  // how often the mutated branch decided
  bool caught = false;    // ran, and the named property was violated
  std::string named;      // what was reported: property, or invariant
  std::string said;       // one line for people
};

const std::vector<Scenario>& all_scenarios();
const Scenario* find_scenario(const std::string& id);
ScenarioResult run_scenario(const Scenario& scenario, bool mutated, std::uint64_t seed);

// For scripts.
inline const TopicPartition kAt{"t", 0};
Status reached(bool is, std::string what);                      // Errc::timed_out: "never came to pass: <what>"
TrialOptions script_options(int nodes, ConfigMap config = {});  // one partition, one record every 20 ms
Status make_leader(SimCluster& cluster, NodeId node);           // by killing whoever else leads, and starting it again

// One a file.
Scenario truncate_to_hw();             // A1
Scenario ignore_fetch_leader_epoch();  // A5
Scenario expand_at_hw_only();          // A8
Scenario list_offsets_before_leso();   // A16
Scenario dup_is_out_of_order();        // B1
Scenario skip_crc();                   // E11

}  // namespace ordeal::sim
