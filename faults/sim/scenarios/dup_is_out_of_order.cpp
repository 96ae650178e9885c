// B1 (KAFKA-5494): batches are appended but their replies are lost; the client sends them again.
#include "faults/sim/scenarios/scenarios.h"

namespace ordeal::sim {
namespace {

Status play(Trial& trial) {
  SimCluster& cluster = trial.cluster();
  trial.drive(2s);
  const std::string leader = node_host(cluster.leader(kAt));
  cluster.cut_one_way(leader, client_host(1), kClientPort);
  trial.drive(2500ms);
  trial.world().network().reset_connections(leader, client_host(1), kClientPort);
  cluster.heal_all();
  trial.drive(3s);
  return {};
}

}  // namespace

Scenario dup_is_out_of_order() {
  TrialOptions options = script_options(3);
  options.workload->request_timeout_ms = 1000;
  return {"B1",
          mutation::Bug::idem_dup_is_out_of_order,
          "the leader's replies to the clients are dropped for a while",
          1,
          options,
          play};
}

}  // namespace ordeal::sim
