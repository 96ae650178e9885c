// --shrink: plays a failing scenario, freezes what its faults meant, and writes the smallest one that still fails.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "checker/run_folder.h"
#include "faults/sim/driver/lines.h"
#include "faults/sim/driver/load.h"
#include "faults/sim/driver/modes.h"
#include "faults/sim/shrink/shrink.h"

namespace ordeal::sim {
namespace {

using Clock = std::chrono::steady_clock;

bool breaks(const scenario::Scenario& scenario, const PlayOptions& options, const std::string& name) {
  // A script that lost the step which names something cannot be played; the parser knows.
  if (!scenario.script.empty() && !scenario::parse_scenario(scenario::to_yaml(scenario), "a smaller script"))
    return false;
  const auto played = play(scenario, options);
  if (!played) return false;
  const std::vector<std::string> names = broken_names(played->trial);
  return std::ranges::find(names, name) != names.end();
}

// The same failure with frozen targets, if it is still there: else the plan stays as it was drawn.
scenario::Scenario frozen(const scenario::Scenario& failing, const Played& played, const PlayOptions& options) {
  if (!failing.plan || !played.trial.evidence || !played.trial.evidence->plan) return failing;
  scenario::Scenario candidate = failing;
  candidate.plan = freeze(*played.trial.evidence->plan);
  return breaks(candidate, options, played.named) ? candidate : failing;
}

std::string header(const scenario::Scenario& from, const Played& played, const Shrunk& shrunk,
                   const std::vector<std::string>& mutations) {
  std::string text = fmt::format("# {} is violated", played.named);
  text += mutations.empty() ? " by the broker as it is.\n"
                            : fmt::format(" with {} switched on.\n", fmt::join(mutations, ", "));
  text += fmt::format("# Shrunk from {} (seed {}) in {} tries. First seen as:\n#   {}\n", from.name, from.seed,
                      shrunk.tries, played.trial.sentence());
  return text;
}

}  // namespace

int run_shrink(const Arguments& arguments) {
  auto loaded = load_scenario(arguments.shrink);
  if (!loaded) {
    fmt::print(stderr, "ordeal-sim: {}\n", loaded.error().text);
    return kExitUsage;
  }
  scenario::Scenario failing = std::move(*loaded);
  if (failing.bug.empty() && arguments.mutations.size() == 1)
    failing.bug = mutation::info_of(arguments.mutations.front()).name;
  PlayOptions options;
  options.with_bug = arguments.mutate_scenario;
  options.mutations = arguments.mutations;
  const auto began = Clock::now();
  const auto played = play(failing, options);
  if (!played) {
    fmt::print(stderr, "ordeal-sim: {}\n", played.error().text);
    return kExitUsage;
  }
  if (played->named.empty()) {
    fmt::print(stderr, "ordeal-sim: {} does not fail: {}\n", failing.name, played->trial.sentence());
    return 1;
  }
  if (!arguments.json)
    fmt::print("{} is violated; shrinking for {}\n", played->named, plan::format_duration(arguments.budget));
  ShrinkOptions how;
  how.fails = [&](const scenario::Scenario& candidate) { return breaks(candidate, options, played->named); };
  how.out_of_time = [&] { return Clock::now() - began >= arguments.budget; };
  if (!arguments.json)
    how.on_success = [](const std::string& what) {
      fmt::print("  {}\n", what);
      std::fflush(stdout);
    };
  Shrunk shrunk = shrink(frozen(failing, *played, options), how);
  shrunk.scenario.property = played->named;
  shrunk.scenario.title = fmt::format("{}, the smallest found", played->named);
  std::vector<std::string> mutations;
  for (const auto& [name, ran] : played->trial.mutations_ran) mutations.push_back(name);
  const std::string text = header(failing, *played, shrunk, mutations) + scenario::to_yaml(shrunk.scenario);
  if (const Status written = checker::write_file(arguments.out, text); !written) {
    fmt::print(stderr, "ordeal-sim: {}\n", written.error().to_string());
    return kExitHarness;
  }
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began).count();
  const nlohmann::ordered_json line{{"property", played->named},
                                    {"sentence", played->trial.sentence()},
                                    {"tries", shrunk.tries},
                                    {"took_ms", took},
                                    {"before", to_json(sizes_of(failing))},
                                    {"after", to_json(sizes_of(shrunk.scenario))},
                                    {"mutations", mutations},
                                    {"out", arguments.out}};
  if (arguments.json)
    fmt::print("{}\n", line.dump());
  else
    fmt::print("{} tries in {:.1f} s: {} -> {}\n  {}\n", shrunk.tries, static_cast<double>(took) / 1000,
               line["before"].dump(), line["after"].dump(), arguments.out);
  return 0;
}

}  // namespace ordeal::sim
