// Search: one bug switched on, and worlds drawn until one of them breaks a promise because of it.
//
// Small worlds with strong faults; the mix is drawn as in any sweep, since nobody knows beforehand which mix a bug
// needs. Half of the processor time goes to fresh seeds, the other half to variants (swarm/aftermath.h) of those worlds
// in which the bug's branch ran without harm: the search knows the switch and sees its branch run, not what it breaks.
// The bug is found when what its registry entry names is broken, or anything else that the same world without the bug
// leaves whole; a world that was found is played again and must be the same.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "faults/sim/driver/folder.h"
#include "faults/sim/driver/lines.h"
#include "faults/sim/driver/modes.h"
#include "faults/sim/swarm/aftermath.h"

namespace ordeal::sim {
namespace {

using Clock = std::chrono::steady_clock;

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// A world in which the branch ran without harm.
struct Candidate {
  std::uint64_t seed = 0;
  scenario::Scenario world;
  std::vector<BranchRun> runs;
  std::uint64_t variants = 0;  // played so far

  // The less, the sooner it is varied: worlds in which the branch is rare first, each now and then.
  std::uint64_t rank() const { return variants + std::bit_width(runs.back().run); }
};

// What broke in `played` that the same world without the bug leaves whole; empty: nothing. The expected name first.
Result<std::string> due_to_the_bug(const scenario::Scenario& world, const Played& played) {
  if (played.caught) return played.named;
  const auto ran = played.trial.mutations_ran.find(world.bug);
  if (played.named.empty() || ran == played.trial.mutations_ran.end() || ran->second == 0) return std::string();
  const auto& phases = played.trial.evidence->phases;
  const auto driven = std::ranges::find(phases, "drive", &std::pair<std::string, Instant>::first);
  const Instant zero = driven == phases.end() ? Instant{} : driven->second;
  const auto without = play(untriggered(world, played.trial.events, zero), {});
  if (!without) return fail(without.error());
  const std::vector<std::string> own = broken_names(without->trial);
  for (const std::string& name : broken_names(played.trial))
    if (std::ranges::find(own, name) == own.end()) return name;
  return std::string();
}

class Search {
 public:
  Search(const Arguments& arguments, const mutation::BugInfo& bug) : arguments_(arguments), bug_(bug) {}

  Status run();
  bool found() const { return seed_.has_value(); }
  nlohmann::ordered_json json() const;
  std::string text() const;

 private:
  Status fresh(std::uint64_t seed);
  Status vary();
  Result<Played> play_with_bug(const scenario::Scenario& world, std::uint64_t seed, std::uint64_t variant);
  Result<bool> judge(const scenario::Scenario& world, const Played& played, std::uint64_t seed, std::uint64_t variant);
  std::vector<std::string> words() const;
  double cpu() const { return cpu_seconds() - cpu_began_; }
  bool worth_varying() const;

