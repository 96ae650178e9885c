// Aftermath: variants of a world in which a known bug's branch ran and nothing came of it.
//
// A variant is the same world up to that run of the branch (or, where what was under way matters, up to a drawn while
// before it), and then something more happens to it: a few further steps
// of its plan, which wait for the trace event mutation.ran with the run's number. So a search that reached a rare state
// once can try many ends from there. What is drawn knows which node took the branch and when, and the bug's group,
// whose odds it follows; nothing else of the bug.
//
// Invariants: a variant number always gives the same steps; every step is one that any plan may have (legal for a
// correct broker, no damage); nothing of the world but its plan and its length changes.
#pragma once

#include <cstdint>
#include <span>

#include "faults/scenario/scenario.h"
#include "faults/sim/cluster/sim_cluster.h"

namespace ordeal::sim {

// `runs`: where the branch ran in `world` while it was driven (times from the begin of its plan), at least one.
// Variants are numbered from 1.
scenario::Scenario aftermath(const scenario::Scenario& world, std::span<const BranchRun> runs, std::uint64_t variant);

// What happened in a variant, as a world of its own: the steps that waited for the branch stand at the times at which
// they began in `events` (the plan's zero is `zero`), and those that never began are left out. The same happens to it
// whether the bug is on or off, so it can be compared with itself.
scenario::Scenario untriggered(const scenario::Scenario& variant, std::span<const FaultEvent> events, Instant zero);

}  // namespace ordeal::sim
