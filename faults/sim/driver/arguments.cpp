#include "faults/sim/driver/arguments.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "faults/sim/cluster/sim_cluster.h"
#include "faults/sim/cluster/sim_trial.h"

namespace ordeal::sim {
namespace {

template <class T>
bool parse_number(const std::string& text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

std::string complain(const std::string& flag, const std::string& value) {
  return fmt::format("{} cannot be \"{}\"", flag, value);
}

Result<plan::Plan> load_plan(const std::string& name) {
  if (name == "sim") return default_plan();
  if (const auto text = plan::builtin_plan_text(name)) return plan::parse_plan(*text, name);
  std::ifstream file(name);
  if (!file) return fail(Errc::not_found, name + ": no such file, and no plan of that name");
  std::ostringstream text;
  text << file.rdbuf();
  return plan::parse_plan(text.str(), name);
}

std::string take_plan(Arguments& into, const std::string& value) {
  auto plan = load_plan(value);
  if (!plan) return plan.error().text;
  if (const Status able = plan::check_verbs(*plan, simulated_verbs(), "the simulator"); !able) return able.error().text;
  into.world.plan = std::move(*plan);
  return "";
}

std::string take_mutation(Arguments& into, const std::string& value) {
  const auto bug = mutation::find_bug(value);
  if (!bug) return fmt::format("--mutate: {} is no known bug; --list bugs has them all", value);
  mutation::Switches probe;
  probe.turn_on(*bug);
  if (!probe.is_on(*bug)) return "--mutate: this build leaves the bug switches out";
  into.mutations.push_back(*bug);
  return "";
}

std::string take_duration(const std::string& flag, const std::string& value, Duration& out) {
  const auto time = plan::parse_duration(value);
  if (!time || *time <= Duration::zero()) return complain(flag, value) + ": a duration is 60s, 2m or 500ms";
  out = *time;
  return "";
}

std::string take_set(Arguments& into, const std::string& value) {
  const auto equals = value.find('=');
  if (equals == std::string::npos) return complain("--set", value) + ": it is key=value";
  into.world.set.insert_or_assign(value.substr(0, equals), value.substr(equals + 1));
  ConfigMap probe = cluster_config(1, into.world.nodes.value_or(3));
  for (const auto& [key, given] : into.world.set) probe.insert_or_assign(key, given);
  const auto config = make_broker_config(std::move(probe));
  return config ? "" : "--set: " + config.error().text;
}

using Take = std::function<std::string(Arguments&, const std::string& value)>;

Take text_into(std::string Arguments::* member, std::optional<Mode> mode = {}) {
  return [member, mode](Arguments& into, const std::string& value) {
    into.*member = value;
    if (mode) into.mode = *mode;
    return std::string();
  };
}

std::string take_first(Arguments& into, const std::string& flag, const std::string& value) {
  into.first_given = true;
  return parse_number(value, into.first) ? "" : complain(flag, value);
}

const std::map<std::string, Take>& valued_options() {
  static const std::map<std::string, Take> table{
      {"--seed", [](Arguments& into, const std::string& value) { return take_first(into, "--seed", value); }},
      {"--first", [](Arguments& into, const std::string& value) { return take_first(into, "--first", value); }},
      {"--seeds",
       [](Arguments& into, const std::string& value) {
         into.count_given = true;
         return parse_number(value, into.count) && into.count > 0 ? "" : complain("--seeds", value);
       }},
      {"--variant",
       [](Arguments& into, const std::string& value) {
         return parse_number(value, into.variant) && into.variant > 0 ? "" : complain("--variant", value);
       }},
      {"--nodes",
       [](Arguments& into, const std::string& value) {
         int nodes = 0;
         if (!parse_number(value, nodes) || nodes < 1 || nodes > 7) return std::string("--nodes is 1 to 7");
         into.world.nodes = nodes;
         return std::string();
       }},
      {"--time", [](Arguments& into,
                    const std::string& value) { return take_duration("--time", value, into.world.time.emplace()); }},
      {"--budget",
       [](Arguments& into, const std::string& value) { return take_duration("--budget", value, into.budget); }},
      {"--focus",
       [](Arguments& into, const std::string& value) {
         into.world.focus = value;
         return value.size() == 1 && value.find_first_of("ABEF") == 0 ? ""
                                                                      : complain("--focus", value) + ": A, B, E or F";
       }},
      {"--plan", take_plan},
      {"--mutate", take_mutation},
      {"--set", take_set},
      {"--scenario", text_into(&Arguments::scenario, Mode::scenario)},
      {"--shrink", text_into(&Arguments::shrink, Mode::shrink)},
      {"--search", text_into(&Arguments::search, Mode::search)},
      {"--list", text_into(&Arguments::list, Mode::list)},
      {"--out", text_into(&Arguments::out)},
      {"--marks", text_into(&Arguments::marks)},
  };
  return table;
}

const std::map<std::string, std::function<void(Arguments&)>>& flags() {
  static const std::map<std::string, std::function<void(Arguments&)>> table{
      {"--json", [](Arguments& into) { into.json = true; }},
      {"--twice", [](Arguments& into) { into.twice = true; }},
      {"--trace", [](Arguments& into) { into.trace = true; }},
      {"--keep", [](Arguments& into) { into.keep = true; }},
      {"--plain", [](Arguments& into) { into.plain = true; }},
      {"--swarm", [](Arguments& into) { into.plain = false; }},
      {"--small", [](Arguments& into) { into.world.small = true; }},
      {"--bench", [](Arguments& into) { into.mode = Mode::bench; }},
      {"--show-world", [](Arguments& into) { into.mode = Mode::show_world; }},
  };
  return table;
}

// What shapes a world, and so belongs into the command that shows it again.
bool shapes_a_world(const std::string& flag) {
  static const std::set<std::string> kShaping{"--plan",   "--time",  "--nodes", "--set",
                                              "--mutate", "--plain", "--small", "--focus"};
  return kShaping.contains(flag);
}

std::string check(const Arguments& given) {
  if (given.mutate_scenario && given.scenario.empty()) return "--mutate needs a name unless --scenario is given";
  if (given.mode == Mode::shrink && given.out.empty()) return "--shrink needs --out FILE";
  if (given.mode == Mode::search && !mutation::find_bug(given.search))
    return fmt::format("--search: {} is no known bug; --list bugs has them all", given.search);
  if (given.variant > 0 && given.mutations.size() != 1) return "--variant needs one --mutate NAME";
  if (given.keep && given.out.empty()) return "--keep needs --out DIR";
  return "";
}

}  // namespace

void print_usage(std::FILE* to) {
  fmt::print(
      to,
      "usage: ordeal-sim --seed N [options]               one world, drawn from the seed\n"
      "       ordeal-sim --seeds K [--first N] [options]  K worlds from seed N on (default 1)\n"
      "       ordeal-sim --scenario NAME|ID|FILE|all [--mutate] [--seed N]  a scripted known bug, or a stored world\n"
      "       ordeal-sim --show-world --seed N [options]  the drawn world as a scenario (YAML), not run\n"
      "       ordeal-sim --shrink FILE --out FILE [--budget 120s] [--mutate NAME]  a smaller scenario that still "
      "fails\n"
      "       ordeal-sim --search BUG [--budget 120s] [--first N]  worlds until the bug is caught\n"
      "       ordeal-sim --bench [--seeds N]              how fast worlds of one shape run\n"
      "       ordeal-sim --list bugs|scenarios|plans\n"
      "  --time D        simulated length of the driven phase, as 60s or 2m (default: drawn)\n"
      "  --plan P        a fault plan: a file, or one of: sim {} (default: drawn)\n"
      "  --nodes N       brokers (default: drawn)\n"
      "  --set key=value a broker setting under Kafka's name; may be repeated\n"
      "  --mutate NAME   switches a known bug on in every broker; may be repeated\n"
      "  --plain         three nodes and default settings instead of a drawn world\n"
      "  --small         short worlds with strong faults\n"
      "  --variant V     with --mutate: the world of the seed, to which more happens once the bug's branch ran\n"
      "  --focus GROUP   odds of faults and settings that suit a group of known bugs: A, B, E or F\n"
      "  --twice         runs every world twice and compares (default: one in twenty)\n"
      "  --trace         prints a line an event\n"
      "  --json          prints one JSON line a world\n"
      "  --out DIR       stores each world that did not pass as DIR/seed-N; --keep: every world\n"
      "  --marks FILE    writes which rare branches were reached, and how often\n"
      "example: ordeal-sim --seeds 20 --time 30s\n",
      fmt::join(plan::builtin_plan_names(), " "));
}

std::string parse_arguments(int argc, char** argv, Arguments& into) {
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const bool last = i + 1 == argc || std::string_view(argv[i + 1]).starts_with("--");
    if (shapes_a_world(flag)) into.words.push_back(flag);
    if (const auto found = flags().find(flag); found != flags().end()) {
      found->second(into);
      continue;
    }
    if (flag == "--mutate" && last) {
      into.mutate_scenario = true;
      continue;
    }
    const auto option = valued_options().find(flag);
    if (option == valued_options().end()) return "unknown option " + flag;
    if (last) return flag + " needs a value";
    const std::string value = argv[++i];
    if (shapes_a_world(flag)) into.words.push_back(value);
    if (std::string wrong = option->second(into, value); !wrong.empty()) return wrong;
  }
  return check(into);
}

}  // namespace ordeal::sim
