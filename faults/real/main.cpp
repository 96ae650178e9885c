// ordeal-nemesis: the process that parents every node and client and injects every fault of a real trial.
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>

#include <cstdio>
#include <fstream>
#include <iterator>

#include "faults/plan/draw.h"
#include "faults/plan/plan.h"
#include "faults/real/doctor.h"
#include "faults/real/nemesis.h"
#include "faults/real/netns.h"

namespace {

using namespace ordeal;

constexpr int kFailed = 3;
constexpr int kUsage = 64;
constexpr const char* kHelp =
    R"(ordeal-nemesis                      control loop: JSON lines on stdin and stdout (docs/formats/nemesis.md)
ordeal-nemesis --doctor [--json]    what this machine can do, and what each missing thing costs
ordeal-nemesis --verbs              the faults this world can inject
ordeal-nemesis --list-plans         the built-in plans
ordeal-nemesis --show-plan NAME     one of them
ordeal-nemesis --check-plan PLAN    is it a plan that this world can carry out? (a file or a built-in name)
ordeal-nemesis --draw PLAN --seed 7 --time 60s    the concrete steps, as JSON
)";

int usage(const std::string& message) {
  fmt::print(stderr, "ordeal-nemesis: {}\n{}", message, kHelp);
  return kUsage;
}

Result<plan::Plan> load(const std::string& name) {
  if (const auto builtin = plan::builtin_plan_text(name)) return plan::parse_plan(*builtin, name);
  std::ifstream file(name, std::ios::binary);
  if (!file) {
    std::string known;
    for (const std::string& plan : plan::builtin_plan_names()) known += (known.empty() ? "" : ", ") + plan;
    return fail(Errc::not_found, fmt::format("'{}' is neither a readable file nor a built-in plan ({})", name, known));
  }
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return plan::parse_plan(text, name);
}

int check_plan(const std::string& name) {
  const auto plan = load(name);
  const Status able =
      plan ? plan::check_verbs(*plan, nemesis::real_verbs(), "the real world") : Status(fail(plan.error()));
  if (!able) {
    fmt::print(stderr, "{}\n", able.error().text);
    return kUsage;
  }
  fmt::print("{}: {} steps{}, at least {} faults\n", plan->name, plan->steps.size(),
             plan->random ? " and a random section" : "", plan->min_faults);
  return 0;
}

int draw_plan(const std::string& name, const std::vector<std::string>& options) {
  const auto plan = load(name);
  if (!plan) {
    fmt::print(stderr, "{}\n", plan.error().text);
    return kUsage;
  }
  std::uint64_t seed = plan->seed.value_or(1);
  Duration time = plan->time.value_or(60s);
  for (std::size_t i = 0; i + 1 < options.size(); i += 2) {
    if (options[i] == "--seed") {
      seed = std::strtoull(options[i + 1].c_str(), nullptr, 10);
    } else if (const auto given = plan::parse_duration(options[i + 1]); options[i] == "--time" && given) {
      time = *given;
    } else {
      return usage("--draw takes --seed N and --time 60s");
    }
  }
  fmt::print("{}\n", plan::to_json(plan::draw(*plan, seed, time)).dump(2));
  return 0;
}

int doctor(bool as_json) {
  const nlohmann::json report = nemesis::examine_machine();
  if (as_json) {
    fmt::print("{}\n", report.dump());
  } else {
    for (const auto& entry : report["capabilities"]) {
      const bool ok = entry["ok"];
      fmt::print("{:4} {:30} {}{}\n", ok ? "ok" : "no", entry["name"].get<std::string>(),
                 entry["detail"].get<std::string>(), ok ? "" : "; costs: " + entry["costs"].get<std::string>());
    }
  }
  return report["able"] ? 0 : kFailed;
}

int control() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGINT, SIG_IGN);  // a ^C in the terminal is for whoever started us; it then closes our input
  const auto rootless = nemesis::become_root();
  // The reaper first: it must not keep the trial's networks alive while the kernel tears its processes down.
  const auto reaper = rootless ? nemesis::start_reaper() : Result<pid_t>(fail(rootless.error()));
  if (!reaper) {
    fmt::print("{}\n", nlohmann::json({{"event", "error"}, {"error", reaper.error().text}}).dump());
    fmt::print(stderr, "ordeal-nemesis: {}\n", reaper.error().text);
    return kFailed;
  }
  return nemesis::Nemesis(0, 1, *rootless).run();
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> options(argv + 1, argv + argc);
  if (options.empty()) return control();
  const std::string& first = options[0];
  if (first == "--help" || first == "-h") {
    fmt::print("{}", kHelp);
    return 0;
  }
  if (first == "--doctor") return doctor(options.size() > 1 && options[1] == "--json");
  if (first == "--verbs") {
    for (const plan::Verb verb : nemesis::real_verbs()) fmt::print("{}\n", plan::verb_name(verb));
    return 0;
  }
  if (first == "--list-plans") {
    for (const std::string& name : plan::builtin_plan_names()) {
      fmt::print("{:16} {}\n", name, load(name).value_or(plan::Plan{}).description);
    }
    return 0;
  }
  if (options.size() < 2) return usage("'" + first + "' is unknown or lacks its argument");
  if (first == "--show-plan") {
    const auto text = plan::builtin_plan_text(options[1]);
    if (!text) return usage("no built-in plan '" + options[1] + "'");
    fmt::print("{}", *text);
    return 0;
  }
  if (first == "--check-plan") return check_plan(options[1]);
  if (first == "--draw") return draw_plan(options[1], {options.begin() + 2, options.end()});
  return usage("unknown option '" + first + "'");
}