  const Arguments& arguments_;
  const mutation::BugInfo& bug_;
  std::vector<Candidate> candidates_;
  const Clock::time_point began_ = Clock::now();
  const double cpu_began_ = cpu_seconds();
  double cpu_varied_ = 0;
  std::uint64_t tried_ = 0;      // seeds
  std::uint64_t varied_ = 0;     // variants
  std::uint64_t exercised_ = 0;  // seeds in whose worlds the bug decided something
  std::optional<std::uint64_t> seed_;
  std::uint64_t variant_ = 0;
  std::string named_;
  bool as_expected_ = false;
  std::string sentence_;
  std::string folder_;
};

// Of processor time: a busy machine is no reason to look at fewer worlds.
Status Search::run() {
  const double budget = std::chrono::duration<double>(arguments_.budget).count();
  for (std::uint64_t seed = arguments_.first; !found() && cpu() < budget;) {
    if (worth_varying()) {
      const double before = cpu();
      ORDEAL_TRY(vary());
      cpu_varied_ += cpu() - before;
    } else {
      if (arguments_.count_given && tried_ >= arguments_.count) break;
      ORDEAL_TRY(fresh(seed++));
    }
  }
  return {};
}

bool Search::worth_varying() const { return !candidates_.empty() && cpu_varied_ < cpu() / 2; }

// Before each world, so that whoever reads along knows which one the process died in.
Result<Played> Search::play_with_bug(const scenario::Scenario& world, std::uint64_t seed, std::uint64_t variant) {
  if (arguments_.json) {
    const nlohmann::ordered_json line{{"searching", bug_.name}, {"seed", seed},        {"variant", variant},
                                      {"seeds", tried_},        {"variants", varied_}, {"exercised", exercised_},
                                      {"cpu_s", cpu()}};
    fmt::print("{}\n", line.dump());
    std::fflush(stdout);
  }
  PlayOptions options;
  options.with_bug = true;
  return play(world, options);
}

Status Search::fresh(std::uint64_t seed) {
  scenario::Scenario world = world_of(arguments_, seed);
  const auto played = play_with_bug(world, seed, 0);
  if (!played) return fail(played.error().at(fmt::format("seed {}", seed)));
  ++tried_;
  exercised_ += played->trial.mutations_ran.at(world.bug) > 0 ? 1 : 0;
  const auto done = judge(world, *played, seed, 0);
  if (!done) return fail(done.error());
  const std::vector<BranchRun>& runs = played->trial.branch_runs;
  if (!*done && !runs.empty()) candidates_.push_back({seed, std::move(world), runs});
  return {};
}

Status Search::vary() {
  // Of equals the newest.
  const auto chosen = std::ranges::min_element(candidates_.rbegin(), candidates_.rend(), {}, &Candidate::rank);
  const std::uint64_t variant = ++chosen->variants;
  const scenario::Scenario world = aftermath(chosen->world, chosen->runs, variant);
  const std::uint64_t seed = chosen->seed;
  const auto played = play_with_bug(world, seed, variant);
  if (!played) return fail(played.error().at(fmt::format("seed {}, variant {}", seed, variant)));
  ++varied_;
  const auto done = judge(world, *played, seed, variant);
  return done ? Status{} : fail(done.error());
}

Result<bool> Search::judge(const scenario::Scenario& world, const Played& played, std::uint64_t seed,
                           std::uint64_t variant) {
  auto named = due_to_the_bug(world, played);
  if (!named) return fail(named.error());
  if (named->empty()) return false;
  PlayOptions options;
  options.with_bug = true;
  options.keep_evidence = true;
  options.keep_messages = !arguments_.out.empty();
  const auto again = play(world, options);
  if (!again) return fail(again.error());
  if (again->trial.digest != played.trial.digest)
    return fail(Errc::corrupt, fmt::format("seed {}, variant {}: played again it was another world", seed, variant));
  seed_ = seed;
  variant_ = variant;
  named_ = std::move(*named);
  as_expected_ = played.caught;
  sentence_ = played.trial.sentence();
  if (!arguments_.out.empty()) {
    folder_ = fmt::format("{}/seed-{}{}", arguments_.out, seed, variant > 0 ? fmt::format("-variant-{}", variant) : "");
    ORDEAL_TRY(store_world(folder_, world, *again, words()));
  }
  return true;
}

std::vector<std::string> Search::words() const {
  Arguments shown = arguments_;
  shown.variant = variant_;
  return replay_words(shown, seed_.value_or(0));
}

nlohmann::ordered_json Search::json() const {
  nlohmann::ordered_json line{{"bug", bug_.name},
                              {"id", bug_.id},
                              {"property", bug_.property},
                              {"found", found()},
                              {"as_expected", as_expected_},
                              {"named", named_},
                              {"first", arguments_.first},
                              {"seeds", tried_},
                              {"variants", varied_},
                              {"exercised", exercised_},
                              {"cpu_s", cpu()},
                              {"real_s", std::chrono::duration<double>(Clock::now() - began_).count()}};
  if (seed_) {
    line["seed"] = *seed_;
    line["variant"] = variant_;
    line["sentence"] = sentence_;
    line["replay"] = words();
  }
  if (!folder_.empty()) line["folder"] = folder_;
  return line;
}

std::string Search::text() const {
  const std::string spent = fmt::format("{} seeds, {} variants and {:.1f} s of CPU", tried_, varied_, cpu());
  if (!seed_)
    return fmt::format("{}: not found in {}; it decided something in {} of the seeds", bug_.name, spent, exercised_);
  return fmt::format("{}: found by seed {}{} after {}: {} ({})\n  again: ordeal-sim {}", bug_.name, *seed_,
                     variant_ > 0 ? fmt::format(", variant {},", variant_) : "", spent, named_, sentence_,
                     shell_words(words()));
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
  Search search(arguments, bug);
  if (const Status done = search.run(); !done) {
    fmt::print(stderr, "ordeal-sim: {}\n", done.error().to_string());
    return kExitHarness;
  }
  if (arguments.json)
    fmt::print("{}\n", search.json().dump());
  else
    fmt::print("{}\n", search.text());
  return search.found() ? 0 : checker::exit_code(checker::Outcome::unknown);
}

}  // namespace ordeal::sim
