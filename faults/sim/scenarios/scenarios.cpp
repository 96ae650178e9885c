#include "faults/sim/scenarios/scenarios.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "faults/plan/draw.h"
#include "faults/sim/cluster/sim_setup.h"

namespace ordeal::sim {
namespace {

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Errc::not_found, path + ": no such scenario in the corpus, and no such file");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> broken_by(const TrialResult& trial) {
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  };
  for (const checker::Property& property : trial.verdict.properties)
    if (property.status == checker::Standing::violated) add(property.name);
  for (const Violation& violation : trial.violations) add(violation.invariant);
  return names;
}

std::string sentence(const ScenarioResult& result, const std::string& bug, const std::string& wanted) {
  if (!result.trial.trouble.empty() && !result.caught) return result.trial.trouble;
  if (result.caught) return fmt::format("caught: {} ran {} times, {} is violated", bug, result.ran, wanted);
  if (result.ran == 0) return fmt::format("not exercised: {} never decided anything", bug);
  return fmt::format("missed: {} ran {} times, {} was to be reported: {}", bug, result.ran, wanted,
                     result.broken.empty() ? "nothing was" : fmt::format("{}", fmt::join(result.broken, ", ")));
}

}  // namespace

Result<scenario::Scenario> load_scenario(const std::string& name_or_path) {
  std::string name = name_or_path;
  if (const auto bug = mutation::find_bug(name_or_path)) name = mutation::info_of(*bug).name;
  if (const auto text = scenario::corpus_text(name)) return scenario::parse_scenario(*text, name + ".yaml");
  const Result<std::string> text = read_file(name_or_path);
  if (!text) return fail(text.error());
  return scenario::parse_scenario(*text, name_or_path);
}

Result<ScenarioResult> run_scenario(const scenario::Scenario& scenario, bool mutated,
                                    std::optional<std::uint64_t> seed) {
  Result<TrialOptions> options = trial_options(scenario, mutated);
  if (!options) return fail(options.error());
  options->cluster.seed = seed.value_or(scenario.seed);
  Trial trial(std::move(*options));
  Status played = trial.prepare();
  if (played) {
    trial.start_clients();
    if (scenario.plan)
      trial.drive(plan::draw(*scenario.plan, seed.value_or(scenario.seed), scenario.time), scenario.time);
    else if (scenario.script.empty())
      trial.drive(scenario.time);
    else
      played = play_script(trial, scenario);
  }
  ScenarioResult result;
  result.trial = played ? trial.finish() : trial.give_up(played.error().text);
  result.broken = broken_by(result.trial);
  result.named = result.broken.empty() ? "" : result.broken.front();
  result.said = result.trial.sentence();
  if (!mutated || scenario.bug.empty()) return result;
  const mutation::BugInfo& info = mutation::info_of(*mutation::find_bug(scenario.bug));
  const std::string wanted = scenario.property.empty() ? std::string(info.property) : scenario.property;
  result.ran = result.trial.mutations_ran[std::string(info.name)];
  if (std::ranges::find(result.broken, wanted) != result.broken.end()) result.named = wanted;
  result.caught = result.ran > 0 && result.named == wanted;
  result.said = sentence(result, std::string(info.name), wanted);
  return result;
}

}  // namespace ordeal::sim
