#include "faults/sim/driver/play.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>

#include "faults/sim/cluster/sim_setup.h"
#include "faults/sim/scenarios/player.h"

namespace ordeal::sim {
namespace {

std::int64_t cpu_ms() { return static_cast<std::int64_t>(std::clock()) * 1000 / CLOCKS_PER_SEC; }

// What the broken names are compared with: the scenario's own word, else what the registry says of the switch.
std::string expected_name(const scenario::Scenario& scenario, const std::vector<mutation::Bug>& mutations) {
  if (!scenario.property.empty()) return scenario.property;
  if (!mutations.empty()) return std::string(mutation::info_of(mutations.front()).property);
  return {};
}

}  // namespace

std::vector<std::string> broken_names(const TrialResult& trial) {
  std::vector<std::string> names;
  const auto add = [&names](const std::string& name) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  for (const Violation& violation : trial.violations) add(violation.invariant);
  for (const checker::Property& property : trial.verdict.properties)
    if (property.status == checker::Standing::violated) add(property.name);
  return names;
}

int exit_code(const TrialResult& result) {
  if (result.outcome() == checker::Outcome::fail) return checker::exit_code(checker::Outcome::fail);
  return result.trouble.empty() || result.unmet ? checker::exit_code(result.outcome()) : kExitHarness;
}

const char* outcome_name(const TrialResult& result) {
  switch (exit_code(result)) {
    case 0:
      return "pass";
    case 1:
      return "fail";
    case 2:
      return "unknown";
    default:
      return "harness";
  }
}

int worst(int a, int b) {
  const auto rank = [](int code) { return code == 1 ? 3 : code == kExitHarness ? 2 : code == 2 ? 1 : 0; };
  return rank(b) > rank(a) ? b : a;
}

Result<Played> play(const scenario::Scenario& scenario, PlayOptions options) {
  auto made = trial_options(scenario, options.with_bug);
  if (!made) return fail(made.error());
  for (const mutation::Bug bug : options.mutations)
    if (std::ranges::find(made->cluster.mutations, bug) == made->cluster.mutations.end())
      made->cluster.mutations.push_back(bug);
  made->keep_evidence = options.keep_evidence;
  made->keep_messages = options.keep_messages;
  made->cluster.log_draws = options.log_draws;
  made->on_trace = std::move(options.on_trace);
  made->on_message = std::move(options.on_message);
  const std::vector<mutation::Bug> mutations = made->cluster.mutations;
  Played played;
  const auto began = std::chrono::steady_clock::now();
  const std::int64_t cpu_began = cpu_ms();
  played.trial = scenario.script.empty()
                     ? Trial::run(std::move(*made), scenario.plan.value_or(plan::Plan{}), scenario.time)
                     : play_script(std::move(*made), scenario);
  played.cpu_ms = cpu_ms() - cpu_began;
  played.real_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
  const std::vector<std::string> names = broken_names(played.trial);
  const std::string expected = expected_name(scenario, mutations);
  const bool as_expected = !expected.empty() && std::ranges::find(names, expected) != names.end();
  if (!names.empty()) played.named = as_expected ? expected : names.front();
  const bool ran = std::ranges::any_of(played.trial.mutations_ran, [](const auto& one) { return one.second > 0; });
  played.caught = ran && as_expected;
  return played;
}

}  // namespace ordeal::sim
