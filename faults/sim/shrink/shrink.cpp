#include "faults/sim/shrink/shrink.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "faults/plan/targets.h"
#include "faults/sim/cluster/sim_setup.h"
#include "faults/sim/shrink/ddmin.h"

namespace ordeal::sim {
namespace {

using nlohmann::json;
using scenario::Scenario;

std::int64_t count_steps(const scenario::Script& script) {
  std::int64_t count = 0;
  for (const scenario::Step& step : script) count += 1 + count_steps(step.steps) + count_steps(step.otherwise);
  return count;
}

json topics_of(const Scenario& scenario) {
  if (scenario.workload.contains("topics")) return scenario.workload.at("topics");
  return workload_json(modest_workload(scenario.cluster.nodes)).at("topics");
}

json value_of(const Scenario& scenario, const char* key) {
  if (scenario.workload.contains(key)) return scenario.workload.at(key);
  return json(workload_json(modest_workload(scenario.cluster.nodes))).at(key);
}

// A step is told apart by its id; whatever names another step needs it.
bool dangles(const std::vector<plan::Step>& steps) {
  std::set<std::string> ids;
  for (const plan::Step& step : steps) ids.insert(step.id);
  return std::ranges::any_of(steps, [&](const plan::Step& step) {
    return std::ranges::any_of(plan::steps_needed(step), [&](const std::string& id) { return !ids.contains(id); });
  });
}

// Without the step that it waited for, a step waits for what that one waited for, and about as long as before.
void hang_on(const std::vector<plan::Step>& all, std::vector<plan::Step>& kept) {
  const auto find = [](const std::vector<plan::Step>& steps, const std::string& id) {
    return std::ranges::find(steps, id, &plan::Step::id);
  };
  for (plan::Step& step : kept) {
    while (step.when.kind == plan::Trigger::Kind::after && find(kept, step.when.step) == kept.end()) {
      const auto gone = find(all, step.when.step);
      if (gone == all.end()) break;
      const bool healed = step.when.phase == plan::Phase::heal;
      const Duration later = step.when.delay + (healed ? gone->hold.value_or(Duration::zero()) : Duration::zero());
      step.when = gone->when;
      (step.when.kind == plan::Trigger::Kind::time ? step.when.time : step.when.delay) += later;
    }
  }
}

class Shrinker {
 public:
  Shrinker(Scenario failing, const ShrinkOptions& options) : options_(options) {
    result_.scenario = std::move(failing);
  }

  Shrunk run() {
    for (bool smaller = true; smaller && !options_.out_of_time();) {
      const std::int64_t before = result_.kept;
      faults();
      time();
      script();
      clients();
      topics();
      nodes();
      holds();
      settings();
      world();
      smaller = result_.kept > before;
    }
    forget_defaults();
    return std::move(result_);
  }

 private:
  const Scenario& now() const { return result_.scenario; }

  bool fails(const Scenario& candidate) {
    ++result_.tries;
    return options_.fails(candidate);
  }

  bool keep(Scenario candidate, const std::string& what) {
    if (options_.out_of_time() || !fails(candidate)) return false;
    result_.scenario = std::move(candidate);
    ++result_.kept;
    if (options_.on_success) options_.on_success(what);
    return true;
  }

  bool try_workload(const char* key, json value) {
    if (value_of(now(), key) == value) return false;
    Scenario candidate = now();
    const std::string what = fmt::format("{} {} instead of {}", key, value.dump(), value_of(now(), key).dump());
    candidate.workload[key] = std::move(value);
    return keep(std::move(candidate), what);
  }

  // Halves a number as long as that still fails.
  void halve(const char* key, std::int64_t least) {
    for (std::int64_t value = value_of(now(), key).get<std::int64_t>(); value > least;) {
      value = std::max(least, value / 2);
      if (!try_workload(key, value)) return;
    }
  }

