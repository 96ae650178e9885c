// ordeal-sim: simulated worlds by seed, each a whole cluster under faults with clients, an audit and a verdict.
//
//   ordeal-sim --seed N | --seeds K [--first N]  [--time 60s] [--plan FILE|NAME] [--mutate NAME] [--nodes N] ...
//   ordeal-sim --scenario ID [--mutate]
//
// Equal arguments give equal worlds: the digest says so, and --twice proves it.
// Exit: 0 every world passed, 1 a violation, 2 unknown, 3 the harness failed or two equal worlds differed, 64 bad
// usage.
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "faults/plan/draw.h"
#include "faults/sim/cluster/sim_trial.h"
#include "faults/sim/scenarios/scenarios.h"

using namespace ordeal;
using namespace ordeal::sim;

namespace {

constexpr int kExitHarness = 3;
constexpr int kExitUsage = 64;

struct Arguments {
  std::uint64_t first = 1;
  std::uint64_t count = 1;
  bool seed_given = false;
  Duration time = 60s;
  std::string plan;
  std::vector<mutation::Bug> mutations;
  ConfigMap sets;
  int nodes = 3;
  bool json = false;
  bool twice = false;
  bool trace = false;
  std::string scenario;
  bool mutate_scenario = false;
  std::string rerun;  // what a person types to see one seed again, but for the seed
};

void print_usage(std::FILE* to) {
  fmt::print(to,
             "usage: ordeal-sim --seed N [options]            one world\n"
             "       ordeal-sim --seeds K [--first N] [options]  K worlds from seed N on (default 1)\n"
             "       ordeal-sim --scenario ID|all [--mutate] [--seed N]  a scripted known bug, switched off or on\n"
             "  --time D        simulated length of the driven phase, as 60s or 2m (default 60s)\n"
             "  --plan P        a fault plan: a file, or one of: sim (default) {}\n"
             "  --mutate NAME   switches a known bug on in every broker; may be repeated\n"
             "  --nodes N       brokers (default 3)\n"
             "  --set key=value a broker setting under Kafka's name; may be repeated\n"
             "  --twice         runs each world twice and compares\n"
             "  --trace         prints a line an event\n"
             "  --json          prints one JSON line a world\n"
             "example: ordeal-sim --seeds 20 --time 30s\n",
             fmt::join(plan::builtin_plan_names(), " "));
}

template <class T>
bool parse_number(const std::string& text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

std::string complain(const std::string& flag, const std::string& value) {
  return fmt::format("{} cannot be \"{}\"", flag, value);
}

// One option with a value; the text of what is wrong, or empty.
std::string take(Arguments& into, const std::string& flag, const std::string& value) {
  if (flag == "--seed") {
    into.seed_given = true;
    return parse_number(value, into.first) ? "" : complain(flag, value);
  }
  if (flag == "--first") return parse_number(value, into.first) ? "" : complain(flag, value);
  if (flag == "--seeds") return parse_number(value, into.count) && into.count > 0 ? "" : complain(flag, value);
  if (flag == "--plan") into.plan = value;
  if (flag == "--scenario") into.scenario = value;
  if (flag == "--nodes" && (!parse_number(value, into.nodes) || into.nodes < 1 || into.nodes > 7))
    return "--nodes is 1 to 7";
  if (flag == "--time") {
    const auto time = plan::parse_duration(value);
    if (!time || *time <= Duration::zero()) return complain(flag, value);
    into.time = *time;
  }
  if (flag == "--mutate") {
    const auto bug = mutation::find_bug(value);
    if (!bug) return fmt::format("--mutate: {} is no known bug", value);
    into.mutations.push_back(*bug);
  }
  if (flag == "--set") {
    const auto equals = value.find('=');
    if (equals == std::string::npos) return complain(flag, value);
    into.sets[value.substr(0, equals)] = value.substr(equals + 1);
  }
  return "";
}

std::string parse(int argc, char** argv, Arguments& into) {
  static const std::set<std::string> kValued{"--seed",  "--first", "--seeds", "--plan",  "--scenario",
                                             "--nodes", "--time",  "--set",   "--mutate"};
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const bool last = i + 1 == argc || std::string_view(argv[i + 1]).starts_with("--");
    if (flag == "--json" || flag == "--twice" || flag == "--trace") {
      into.json |= flag == "--json";
      into.twice |= flag == "--twice";
      into.trace |= flag == "--trace";
    } else if (flag == "--mutate" && last) {
      into.mutate_scenario = true;
    } else if (!kValued.contains(flag)) {
      return "unknown option " + flag;
    } else if (last) {
      return flag + " needs a value";
    } else {
      const std::string value = argv[++i];
      if (std::string wrong = take(into, flag, value); !wrong.empty()) return wrong;
      if (flag != "--seed" && flag != "--first" && flag != "--seeds") into.rerun += fmt::format(" {} {}", flag, value);
    }
  }
  if (into.mutate_scenario && into.scenario.empty()) return "--mutate needs a name unless --scenario is given";
  for (const mutation::Bug bug : into.mutations) {
    mutation::Switches probe;
    probe.turn_on(bug);
    if (!probe.is_on(bug)) return "--mutate: this build leaves the bug switches out";
  }
  ConfigMap probe = cluster_config(1, into.nodes);
  for (const auto& [key, value] : into.sets) probe[key] = value;
  if (const auto config = make_broker_config(probe); !config) return "--set: " + config.error().text;
  return "";
}

Result<plan::Plan> load_plan(const std::string& name) {
  if (name.empty() || name == "sim") return default_plan();
  if (const auto text = plan::builtin_plan_text(name)) return plan::parse_plan(*text, name);
  std::ifstream file(name);
  if (!file) return fail(Errc::not_found, name + ": no such file, and no plan of that name");
  std::ostringstream text;
  text << file.rdbuf();
  return plan::parse_plan(text.str(), name);
}

void print_faults(const TrialResult& result) {
  for (const FaultEvent& event : result.events) fmt::print("{}\n", event.to_json());
}

TrialResult run_world(const Arguments& arguments, const plan::Plan& plan, std::uint64_t seed) {
  TrialOptions options;
  options.cluster.seed = seed;
  options.cluster.nodes = arguments.nodes;
  options.cluster.config = arguments.sets;
  options.cluster.mutations = arguments.mutations;
  if (arguments.trace) options.on_trace = [](const TraceEvent& event) { fmt::print("{}\n", event.to_json()); };
  return Trial::run(std::move(options), plan::draw(plan, seed, arguments.time), arguments.time);
}

int exit_code(const TrialResult& result) {
  if (result.outcome() == checker::Outcome::fail) return checker::exit_code(checker::Outcome::fail);
  return result.trouble.empty() ? checker::exit_code(result.outcome()) : kExitHarness;
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

nlohmann::json to_json(const TrialResult& result, std::int64_t real_ms) {
  nlohmann::json line;
  line["seed"] = result.seed;
  line["digest"] = fmt::format("{:016x}", result.digest);
  line["last_draw"] = fmt::format("{:016x}", result.last_draw);
  line["outcome"] = outcome_name(result);
  line["sentence"] = result.sentence();
  line["operations"] = result.verdict.counts.operations;
  line["sends_ok"] = result.verdict.counts.sends_ok;
  line["faults"] = result.faults;
  line["simulated_s"] = result.simulated / 1s;
  line["real_ms"] = real_ms;
  line["violations"] = nlohmann::json::array();
  for (const Violation& violation : result.violations)
    line["violations"].push_back({{"invariant", violation.invariant}, {"text", violation.text}});
  for (const checker::Violation& violation : result.verdict.violations)
    if (violation.status == checker::Standing::violated)
      line["violations"].push_back({{"property", violation.property}, {"text", violation.title}});
  for (const auto& [name, count] : result.mutations_ran) line["mutations_ran"][name] = count;
  return line;
}

void print_world(const TrialResult& result, std::int64_t real_ms) {
  fmt::print("seed {} digest {:016x} last {:016x} ops {} faults {} {:.1f} s: {}: {}\n", result.seed, result.digest,
             result.last_draw, result.verdict.counts.operations, result.faults, static_cast<double>(real_ms) / 1000,
             outcome_name(result), result.sentence());
  for (const auto& [name, count] : result.mutations_ran) fmt::print("  {} ran {} times\n", name, count);
  for (const Violation& violation : result.violations)
    fmt::print("  {} at {:.3f} s: {}\n", violation.invariant,
               static_cast<double>(violation.at.time_since_epoch().count()) / 1e9, violation.text);
  for (const checker::Violation& violation : result.verdict.violations) {
    if (violation.status != checker::Standing::violated) continue;
    fmt::print("  {}: {}\n", violation.property, violation.title);
    for (const std::string& line : violation.story) fmt::print("    {}\n", line);
  }
  if (exit_code(result) == checker::exit_code(checker::Outcome::unknown))
    for (const std::string& reason : result.verdict.reasons) fmt::print("  {}\n", reason);
}

// The worst of two exit codes: a failure of the harness hides nothing, a violation outranks the unknown.
int worst(int a, int b) {
  const auto rank = [](int code) { return code == 1 ? 3 : code == kExitHarness ? 2 : code == 2 ? 1 : 0; };
  return rank(b) > rank(a) ? b : a;
}

int run_seed(const Arguments& arguments, const plan::Plan& plan, std::uint64_t seed) {
  const auto began = std::chrono::steady_clock::now();
  const TrialResult result = run_world(arguments, plan, seed);
  const auto real_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
  int code = exit_code(result);
  if (arguments.json)
    fmt::print("{}\n", to_json(result, real_ms).dump());
  else
    print_world(result, real_ms);
  if (arguments.trace) print_faults(result);
  if (arguments.twice) {
    const TrialResult again = run_world(arguments, plan, seed);
    const bool same = again.digest == result.digest && again.last_draw == result.last_draw;
    if (!same) {
      fmt::print(stderr, "ordeal-sim: seed {} gave digest {:016x}, then {:016x}\n", seed, result.digest, again.digest);
      code = worst(code, kExitHarness);
    } else if (!arguments.json) {
      fmt::print("  again: the same digest and the same last draw\n");
    }
  }
  if (code != 0 && !arguments.json) fmt::print("  again: ordeal-sim --seed {}{}\n", seed, arguments.rerun);
  std::fflush(stdout);
  return code;
}

int run_scenarios(const Arguments& arguments) {
  int code = 0;
  bool found = false;
  for (const Scenario& scenario : all_scenarios()) {
    if (arguments.scenario != "all" && arguments.scenario != scenario.id) continue;
    found = true;
    const std::uint64_t seed = arguments.seed_given ? arguments.first : scenario.seed;
    const auto began = std::chrono::steady_clock::now();
    const ScenarioResult result = run_scenario(scenario, arguments.mutate_scenario, seed);
    const auto real_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began).count();
    if (arguments.json) {
      nlohmann::json line = to_json(result.trial, real_ms);
      line["scenario"] = scenario.id;
      line["mutated"] = arguments.mutate_scenario;
      line["caught"] = result.caught;
      line["named"] = result.named;
      fmt::print("{}\n", line.dump());
    } else {
      fmt::print("{} {}: {}\n", scenario.id, arguments.mutate_scenario ? "switched on" : "switched off", result.said);
      print_world(result.trial, real_ms);
    }
    code = worst(code, exit_code(result.trial));
  }
  if (found) return code;
  fmt::print(stderr, "ordeal-sim: no scenario {}; there are:", arguments.scenario);
  for (const Scenario& scenario : all_scenarios()) fmt::print(stderr, " {}", scenario.id);
  fmt::print(stderr, "\n");
  return kExitUsage;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && (std::string_view(argv[1]) == "--help" || std::string_view(argv[1]) == "-h")) {
    print_usage(stdout);
    return 0;
  }
  Arguments arguments;
  if (const std::string wrong = parse(argc, argv, arguments); !wrong.empty() || argc == 1) {
    if (!wrong.empty()) fmt::print(stderr, "ordeal-sim: {}\n", wrong);
    print_usage(stderr);
    return kExitUsage;
  }
  if (!arguments.scenario.empty()) return run_scenarios(arguments);
  const auto plan = load_plan(arguments.plan);
  if (!plan) {
    fmt::print(stderr, "ordeal-sim: {}\n", plan.error().text);
    return kExitUsage;
  }
  if (const Status able = plan::check_verbs(*plan, simulated_verbs(), "the simulator"); !able) {
    fmt::print(stderr, "ordeal-sim: {}\n", able.error().text);
    return kExitUsage;
  }
  int code = 0;
  std::uint64_t passed = 0;
  for (std::uint64_t seed = arguments.first; seed < arguments.first + arguments.count; ++seed) {
    const int its = run_seed(arguments, *plan, seed);
    passed += its == 0 ? 1 : 0;
    code = worst(code, its);
  }
  if (arguments.count > 1 && !arguments.json) fmt::print("{} of {} worlds passed\n", passed, arguments.count);
  return code;
}
