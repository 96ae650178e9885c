#include "faults/sim/scenarios/scenarios.h"

#include <fmt/format.h>

#include <algorithm>

namespace ordeal::sim {

const std::vector<Scenario>& all_scenarios() {
  static const std::vector<Scenario> all{truncate_to_hw(),           ignore_fetch_leader_epoch(), expand_at_hw_only(),
                                         list_offsets_before_leso(), dup_is_out_of_order(),       skip_crc()};
  return all;
}

const Scenario* find_scenario(const std::string& id) {
  const auto& all = all_scenarios();
  const auto found = std::ranges::find(all, id, &Scenario::id);
  return found == all.end() ? nullptr : &*found;
}

Status reached(bool is, std::string what) {
  if (is) return {};
  return fail(Errc::timed_out, "never came to pass: " + what);
}

TrialOptions script_options(int nodes, ConfigMap config) {
  TrialOptions options;
  options.cluster.nodes = nodes;
  options.cluster.config = {{"replica.lag.time.max.ms", "30000"}};
  for (auto& [key, value] : config) options.cluster.config[key] = value;
  workload::LogConfig workload = modest_workload(nodes);
  workload.topics.front().partitions = 1;
  workload.rate = 50;
  workload.linger_ms = 0;
  options.workload = workload;
  return options;
}

Status make_leader(SimCluster& cluster, NodeId node) {
  constexpr int kAttempts = 8;
  for (int i = 0; i < kAttempts && cluster.leader(kAt) != node; ++i) {
    const NodeId old = cluster.kill_leader(kAt);
    ORDEAL_TRY(
        reached(cluster.wait_until([&] { return cluster.leader(kAt) != old && cluster.leader(kAt) != kNoNode; }, 20s),
                "another leader"));
    cluster.start(old);
    ORDEAL_TRY(reached(cluster.wait_whole(30s), "a whole cluster after a kill: " + cluster.why_not_whole()));
  }
  return reached(cluster.leader(kAt) == node, fmt::format("node {} leads", node));
}

namespace {

std::string first_named(const TrialResult& trial, std::string_view wanted) {
  const checker::Property* property = trial.verdict.find(wanted);
  if (property != nullptr && property->status == checker::Standing::violated) return std::string(wanted);
  for (const checker::Property& other : trial.verdict.properties)
    if (other.status == checker::Standing::violated) return other.name;
  return trial.violations.empty() ? std::string() : trial.violations.front().invariant;
}

const mutation::BugInfo& info_of(mutation::Bug bug) {
  return *std::ranges::find(mutation::all_bugs(), bug, &mutation::BugInfo::bug);
}

}  // namespace

ScenarioResult run_scenario(const Scenario& scenario, bool mutated, std::uint64_t seed) {
  const mutation::BugInfo& info = info_of(scenario.bug);
  TrialOptions options = scenario.options;
  options.cluster.seed = seed;
  if (mutated) options.cluster.mutations = {scenario.bug};
  ScenarioResult result;
  Trial trial(std::move(options));
  Status played = trial.prepare();
  if (played) {
    trial.start_clients();
    played = scenario.script(trial);
  }
  result.ran = trial.cluster().ran(scenario.bug);
  if (!played) {
    result.trial = trial.give_up(played.error().text);
    result.said = played.error().text;
    return result;
  }
  result.trial = trial.finish();
  result.ran = mutated ? result.trial.mutations_ran[std::string(info.name)] : 0;
  result.named = first_named(result.trial, info.property);
  result.caught = result.ran > 0 && result.named == info.property;
  if (!mutated)
    result.said = result.trial.sentence();
  else if (result.caught)
    result.said = fmt::format("caught: {} ran {} times, {} is violated", info.name, result.ran, result.named);
  else if (result.ran == 0)
    result.said = fmt::format("not exercised: {} never decided anything", info.name);
  else
    result.said = fmt::format("missed: {} ran {} times, reported: {}", info.name, result.ran,
                              result.named.empty() ? "nothing" : result.named);
  return result;
}

}  // namespace ordeal::sim
