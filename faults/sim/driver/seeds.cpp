// Worlds by seed: draw, play, tell, store; one in twenty is played twice to prove that it repeats.
#include <fmt/format.h>

#include <cstdio>

#include "broker/base/mark.h"
#include "broker/base/random.h"
#include "checker/run_folder.h"
#include "faults/sim/driver/folder.h"
#include "faults/sim/driver/lines.h"
#include "faults/sim/driver/modes.h"
#include "faults/sim/swarm/aftermath.h"

namespace ordeal::sim {
namespace {

constexpr std::uint64_t kTwiceIn = 20;

PlayOptions play_options(const Arguments& arguments) {
  PlayOptions options;
  options.mutations = arguments.mutations;
  return options;
}

// What the two runs drew differently first; else what their nodes said; else their fingerprints.
std::string first_difference(const TrialResult& a, const TrialResult& b) {
  if (!a.evidence || !b.evidence) return "no evidence was kept";
  if (const std::string draw = DrawLog::first_difference(a.evidence->draws, b.evidence->draws); !draw.empty())
    return draw;
  const auto& one = a.evidence->traces;
  const auto& two = b.evidence->traces;
  for (std::size_t i = 0; i < std::min(one.size(), two.size()); ++i) {
    const std::string first = trace_line(one[i]);
    const std::string second = trace_line(two[i]);
    if (first != second) return fmt::format("event {}:\n  {}\n  {}", i + 1, first, second);
  }
  return fmt::format("no draw and no event; last draws {:016x} and {:016x}", a.last_draw, b.last_draw);
}

// 0, or the exit code of a harness that does not repeat itself.
int compare(const Arguments& arguments, const scenario::Scenario& world, const Played& first, const Played& again) {
  if (again.trial.digest == first.trial.digest && again.trial.last_draw == first.trial.last_draw) return 0;
  PlayOptions options = play_options(arguments);
  options.keep_evidence = true;
  options.log_draws = true;
  const auto one = play(world, options);
  const auto two = play(world, options);
  fmt::print(stderr, "ordeal-sim: seed {} gave digest {:016x}, then {:016x}; two more runs differ first at {}\n",
             world.seed, first.trial.digest, again.trial.digest,
             one && two ? first_difference(one->trial, two->trial) : "the start");
  return kExitHarness;
}

// Stored is a second run of the same world, which also keeps its messages; that it is the same world is tested here.
int store(const Arguments& arguments, const scenario::Scenario& world, const Played& first,
          const std::vector<std::string>& words, nlohmann::ordered_json& line) {
  PlayOptions options = play_options(arguments);
  options.keep_evidence = true;
  options.keep_messages = true;
  const auto again = play(world, options);
  if (!again) return kExitHarness;
  const std::string folder = fmt::format("{}/seed-{}", arguments.out, world.seed);
  if (const Status stored = store_world(folder, world, *again, words); !stored) {
    fmt::print(stderr, "ordeal-sim: seed {} could not be stored: {}\n", world.seed, stored.error().to_string());
    return kExitHarness;
  }
  line["folder"] = folder;
  return compare(arguments, world, first, *again);
}

int run_seed(const Arguments& arguments, std::uint64_t seed) {
  const auto drawn = variant_of(arguments, seed);
  if (!drawn) {
    fmt::print(stderr, "ordeal-sim: seed {}: {}\n", seed, drawn.error().text);
    return kExitUsage;
  }
  const scenario::Scenario& world = *drawn;
  const std::vector<std::string> words = replay_words(arguments, seed);
  PlayOptions options = play_options(arguments);
  if (arguments.trace) {
    options.on_trace = [](const TraceEvent& event) { fmt::print("{}\n", trace_line(event)); };
    options.on_message = [](const MessageSeen& seen) { fmt::print("{}\n", message_line(seen)); };
  }
  const auto played = play(world, std::move(options));
  if (!played) {
    fmt::print(stderr, "ordeal-sim: seed {}: {}\n", seed, played.error().text);
    return kExitUsage;
  }
  int code = exit_code(played->trial);
  nlohmann::ordered_json line = world_json(*played, words);
  const bool stored = !arguments.out.empty() && (code != 0 || arguments.keep);
  if (stored) code = worst(code, store(arguments, world, *played, words, line));
  if (arguments.json)
    fmt::print("{}\n", line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  else
    print_world(*played);
  if (arguments.trace)
    for (const FaultEvent& event : played->trial.events) fmt::print("{}\n", fault_line(event));
  const bool twice = arguments.twice || (arguments.count > 1 && Random(seed).fork("twice").chance(1, kTwiceIn));
  if (twice && !stored) {
    const auto again = play(world, play_options(arguments));
    const int same = again ? compare(arguments, world, *played, *again) : kExitHarness;
    if (same == 0 && !arguments.json) fmt::print("  again: the same digest and the same last draw\n");
    code = worst(code, same);
  }
  if (code != 0 && !arguments.json) fmt::print("  again: ordeal-sim {}\n", shell_words(words));
  std::fflush(stdout);
  return code;
}

}  // namespace

scenario::Scenario world_of(const Arguments& arguments, std::uint64_t seed) {
  return arguments.plain ? plain_world(seed, arguments.world) : draw_world(seed, arguments.world);
}

Result<scenario::Scenario> variant_of(const Arguments& arguments, std::uint64_t seed) {
  scenario::Scenario world = world_of(arguments, seed);
  if (arguments.variant == 0) return world;
  const auto played = play(world, play_options(arguments));
  if (!played) return fail(played.error());
  if (played->trial.branch_runs.empty())
    return fail(Errc::invalid_argument, "the branch never ran in it: there is nothing to vary");
  return aftermath(world, played->trial.branch_runs, arguments.variant);
}

std::vector<std::string> replay_words(const Arguments& arguments, std::uint64_t seed) {
  std::vector<std::string> words{"--seed", std::to_string(seed)};
  if (arguments.variant > 0) words.insert(words.end(), {"--variant", std::to_string(arguments.variant)});
  words.insert(words.end(), arguments.words.begin(), arguments.words.end());
  return words;
}

int run_seeds(const Arguments& arguments) {
  int code = 0;
  std::uint64_t passed = 0;
  for (std::uint64_t seed = arguments.first; seed < arguments.first + arguments.count; ++seed) {
    const int its = run_seed(arguments, seed);
    if (its == kExitUsage) return its;
    passed += its == 0 ? 1 : 0;
    code = worst(code, its);
  }
  if (arguments.count > 1 && !arguments.json) fmt::print("{} of {} worlds passed\n", passed, arguments.count);
  return code;
}

int show_world(const Arguments& arguments) {
  const auto drawn = variant_of(arguments, arguments.first);
  if (!drawn) {
    fmt::print(stderr, "ordeal-sim: {}\n", drawn.error().text);
    return kExitUsage;
  }
  const scenario::Scenario& world = *drawn;
  fmt::print("{}", arguments.json ? scenario::to_json(world).dump(2) + "\n" : scenario::to_yaml(world));
  return 0;
}

Status write_marks(const std::string& path) {
  nlohmann::ordered_json marks = nlohmann::ordered_json::object();
  for (const auto& [name, count] : mark_counts()) marks[name] = count;
  return checker::write_file(path, marks.dump(1) + "\n");
}

}  // namespace ordeal::sim
