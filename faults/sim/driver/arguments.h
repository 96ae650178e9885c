// The command line of ordeal-sim as data.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "broker/mutation/mutation.h"
#include "faults/sim/swarm/swarm.h"

namespace ordeal::sim {

enum class Mode { seeds, scenario, show_world, list, shrink, search, bench };

struct Arguments {
  Mode mode = Mode::seeds;
  std::uint64_t first = 1;
  std::uint64_t count = 1;
  std::uint64_t variant = 0;  // of the seed's world, after its bug's branch ran; 0: the world itself
  bool first_given = false;   // --seed or --first
  bool count_given = false;
  Overrides world;
  bool plain = false;  // the world of one fixed shape instead of a drawn one
  std::vector<mutation::Bug> mutations;
  bool mutate_scenario = false;  // a bare --mutate: the scenario's own bug
  std::string scenario;          // a name, a file, or "all"
  std::string list;              // bugs, scenarios, plans
  std::string shrink;            // the scenario file, or the folder of a stored world
  std::string search;            // the bug
  std::string out;               // a folder; of --shrink the file
  std::string marks;             // the file
  Duration budget = 120s;        // real time; of a search processor time
  bool json = false;
  bool twice = false;
  bool trace = false;
  bool keep = false;
  std::vector<std::string> words;  // what a person types to see one seed again, but for the seed
};

void print_usage(std::FILE* to);

// The text of what is wrong, or empty.
std::string parse_arguments(int argc, char** argv, Arguments& into);

}  // namespace ordeal::sim
