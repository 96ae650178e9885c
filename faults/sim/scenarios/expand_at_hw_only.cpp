// A8 (KAFKA-7128): the last in-sync replica restarts and leads without knowing how far records are committed. A replica
// that lacks some of them asks to join; the leader dies before it has sent them.
#include "faults/sim/scenarios/scenarios.h"

namespace ordeal::sim {
namespace {

Status play(Trial& trial) {
  SimCluster& cluster = trial.cluster();
  trial.drive(2s);
  const NodeId old = cluster.leader(kAt);
  const NodeId full = cluster.followers(kAt)[0];
  const NodeId lacking = cluster.followers(kAt)[1];
  cluster.isolate(lacking, kReplicationPort);
  ORDEAL_TRY(reached(cluster.wait_until([&] { return cluster.isr(kAt) == std::set<NodeId>{old, full}; }, 20s),
                     "the cut replica leaves the ISR"));
  trial.drive(1s);
  cluster.kill(old);
  ORDEAL_TRY(reached(cluster.wait_until([&] { return cluster.leader(kAt) == full; }, 20s), "the full replica leads"));
  cluster.kill(full);
  cluster.start(full);
  const auto leads_again = [&] {
    const auto own = cluster.status(full, kAt);
    return own && own->leading;
  };
  ORDEAL_TRY(reached(cluster.wait_until(leads_again, 20s), "it leads again after a restart"));
  cluster.isolate(old, kReplicationPort);
  cluster.start(old);  // a vote for the quorum; it cannot fetch
  ORDEAL_TRY(reached(cluster.wait_until([&] { return cluster.serving(old); }, 20s), "the first leader is back"));
  cluster.heal(node_host(full), node_host(lacking), kReplicationPort);
  const auto proposed = [&] {
    const auto own = cluster.status(full, kAt);
    return own && std::ranges::find(own->maximal_isr, lacking) != own->maximal_isr.end();
  };
  ORDEAL_TRY(reached(trial.world().run_until(proposed, 20s), "the lacking replica is to join"));
  cluster.cut_one_way(node_host(full), node_host(lacking), kReplicationPort);
  ORDEAL_TRY(reached(cluster.wait_until([&] { return cluster.isr(kAt).contains(lacking); }, 10s), "it has joined"));
  cluster.kill(full);
  ORDEAL_TRY(reached(cluster.wait_until([&] { return cluster.leader(kAt) == lacking; }, 20s), "it leads"));
  cluster.heal_all();
  trial.drive(1s);
  return {};
}

}  // namespace

Scenario expand_at_hw_only() {
  return {"A8", mutation::Bug::isr_expand_at_hw_only,
          "the last in-sync replica restarts, admits a replica that lacks records, and dies", 1,
          // High watermarks are not saved meanwhile, so a restart forgets them.
          script_options(
              3, {{"replica.lag.time.max.ms", "1000"}, {"replica.high.watermark.checkpoint.interval.ms", "3600000"}}),
          play};
}

}  // namespace ordeal::sim