  void faults() {
    if (!now().plan || now().plan->steps.empty()) return;
    const std::size_t before = now().plan->steps.size();
    Scenario candidate = now();
    const std::vector<plan::Step> all = now().plan->steps;
    const std::function<bool(const std::vector<plan::Step>&)> good = [&](const std::vector<plan::Step>& steps) {
      candidate.plan->steps = steps;
      hang_on(all, candidate.plan->steps);
      return !dangles(candidate.plan->steps) && fails(candidate);
    };
    std::vector<plan::Step> least = ddmin<plan::Step>(all, good, options_.out_of_time);
    if (least.size() == before) return;
    hang_on(all, least);
    result_.scenario.plan->steps = least;
    ++result_.kept;
    if (options_.on_success) options_.on_success(fmt::format("{} faults instead of {}", least.size(), before));
  }

  // Not longer than needed: first to the end of the last fault, then by halves.
  void time() {
    if (!now().script.empty()) return;
    for (Duration shorter = now().time / 2; shorter >= 1s; shorter /= 2)
      if (!last(std::chrono::floor<std::chrono::milliseconds>(shorter))) break;
    for (int i = 0; i < 4; ++i) {
      const Duration shorter = std::chrono::floor<std::chrono::milliseconds>(now().time * 3 / 4);
      if (shorter < 1s || !last(shorter)) return;
    }
  }

  bool last(Duration time) {
    Scenario candidate = now();
    candidate.time = time;
    if (candidate.plan) candidate.plan->time = time;
    return keep(std::move(candidate),
                fmt::format("{} instead of {}", plan::format_duration(time), plan::format_duration(now().time)));
  }

  void script() {
    if (now().script.empty()) return;
    const std::size_t before = now().script.size();
    Scenario candidate = now();
    const std::function<bool(const scenario::Script&)> good = [&](const scenario::Script& script) {
      if (script.empty()) return false;  // that would be a scenario of another kind
      candidate.script = script;
      return fails(candidate);
    };
    scenario::Script least = ddmin<scenario::Step>(now().script, good, options_.out_of_time);
    if (least.size() == before) return;
    result_.scenario.script = std::move(least);
    ++result_.kept;
    if (options_.on_success) options_.on_success(fmt::format("{} steps instead of {}", now().script.size(), before));
  }

  void clients() {
    try_workload("consumers", 0);
    halve("producers", 1);
    try_workload("list_end_interval_ms", 0);
    halve("rate", 5);
    try_workload("compression", "none");
    try_workload("keys", "none");
    try_workload("value_size", 40);
    try_workload("linger_ms", 0);
  }

  void topics() {
    for (std::size_t i = topics_of(now()).size(); i-- > 0;) {
      json all = topics_of(now());
      if (all.size() < 2) break;
      all.erase(i);
      try_workload("topics", all);
    }
    for (std::size_t i = 0; i < topics_of(now()).size(); ++i) {
      for (int partitions = 1; partitions < topics_of(now())[i].at("partitions").get<int>(); partitions *= 2) {
        json all = topics_of(now());
        all[i]["partitions"] = partitions;
        if (try_workload("topics", std::move(all))) break;
      }
      json all = topics_of(now());
      if (!all[i].contains("configs")) continue;
      const json configs = all[i].at("configs");
      for (const auto& [key, value] : configs.items()) {
        json less = topics_of(now());
        less[i]["configs"].erase(key);
        if (less[i]["configs"].empty()) less[i].erase("configs");
        try_workload("topics", std::move(less));
      }
    }
  }

  // Fewer nodes, as long as every topic still fits. A fault that names a node that is gone simply misses.
  void nodes() {
    std::int64_t most = 1;
    for (const json& topic : topics_of(now())) most = std::max(most, topic.at("replication").get<std::int64_t>());
    for (int nodes = static_cast<int>(most); nodes < now().cluster.nodes; ++nodes) {
      Scenario candidate = now();
      candidate.cluster.nodes = nodes;
      if (!names_nodes_above(candidate, nodes) &&
          keep(std::move(candidate), fmt::format("{} nodes instead of {}", nodes, now().cluster.nodes)))
        return;
    }
  }

  static bool names_nodes_above(const Scenario& scenario, int nodes) {
    if (!scenario.plan) return false;
    const auto above = [nodes](const std::string& host) {
      return host.size() > 1 && host.front() == 'n' && std::atoi(host.c_str() + 1) > nodes;
    };
    return std::ranges::any_of(scenario.plan->steps, [&](const plan::Step& step) {
      if (!step.resolved) return false;
      return std::ranges::any_of(step.resolved->targets, above) ||
             std::ranges::any_of(step.resolved->cuts,
                                 [&](const plan::Cut& cut) { return above(cut.from) || above(cut.to); });
    });
  }

