// The command line, and worlds stored as folders: what is read back is what was played.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "checker/run_folder.h"
#include "faults/sim/driver/arguments.h"
#include "faults/sim/driver/folder.h"
#include "faults/sim/driver/lines.h"
#include "faults/sim/driver/load.h"
#include "faults/sim/driver/modes.h"
#include "faults/sim/swarm/aftermath.h"
#include "faults/sim/swarm/swarm.h"
#include "workloads/history/reader.h"

namespace ordeal::sim {
namespace {

std::string parsed(std::vector<std::string> words, Arguments& into) {
  words.insert(words.begin(), "ordeal-sim");
  std::vector<char*> raw;
  for (std::string& word : words) raw.push_back(word.data());
  return parse_arguments(static_cast<int>(raw.size()), raw.data(), into);
}

struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / "ordeal-sim-driver-test";
  Folder() { std::filesystem::remove_all(path); }
  ~Folder() { std::filesystem::remove_all(path); }
};

std::size_t lines_in(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::size_t count = 0;
  for (std::string line; std::getline(in, line);) ++count;
  return count;
}

// As docs/formats/sim.md has it: every message that did not arrive says why, and what one is about stands beside it.
void messages_are_told(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::size_t fetches = 0;
  for (std::string line; std::getline(in, line);) {
    const auto message = nlohmann::json::parse(line);
    CHECK_MESSAGE(message.contains("lost") == message["a"].is_null(), line);
    if (message.contains("each")) CHECK_MESSAGE(message["each"].size() == message["p"].size(), line);
    if (message["api"] != "Fetch" || message["reply"] || !message.contains("p")) continue;
    ++fetches;
    CHECK_MESSAGE(message["say"].get<std::string>().starts_with("fetch"), line);
    CHECK_MESSAGE(message.contains("each") == (message["p"].size() > 1), line);
  }
  CHECK(fetches > 10);
}

TEST_CASE("what is given on the command line shapes the world and stands in the command that replays it") {
  Arguments given;
  CHECK(parsed({"--seeds", "20", "--first", "7", "--nodes", "5", "--time", "90s", "--set", "log.segment.bytes=4096",
                "--mutate", "A1", "--plan", "kills", "--json"},
               given) == "");
  CHECK(given.mode == Mode::seeds);
  CHECK(given.first == 7);
  CHECK(given.count == 20);
  CHECK(given.world.nodes == 5);
  CHECK(given.world.time == Duration(90s));
  CHECK(given.world.plan.has_value());
  CHECK(given.mutations == std::vector{mutation::Bug::repl_truncate_to_hw});
  CHECK(shell_words(given.words) == "--nodes 5 --time 90s --set log.segment.bytes=4096 --mutate A1 --plan kills");
  CHECK(shell_words({"--set", "a b"}) == "--set 'a b'");
}

TEST_CASE("a wrong word is refused with its reason") {
  const auto refusal = [](std::vector<std::string> words) {
    Arguments given;
    return parsed(std::move(words), given);
  };
  CHECK(refusal({"--nodes", "9"}) == "--nodes is 1 to 7");
  CHECK(refusal({"--time", "10"}).find("--time cannot be \"10\"") == 0);
  CHECK(refusal({"--set", "log.segment.byte=1"}).find("did you mean 'log.segment.bytes'") != std::string::npos);
  CHECK(refusal({"--mutate", "nonsense"}).find("no known bug") != std::string::npos);
  CHECK(refusal({"--plan", "nonsense"}).find("no plan of that name") != std::string::npos);
  CHECK(refusal({"--frobnicate"}) == "unknown option --frobnicate");
  CHECK(refusal({"--seed"}) == "--seed needs a value");
  CHECK(refusal({"--shrink", "x.yaml"}) == "--shrink needs --out FILE");
  CHECK(refusal({"--variant", "0", "--mutate", "A1"}).find("--variant cannot be") == 0);
  CHECK(refusal({"--variant", "1"}) == "--variant needs one --mutate NAME");
}

TEST_CASE(
    "a stored world is judged again from its files with the same outcome, and its scenario gives the same world") {
  Overrides small;
  small.time = 12s;
  small.nodes = 3;
  const scenario::Scenario world = draw_world(4, small);
  PlayOptions options;
  options.keep_evidence = true;
  options.keep_messages = true;
  const auto played = play(world, options);
  REQUIRE(played.has_value());
  Folder folder;
  const Status stored = store_world(folder.path.string(), world, *played, {"--seed", "4"});
  REQUIRE_MESSAGE(stored.has_value(), stored.error().text);

  const auto context = checker::read_context(folder.path.string());
  REQUIRE_MESSAGE(context.has_value(), context.error().text);
  const auto history = history::read_folder((folder.path / "history").string());
  REQUIRE_MESSAGE(history.has_value(), history.error().text);
  const auto verdict = checker::check(*history, *context, {});
  REQUIRE(verdict.has_value());
  CHECK(verdict->outcome == played->trial.verdict.outcome);
  CHECK(verdict->counts.operations == played->trial.verdict.counts.operations);
  CHECK(verdict->counts.sends_ok == played->trial.verdict.counts.sends_ok);
  CHECK(verdict->counts.info_landed == played->trial.verdict.counts.info_landed);
  CHECK(context->harness_gaps.empty());
  CHECK(lines_in(folder.path / "messages.jsonl") > 100);
  messages_are_told(folder.path / "messages.jsonl");
  CHECK(lines_in(folder.path / "nodes/1/trace.jsonl") > 10);
  for (const char* name : {"plan.yaml", "topology.json", "verdict.json", "aggregates.json"})
    CHECK_MESSAGE(std::filesystem::exists(folder.path / name), name);

  const auto loaded = load_scenario(folder.path.string());
  REQUIRE_MESSAGE(loaded.has_value(), loaded.error().text);
  const auto again = play(*loaded, {});
  REQUIRE(again.has_value());
  CHECK(again->trial.digest == played->trial.digest);
  CHECK(again->trial.last_draw == played->trial.last_draw);
  CHECK(again->trial.evidence == nullptr);  // it passed, and nobody asked
}

TEST_CASE("a world with a bug says what it broke, and that it is what the registry expects") {
  const auto scenario = load_scenario("A1");
  REQUIRE_MESSAGE(scenario.has_value(), scenario.error().text);
  PlayOptions options;
  options.with_bug = true;
  const auto played = play(*scenario, options);
  REQUIRE(played.has_value());
  CHECK(played->caught);
  CHECK(played->named == "lost-write");
  CHECK(exit_code(played->trial) == 1);
  const auto line = world_json(*played, {"--seed", "1"});
  CHECK(line["outcome"] == "fail");
  CHECK(line["caught"] == true);
  CHECK(line["mutations_ran"]["repl.truncate_to_hw"].get<int>() > 0);
  CHECK(std::ranges::any_of(line["violations"],
                            [](const auto& one) { return one.value("property", "") == "lost-write"; }));
}

TEST_CASE("a variant shows what its world did not show, and is the same world when it is asked for again") {
  std::optional<std::uint64_t> digest;
  for (std::uint64_t seed = 2; seed <= 7 && !digest; ++seed) {
    Arguments given;
    REQUIRE(parsed({"--small", "--focus", "A", "--mutate", "A1"}, given) == "");
    PlayOptions options;
    options.mutations = given.mutations;
    const auto base = play(world_of(given, seed), options);
    REQUIRE(base.has_value());
    if (exit_code(base->trial) != 0 || base->trial.branch_runs.empty()) continue;
    for (std::uint64_t variant = 1; variant <= 6 && !digest; ++variant) {
      const auto varied = play(aftermath(world_of(given, seed), base->trial.branch_runs, variant), options);
      REQUIRE(varied.has_value());
      if (!varied->caught) continue;
      digest = varied->trial.digest;
      given.variant = variant;
      const auto words = replay_words(given, seed);
      CHECK(shell_words(words) == fmt::format("--seed {} --variant {} --small --focus A --mutate A1", seed, variant));
      const auto again = variant_of(given, seed);
      REQUIRE(again.has_value());
      const auto replayed = play(*again, options);
      REQUIRE(replayed.has_value());
      CHECK(replayed->trial.digest == *digest);
    }
  }
  CHECK(digest.has_value());
}

TEST_CASE("exit codes: a violation outranks a failing harness, and that what is unknown") {
  CHECK(worst(0, 2) == 2);
  CHECK(worst(2, kExitHarness) == kExitHarness);
  CHECK(worst(kExitHarness, 1) == 1);
  CHECK(worst(1, kExitHarness) == 1);
  CHECK(worst(0, 0) == 0);
}

TEST_CASE("lines for people name time, node, kind and fields") {
  TraceEvent event;
  event.at = Instant(1'500'000'000ns);
  event.node = 2;
  event.kind = "partition.leader";
  event.fields = {{"topic", "t"}, {"partition", std::int64_t{0}}};
  CHECK(trace_line(event) == "     1.500000  n2  partition.leader           topic=t partition=0");
  MessageSeen seen;
  seen.sent_at = Instant(1'000'000'000ns);
  seen.from = "10.77.0.11";
  seen.to = "10.77.0.101";
  seen.api = "Fetch";
  seen.reply = true;
  seen.bytes = 9;
  CHECK(message_line(seen) == "     1.000000  n1 -> c1 Fetch reply, 9 bytes: never arrived");
}

}  // namespace
}  // namespace ordeal::sim
