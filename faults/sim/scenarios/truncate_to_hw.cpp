// A1 (KIP-101 scenario 1, KAFKA-1211): the followers hold a record but have not heard that it is committed. The leader
// dies; the follower that does not win cuts to its own high watermark; the winner dies before it could fetch again.
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
  trial.drive(50ms);  // the acknowledgements reach the clients
  cluster.kill(old);
  const auto elected = [&] {
    const NodeId leads = cluster.leader(kAt);
    return leads != old && leads != kNoNode;
  };
  ORDEAL_TRY(reached(cluster.wait_until(elected, 20s), "a second leader"));
  const NodeId second = cluster.leader(kAt);
  const NodeId third = others[0] == second ? others[1] : others[0];
  const auto follows = [&] {
    const auto own = cluster.status(third, kAt);
    return own && own->leader == second;
  };
  ORDEAL_TRY(reached(cluster.wait_until(follows, 10s), "the third node follows the second"));
  cluster.start(old);  // a vote for the quorum; it cannot fetch
  ORDEAL_TRY(reached(cluster.wait_until([&] { return cluster.serving(old); }, 20s), "the first node is back"));
  cluster.kill(second);
  ORDEAL_TRY(reached(cluster.wait_until([&] { return cluster.leader(kAt) == third; }, 20s), "a third leader"));
  cluster.heal_all();
  trial.drive(1s);
  return {};
}

}  // namespace

Scenario truncate_to_hw() {
  return {"A1",
          mutation::Bug::repl_truncate_to_hw,
          "the leader dies, then its successor, before the third replica fetched again",
          1,
          script_options(3),
          play};
}

}  // namespace ordeal::sim
