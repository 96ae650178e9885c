// A5 (KAFKA-6880, KIP-320): a replica loses the controller but goes on fetching in an epoch that is over. It keeps an
// uncommitted tail of that epoch, and fetches behind it what a later epoch of the same leader wrote.
//
// A value larger than a batch makes every batch hold one record, so that the stale tail ends where a batch begins; a
// short delivery timeout keeps the producers from writing the same values there again.
#include "faults/sim/scenarios/scenarios.h"

namespace ordeal::sim {
namespace {

Status play(Trial& trial) {
  SimCluster& cluster = trial.cluster();
  trial.drive(2s);
  const NodeId first = cluster.leader(kAt);
  const NodeId zombie = cluster.replicas(kAt)[1];  // next in line, once it is back
  const NodeId other = cluster.replicas(kAt)[2];
  ORDEAL_TRY(reached(first == cluster.replicas(kAt)[0], "the preferred replica leads"));
  cluster.cut(node_host(first), node_host(other), kReplicationPort);
  cluster.isolate(zombie, kControllerPort);
  const auto fenced = [&] { return !cluster.isr(kAt).contains(zombie); };
  ORDEAL_TRY(reached(cluster.wait_until(fenced, 10s), "the silent replica leaves the ISR"));
  cluster.isolate(first, kControllerPort);
  ORDEAL_TRY(reached(cluster.wait_until([&] { return cluster.leader(kAt) == other; }, 10s), "the other one leads"));
  cluster.rejoin(first, kControllerPort);
  cluster.heal(node_host(first), node_host(other), kReplicationPort);
  ORDEAL_TRY(reached(cluster.wait_until([&] { return cluster.isr(kAt) == std::set<NodeId>{first, other}; }, 20s),
                     "the first leader follows and rejoins"));
  const auto past_tail = [&] {
    const auto tail = cluster.status(zombie, kAt);
    const auto leads = cluster.status(other, kAt);
    const auto next = cluster.status(first, kAt);
    return tail && leads && next && next->flushed_end > tail->log_end + 10 && next->flushed_end >= leads->log_end;
  };
  ORDEAL_TRY(reached(cluster.wait_until(past_tail, 20s), "the new epoch is longer than the stale tail"));
  cluster.kill(other);
  ORDEAL_TRY(reached(cluster.wait_until([&] { return cluster.leader(kAt) == first; }, 20s), "the first leads again"));
  cluster.start(other);
  trial.drive(2s);
  cluster.rejoin(zombie, kControllerPort);
  ORDEAL_TRY(reached(cluster.wait_whole(30s), "the cluster is whole: " + cluster.why_not_whole()));
  return make_leader(cluster, zombie);
}

}  // namespace

Scenario ignore_fetch_leader_epoch() {
  TrialOptions options = script_options(5);
  options.workload->value_size = 17000;
  options.workload->rate = 30;
  options.workload->idempotence = false;
  options.workload->max_in_flight = 100;
  options.workload->delivery_timeout_ms = 1000;
  return {"A5",
          mutation::Bug::repl_ignore_fetch_leader_epoch,
          "a replica cut from the controller fetches in an old epoch from a leader that lost and regained the lead",
          1,
          options,
          play};
}

}  // namespace ordeal::sim
