// Plays one scenario from beginning to end: with its script, or under its plan.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "faults/scenario/scenario.h"
#include "faults/sim/cluster/sim_trial.h"

namespace ordeal::sim {

inline constexpr int kExitHarness = 3;
inline constexpr int kExitUsage = 64;

struct PlayOptions {
  bool with_bug = false;                 // the scenario's own switch is on
  std::vector<mutation::Bug> mutations;  // and these
  bool keep_evidence = false;            // also of a world that passed
  bool keep_messages = false;            // for a folder or a comparison; what the world does is the same
  bool log_draws = false;
  std::function<void(const TraceEvent&)> on_trace;
  std::function<void(const MessageSeen&)> on_message;
};

struct Played {
  TrialResult trial;
  std::string named;    // the property or invariant that was broken; of several the expected one. Empty: none
  bool caught = false;  // a switch was on, decided something, and `named` is what its registry entry says
  std::int64_t real_ms = 0;
  std::int64_t cpu_ms = 0;
};

// Refused (invalid_argument): a scenario of which no world can be made.
Result<Played> play(const scenario::Scenario& scenario, PlayOptions options);

// Every property and invariant that was broken, invariants first, without repetition.
std::vector<std::string> broken_names(const TrialResult& trial);

int exit_code(const TrialResult& result);  // 0 pass, 1 violation, 2 unknown, 3 the harness could not judge
const char* outcome_name(const TrialResult& result);
int worst(int a, int b);  // a violation outranks the harness' failure, and that the unknown

}  // namespace ordeal::sim