  void holds() {
    if (!now().plan) return;
    for (std::size_t i = 0; i < now().plan->steps.size(); ++i) {
      const std::optional<Duration> hold = now().plan->steps[i].hold;
      if (!hold || *hold < 100ms) continue;
      Scenario candidate = now();
      candidate.plan->steps[i].hold = std::chrono::floor<std::chrono::milliseconds>(*hold / 2);
      keep(std::move(candidate), fmt::format("{} held half as long", now().plan->steps[i].id));
    }
  }

  // Defaults instead of what was drawn: all at once, else one by one.
  void settings() {
    const ConfigMap given = now().cluster.set;
    if (given.empty()) return;
    Scenario bare = now();
    bare.cluster.set.clear();
    if (keep(std::move(bare), "no setting but the defaults")) return;
    for (const auto& [key, value] : given) {
      Scenario candidate = now();
      candidate.cluster.set.erase(key);
      keep(std::move(candidate), "the default of " + key);
    }
  }

  void world() {
    if (!(now().cluster.network == scenario::NetworkSpec{})) {
      Scenario candidate = now();
      candidate.cluster.network = {};
      keep(std::move(candidate), "the default network");
    }
    if (now().cluster.buggify) {
      Scenario candidate = now();
      candidate.cluster.buggify = false;
      keep(std::move(candidate), "no rare behaviour asked for");
    }
    for (const char* key : {"max_in_flight", "outstanding_max", "request_timeout_ms", "delivery_timeout_ms",
                            "poll_interval_ms", "isolation"})
      try_workload(key, json(workload_json(modest_workload(now().cluster.nodes))).at(key));
  }

  // What says nothing need not stand in the file.
  void forget_defaults() {
    const json defaults = workload_json(modest_workload(now().cluster.nodes));
    for (const auto& [key, value] : defaults.items())
      if (now().workload.contains(key) && now().workload.at(key) == value) result_.scenario.workload.erase(key);
  }

  const ShrinkOptions& options_;
  Shrunk result_;
};

}  // namespace

Sizes sizes_of(const Scenario& scenario) {
  Sizes sizes;
  sizes.faults = scenario.plan ? static_cast<std::int64_t>(scenario.plan->steps.size()) : 0;
  sizes.nodes = scenario.cluster.nodes;
  for (const json& topic : topics_of(scenario)) sizes.partitions += topic.value("partitions", 1);
  sizes.clients =
      value_of(scenario, "producers").get<std::int64_t>() + value_of(scenario, "consumers").get<std::int64_t>();
  sizes.rate = value_of(scenario, "rate").get<std::int64_t>();
  sizes.time_s = scenario.script.empty() ? static_cast<double>(scenario.time / 1ms) / 1000 : 0;
  sizes.steps = count_steps(scenario.script);
  sizes.settings = static_cast<std::int64_t>(scenario.cluster.set.size());
  return sizes;
}

nlohmann::ordered_json to_json(const Sizes& sizes) {
  nlohmann::ordered_json out;
  if (sizes.steps > 0)
    out["steps"] = sizes.steps;
  else
    out["faults"] = sizes.faults;
  out["nodes"] = sizes.nodes;
  out["partitions"] = sizes.partitions;
  out["clients"] = sizes.clients;
  out["rate"] = sizes.rate;
  if (sizes.time_s > 0) out["time_s"] = sizes.time_s;
  out["settings"] = sizes.settings;
  return out;
}

plan::Plan freeze(const plan::Plan& played) {
  plan::Plan frozen = played;
  std::erase_if(frozen.steps, [](const plan::Step& step) { return !step.resolved.has_value(); });
  hang_on(played.steps, frozen.steps);
  return frozen;
}

Shrunk shrink(Scenario failing, const ShrinkOptions& options) { return Shrinker(std::move(failing), options).run(); }

}  // namespace ordeal::sim
