// Scripted bugs and stored worlds: found by name, by the bug's id, or as a file; played with the bug off or on.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "faults/sim/driver/folder.h"
#include "faults/sim/driver/lines.h"
#include "faults/sim/driver/load.h"
#include "faults/sim/driver/modes.h"

namespace ordeal::sim {
namespace {

Result<std::vector<scenario::Scenario>> wanted(const std::string& name) {
  std::vector<scenario::Scenario> all;
  if (name != "all") {
    auto one = load_scenario(name);
    if (!one) return fail(one.error());
    all.push_back(std::move(*one));
    return all;
  }
  for (const std::string& known : scenario::corpus_names()) {
    auto one = load_scenario(known);
    if (!one) return fail(one.error());
    all.push_back(std::move(*one));
  }
  return all;
}

// What the bug's being on or off should have come to, in a few words.
std::string judged(const scenario::Scenario& scenario, const Played& played, bool mutated) {
  if (!mutated) return played.trial.sentence();
  if (played.caught) return fmt::format("caught: {} is violated", played.named);
  const auto& ran = played.trial.mutations_ran;
  if (std::ranges::all_of(ran, [](const auto& one) { return one.second == 0; }))
    return fmt::format("not exercised: {} never decided anything", scenario.bug);
  return fmt::format("missed: reported was {}", played.named.empty() ? "nothing" : played.named);
}

// A scenario's own name says how to see it again; with the seed, if it is not the scenario's.
std::vector<std::string> words_of(const Arguments& arguments, const scenario::Scenario& scenario) {
  const std::string& asked = arguments.scenario;
  std::vector<std::string> words{"--scenario", asked == "all" ? scenario.name : asked};
  if (arguments.first_given) words.insert(words.end(), {"--seed", std::to_string(arguments.first)});
  if (arguments.mutate_scenario) words.emplace_back("--mutate");
  for (const mutation::Bug bug : arguments.mutations)
    words.insert(words.end(), {"--mutate", std::string(mutation::info_of(bug).name)});
  return words;
}

int run_one(const Arguments& arguments, const scenario::Scenario& scenario) {
  PlayOptions options;
  options.with_bug = arguments.mutate_scenario;
  options.mutations = arguments.mutations;
  options.keep_evidence = arguments.keep;
  options.keep_messages = !arguments.out.empty();
  if (arguments.trace) options.on_trace = [](const TraceEvent& event) { fmt::print("{}\n", trace_line(event)); };
  const auto played = play(scenario, options);
  if (!played) {
    fmt::print(stderr, "ordeal-sim: {}: {}\n", scenario.name, played.error().text);
    return kExitUsage;
  }
  const bool mutated = arguments.mutate_scenario || !arguments.mutations.empty();
  int code = exit_code(played->trial);
  const std::vector<std::string> words = words_of(arguments, scenario);
  nlohmann::ordered_json line = world_json(*played, words);
  line["scenario"] = scenario.name;
  line["mutated"] = mutated;
  line["said"] = judged(scenario, *played, mutated);
  if (!arguments.out.empty() && (code != 0 || arguments.keep) && played->trial.evidence) {
    const std::string folder =
        fmt::format("{}/{}-{}{}", arguments.out, scenario.name, scenario.seed, mutated ? "-mutated" : "");
    if (const Status stored = store_world(folder, scenario, *played, words); !stored) {
      fmt::print(stderr, "ordeal-sim: {} could not be stored: {}\n", scenario.name, stored.error().to_string());
      code = worst(code, kExitHarness);
    } else {
      line["folder"] = folder;
    }
  }
  if (arguments.json) {
    fmt::print("{}\n", line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  } else {
    fmt::print("{} {}: {}\n", scenario.name, mutated ? "switched on" : "switched off", line["said"].get<std::string>());
    print_world(*played);
  }
  if (arguments.trace)
    for (const FaultEvent& event : played->trial.events) fmt::print("{}\n", fault_line(event));
  if (arguments.twice) {
    const auto again = play(scenario, options);
    if (!again || again->trial.digest != played->trial.digest || again->trial.last_draw != played->trial.last_draw) {
      fmt::print(stderr, "ordeal-sim: {} gave digest {:016x}, then another\n", scenario.name, played->trial.digest);
      code = worst(code, kExitHarness);
    }
  }
  std::fflush(stdout);
  return code;
}

}  // namespace

Result<scenario::Scenario> load_scenario(const std::string& name) {
  std::string path = name;
  if (std::filesystem::is_directory(path)) path += "/scenario.yaml";
  if (std::filesystem::is_regular_file(path)) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return scenario::parse_scenario(text.str(), path);
  }
  std::string known = name;
  if (const auto bug = mutation::find_bug(name)) known = mutation::info_of(*bug).name;
  if (const auto text = scenario::corpus_text(known)) return scenario::parse_scenario(*text, known);
  return fail(Errc::not_found, name + ": no such file, and no scenario of that name; --list scenarios has them all");
}

int run_scenarios(const Arguments& arguments) {
  auto scenarios = wanted(arguments.scenario);
  if (!scenarios) {
    fmt::print(stderr, "ordeal-sim: {}\n", scenarios.error().text);
    return kExitUsage;
  }
  int code = 0;
  for (scenario::Scenario& scenario : *scenarios) {
    for (std::uint64_t i = 0; i < arguments.count; ++i) {
      if (arguments.first_given || arguments.count_given) scenario.seed = arguments.first + i;
      const int its = run_one(arguments, scenario);
      if (its == kExitUsage) return its;
      code = worst(code, its);
    }
  }
  return code;
}

}  // namespace ordeal::sim
