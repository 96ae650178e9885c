// The parts of a drawn world, one function an aspect. Each gets a random stream of its own.
//
// `focus` is a group of known bugs (A, B, E, F) that is looked for, or empty: it shifts the odds, it never changes what
// a world may be.
#pragma once

#include <span>
#include <string_view>

#include "broker/base/random.h"
#include "faults/scenario/scenario.h"
#include "workloads/log/config.h"

namespace ordeal::sim {

// One of the values, all alike.
template <class T>
T one_of(Random& random, std::initializer_list<T> values) {
  return values.begin()[random.below(values.size())];
}

// The plan language's own choices, grouped so that a world without, say, any power loss is a common world.
struct FaultClass {
  std::string_view name;
  std::uint64_t one_in;      // how often a world has it
  std::string_view suits;    // the groups of known bugs that it suits: what a search for one of them has more often
  std::string_view choices;  // a YAML list
};

inline constexpr std::string_view kAdmissionLost = "lost admission and disk";  // damages a node
inline constexpr std::string_view kVotersChange = "voter changes";             // never together with damage
std::span<const FaultClass> manoeuvres();

int draw_nodes(Random random, bool small, std::string_view focus);
void draw_voters(Random random, int nodes, std::string_view focus, ConfigMap& set);
std::vector<workload::TopicSpec> draw_topics(Random random, int nodes, bool small);
void draw_guarantees(Random random, ConfigMap& set, workload::LogConfig& workload,
                     std::string_view focus);  // what is promised: durability, acks
void draw_timeouts(Random random, ConfigMap& set, std::string_view focus);
void draw_limits(Random random, ConfigMap& set);  // tiny segments, indexes, fetches, snapshots
void draw_clients(Random random, workload::LogConfig& workload, bool small, std::string_view focus);
scenario::NetworkSpec draw_network(Random random);
plan::Plan draw_faults(Random random, int nodes, bool small,
                       std::string_view focus);  // a plan with a random section, not drawn yet

}  // namespace ordeal::sim
