// What ordeal-sim can be asked to do, one function a mode; each returns the exit code.
#pragma once

#include "faults/sim/driver/arguments.h"

namespace ordeal::sim {

int run_seeds(const Arguments& arguments);      // worlds drawn by seed
int run_scenarios(const Arguments& arguments);  // scripted bugs and stored worlds
int run_search(const Arguments& arguments);     // seeds until a switched-on bug is caught
int run_shrink(const Arguments& arguments);     // a smaller scenario that still fails
int run_bench(const Arguments& arguments);      // figures of speed
int show_world(const Arguments& arguments);
int show_list(const Arguments& arguments);

Status write_marks(const std::string& path);  // every coverage mark of this process, zeros included

// The world of a seed, as the arguments want it.
scenario::Scenario world_of(const Arguments& arguments, std::uint64_t seed);
// The same, or with Arguments::variant that variant of it, for which the world itself is played first.
Result<scenario::Scenario> variant_of(const Arguments& arguments, std::uint64_t seed);
std::vector<std::string> replay_words(const Arguments& arguments, std::uint64_t seed);

}  // namespace ordeal::sim
