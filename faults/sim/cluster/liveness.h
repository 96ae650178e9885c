// After the faults: what a healed cluster owes, each under its own name, within bounds of simulated time.
//
//   NotServing       a node that was started does not serve
//   NoLeader         a partition with a replica that may lead has no leader
//   NotWhole         an ISR does not fill up again although nothing new is written
//   AlterPartitionStuck [40]  a leader's proposed ISR is never answered
//   NoProgress       writes to a whole cluster are not answered
//   ClientsStuck     the clients' tasks do not end
//   AuditStuck       a reader does not come to the end of the log
//
// Each holds only as far as the world's settings let it: a partition whose last replica may have lost data uncleanly
// waits for somebody who decides, and a follower that may fetch a few bytes at a time fills up once the writers rest.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "faults/sim/cluster/sim_cluster.h"

namespace ordeal::sim {

struct LivenessBounds {
  Duration with_writers = 15s;  // for a whole cluster while clients write; no violation when it does not come
  Duration leaders = 45s;       // from the heal
  Duration whole = 60s;         // from the moment the writers rest
  Duration progress = 20s;
  Duration core = 30s;
};

// What is missing, with the name of what is violated by it; none: nothing.
std::optional<Violation> missing_leader(SimCluster& cluster);
std::optional<Violation> missing_member(SimCluster& cluster);

// A replica that is far behind on a slow link is on its way, not stuck: while one of them grows the bound may begin
// anew, up to ten times. Meaningful while nothing new is written.
enum class Patience { once, while_replicas_grow };

// Runs the world until `missing` finds nothing, at most for `bound`; then what it still finds.
std::optional<Violation> await_none(SimCluster& cluster, Duration bound,
                                    const std::function<std::optional<Violation>()>& missing,
                                    Patience patience = Patience::once);

// Of the nodes that serve: every partition that one of them may lead has a leader, and there is a controller.
std::optional<Violation> missing_in_core(SimCluster& cluster);

}  // namespace ordeal::sim
