// What ordeal-sim says of a world: one JSON object for programs (docs/formats/sim.md), a few lines for people.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "faults/sim/driver/play.h"

namespace ordeal::sim {

// `words`: what replays this world, after the program's name.
nlohmann::ordered_json world_json(const Played& played, const std::vector<std::string>& words);
void print_world(const Played& played);

// "   12.345678  n2  partition.leader      topic=t partition=0 leader_epoch=5"
std::string trace_line(const TraceEvent& event);
// "   12.345678  n1 -> n2 Fetch reply, 120 bytes, sent at 12.345012"
std::string message_line(const MessageSeen& seen);
std::string fault_line(const FaultEvent& event);

std::string shell_words(const std::vector<std::string>& words);

}  // namespace ordeal::sim
