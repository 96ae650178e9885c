// A16 (KIP-207): a leader tells clients an end offset and dies; its successor, which has the records but has not heard
// that they are committed, is asked for the end.
#include "faults/sim/scenarios/scenarios.h"

namespace ordeal::sim {
namespace {

Status play(Trial& trial) {
  SimCluster& cluster = trial.cluster();
  trial.drive(2s);
  const NodeId old = cluster.leader(kAt);
  const std::vector<NodeId> others = cluster.followers(kAt);
  const auto behind = [&] {
    const auto leads = cluster.status(old, kAt);
    return leads && std::ranges::all_of(others, [&](NodeId id) {
             const auto own = cluster.status(id, kAt);
             return own && own->high_watermark < leads->high_watermark && own->flushed_end >= leads->high_watermark;
           });
  };
  ORDEAL_TRY(reached(trial.world().run_until(behind, 10s), "followers that lag in what they know to be committed"));
  for (const NodeId id : others) cluster.cut(node_host(old), node_host(id), kReplicationPort);
  cluster.cut(node_host(others[0]), node_host(others[1]), kReplicationPort);
  trial.drive(300ms);  // the watcher hears the end from the old leader
  cluster.kill(old);
  const auto elected = [&] {
    const NodeId leads = cluster.leader(kAt);
    return leads != old && leads != kNoNode;
  };
  ORDEAL_TRY(reached(cluster.wait_until(elected, 20s), "a new leader"));
  trial.drive(3s);
  cluster.heal_all();
  trial.drive(1s);
  return {};
}

}  // namespace

Scenario list_offsets_before_leso() {
  TrialOptions options = script_options(3);
  options.workload->list_end_interval_ms = 50;
  return {"A16",
          mutation::Bug::repl_list_offsets_before_leso,
          "the leader dies after it told an end offset; its successor is asked before its own followers fetched",
          1,
          options,
          play};
}

}  // namespace ordeal::sim
