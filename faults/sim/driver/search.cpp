// Search: one bug switched on, and worlds drawn until one of them breaks a promise because of it.
//
// Small worlds with strong faults; the mix is drawn as in any sweep, since nobody knows beforehand which mix a bug
// needs. The bug is found when what its registry entry names is broken, or anything else that the same seed without
// the bug leaves whole.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "faults/sim/driver/folder.h"
#include "faults/sim/driver/lines.h"
#include "faults/sim/driver/modes.h"

namespace ordeal::sim {
namespace {

using Clock = std::chrono::steady_clock;

struct Search {
  std::uint64_t tried = 0;      // seeds
  std::uint64_t exercised = 0;  // worlds in which the bug decided something
  std::optional<std::uint64_t> seed;
  std::string named;
  bool as_expected = false;
  std::string sentence;
  std::string folder;
  double cpu_s = 0;
  double real_s = 0;
};

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// What `played` broke that the same world without the bug does not; empty: nothing. The expected name first.
std::string due_to_the_bug(const scenario::Scenario& world, const Played& played) {
  if (played.caught) return played.named;
  const auto ran = played.trial.mutations_ran.find(world.bug);
  if (played.named.empty() || ran == played.trial.mutations_ran.end() || ran->second == 0) return {};
  const auto without = play(world, {});
  if (!without) return {};
  const std::vector<std::string> own = broken_names(without->trial);
  for (const std::string& name : broken_names(played.trial))
    if (std::ranges::find(own, name) == own.end()) return name;
  return {};
}

Result<bool> try_seed(const Arguments& arguments, std::uint64_t seed, Search& search) {
  const scenario::Scenario world = world_of(arguments, seed);
  PlayOptions options;
  options.with_bug = true;
  auto played = play(world, options);
  if (!played) return fail(played.error());
  ++search.tried;
  search.exercised += played->trial.mutations_ran[world.bug] > 0 ? 1 : 0;
  search.named = due_to_the_bug(world, *played);
  if (search.named.empty()) return false;
  search.seed = seed;
  search.as_expected = played->caught;
  search.sentence = played->trial.sentence();
  if (!arguments.out.empty() && played->trial.evidence) {
    search.folder = fmt::format("{}/seed-{}", arguments.out, seed);
    ORDEAL_TRY(store_world(search.folder, world, *played, replay_words(arguments, seed)));
  }
  return true;
}

nlohmann::ordered_json search_json(const mutation::BugInfo& bug, const Search& search, std::uint64_t first,
                                   const std::vector<std::string>& words) {
  nlohmann::ordered_json line{{"bug", bug.name},
                              {"id", bug.id},
                              {"property", bug.property},
                              {"found", search.seed.has_value()},
                              {"as_expected", search.as_expected},
                              {"named", search.named},
                              {"first", first},
                              {"seeds", search.tried},
                              {"exercised", search.exercised},
                              {"cpu_s", search.cpu_s},
                              {"real_s", search.real_s}};
  if (search.seed) {
    line["seed"] = *search.seed;
    line["sentence"] = search.sentence;
    line["replay"] = words;
  }
  if (!search.folder.empty()) line["folder"] = search.folder;
  return line;
}

}  // namespace

int run_search(const Arguments& given) {
  const mutation::BugInfo& bug = mutation::info_of(*mutation::find_bug(given.search));
  Arguments arguments = given;
  arguments.world.bug = bug.name;
  arguments.world.small = true;
  arguments.world.focus = bug.id.substr(0, 1);
  arguments.words.insert(arguments.words.end(),
                         {"--small", "--focus", arguments.world.focus, "--mutate", std::string(bug.name)});
  const auto began = Clock::now();
  const double cpu_began = cpu_seconds();
  Search search;
  for (std::uint64_t seed = arguments.first; !search.seed; ++seed) {
    // Of processor time: a busy machine is no reason to look at fewer worlds.
    if (cpu_seconds() - cpu_began >= std::chrono::duration<double>(arguments.budget).count()) break;
    if (arguments.count_given && search.tried >= arguments.count) break;
    if (const auto done = try_seed(arguments, seed, search); !done) {
      fmt::print(stderr, "ordeal-sim: seed {}: {}\n", seed, done.error().to_string());
      return kExitHarness;
    }
  }
  search.cpu_s = cpu_seconds() - cpu_began;
  search.real_s = std::chrono::duration<double>(Clock::now() - began).count();
  const std::vector<std::string> words = replay_words(arguments, search.seed.value_or(0));
  if (arguments.json) {
    fmt::print("{}\n", search_json(bug, search, arguments.first, words).dump());
  } else if (search.seed) {
    fmt::print("{}: found by seed {} after {} seeds and {:.1f} s of CPU: {} ({})\n  again: ordeal-sim {}\n", bug.name,
               *search.seed, search.tried, search.cpu_s, search.named, search.sentence, shell_words(words));
  } else {
    fmt::print("{}: not found in {} seeds and {:.1f} s of CPU; it decided something in {} of them\n", bug.name,
               search.tried, search.cpu_s, search.exercised);
  }
  return search.seed ? 0 : checker::exit_code(checker::Outcome::unknown);
}

}  // namespace ordeal::sim
