// The mix of faults of a drawn world: classes, whole ones switched off by draw, then weights, rates and lengths.
#include <fmt/format.h>

#include <algorithm>

#include "broker/base/check.h"
#include "faults/sim/swarm/settings.h"

namespace ordeal::sim {
namespace {

constexpr std::string_view kDamage = "damage";  // at most to a minority, over the whole run

constexpr FaultClass kClasses[] = {
    {"kills", 3, "ABF", R"(
    - {do: proc.kill, on: leader, weight: 3}
    - {do: proc.kill, on: controller, weight: 1}
    - {do: proc.kill, on: follower, weight: 1}
    - {do: proc.kill, on: random, weight: 1}
)"},
    {"power", 3, "ABEF", R"(
    - {do: node.power_cut, on: leader, weight: 3}
    - {do: node.power_cut, on: random, weight: 2}
    - {do: node.power_cut, on: controller, weight: 1}
)"},
    {"blackout", 4, "EF", R"(
    - {do: node.power_cut, on: all, weight: 1, hold: {uniform: [0s, 2s]}}
)"},
    {"crash", 3, "BEF", R"(
    - {do: node.crash, on: leader, weight: 2}
    - {do: node.crash, on: random, weight: 2}
)"},
    {"pause", 3, "ABF", R"(
    - {do: proc.pause, on: leader, weight: 2}
    - {do: proc.pause, on: controller, weight: 1}
    - {do: proc.pause, on: random, weight: 1}
)"},
    {"restart", 4, "AE", R"(
    - {do: proc.restart, on: leader, weight: 1, hold: {uniform: [0s, 2s]}}
    - {do: proc.restart, on: random, weight: 1, hold: {uniform: [0s, 2s]}}
)"},
    {"partition", 3, "AF", R"(
    - {do: net.partition, on: one, weight: 2}
    - {do: net.partition, on: leader, weight: 1}
    - {do: net.partition, on: minority, weight: 1, params: {shape: halves}}
    - {do: net.partition, on: leader, weight: 3, params: {shape: brokers-not-clients}}
)"},
    {"links", 3, "AF", R"(
    - {do: net.partition, on: {from: leader, to: follower}, weight: 2, params: {shape: link}}
    - {do: net.partition, on: {from: leader, to: follower}, weight: 2, params: {shape: link, listeners: [replication]}}
    - {do: net.partition, on: {from: controller, to: one(all - controller)}, weight: 2, params: {shape: link, listeners: [control]}}
    - {do: net.partition, on: leader, weight: 2, params: {shape: isolate, listeners: [control]}}
    - {do: net.partition, on: leader, weight: 1, params: {shape: isolate, listeners: [replication]}}
)"},
    {"one way", 3, "A", R"(
    - {do: net.simplex, on: {from: one(all), to: controller}, weight: 1}
    - {do: net.simplex, on: {from: leader, to: follower}, weight: 2}
    - {do: net.simplex, on: {from: follower, to: leader}, weight: 2}
)"},
    {"slow links", 5, "A", R"(
    - {do: net.delay, on: {from: leader, to: follower}, weight: 2, params: {by: 20ms, jitter: 300ms}}
    - {do: net.delay, on: random, weight: 2, params: {by: 100ms, jitter: 100ms}}
    - {do: net.clog, on: {from: follower, to: leader}, weight: 2}
    - {do: net.clog, on: {from: leader, to: follower}, weight: 1}
    - {do: net.clog, on: random, weight: 1}
)"},
    {"broken connections", 5, "B", R"(
    - {do: net.reset, on: leader, weight: 2, params: {one_in: 200}}
    - {do: net.reset, on: {from: clients, to: all}, weight: 1}
    - {do: net.half_open, on: {from: leader, to: follower}, weight: 2, hold: 0s}
    - {do: net.half_open, on: random, weight: 1, hold: 0s}
    - {do: net.refuse, on: leader, weight: 1, params: {listeners: [client]}}
    - {do: net.refuse, on: controller, weight: 1, params: {listeners: [control]}}
    - {do: net.partition, on: {from: clients, to: leader}, weight: 2, params: {shape: client-broker}, hold: {uniform: [200ms, 2s]}}
)"},
    {"replication messages", 4, "AB", R"(
    - {do: net.message, on: {to: leader}, weight: 2, params: {api: Fetch, action: hold}}
    - {do: net.message, on: {from: leader}, weight: 4, params: {api: Fetch, reply: true, action: hold}}
    - {do: net.message, on: {from: leader}, weight: 2, params: {api: Fetch, reply: true, action: delay, by: 2s}}
    - {do: net.message, on: {from: leader}, weight: 1, params: {api: Fetch, reply: true, action: drop, count: 2}}
    - {do: net.message, on: {from: leader}, weight: 2, params: {api: OffsetForLeaderEpoch, reply: true, action: delay, by: 2s}}
    - {do: net.message, on: {from: leader, to: clients}, weight: 2, params: {api: Produce, reply: true, action: drop, count: 3}}
    - {do: net.message, on: {to: leader}, weight: 2, params: {api: Produce, action: delay, by: 1500ms}}
)"},
    {"control messages", 4, "AF", R"(
    - {do: net.message, on: {to: controller}, weight: 3, params: {api: alter_partition, action: delay, by: 3s, count: 4}}
    - {do: net.message, on: {from: controller}, weight: 3, params: {api: alter_partition, reply: true, action: hold}}
    - {do: net.message, on: {to: controller}, weight: 2, params: {api: broker_heartbeat, action: drop, count: 5}}
    - {do: net.message, on: {from: controller}, weight: 2, params: {api: raft_append, action: delay, by: 800ms, count: 3}}
    - {do: net.message, on: {from: controller}, weight: 1, params: {api: raft_append, action: drop, count: 5}}
    - {do: net.message, weight: 1, params: {api: raft_vote, action: duplicate, count: 2}}
    - {do: net.message, weight: 1, params: {api: raft_vote, reply: true, action: delay, by: 700ms}}
)"},
    {"slow disks", 5, "AEF", R"(
    - {do: disk.slow, on: leader, weight: 2, params: {by: 300ms}}
    - {do: disk.slow, on: random, weight: 1, params: {by: 100ms, op: write}}
    - {do: disk.stall, on: leader, weight: 2}
    - {do: disk.stall, on: random, weight: 1, params: {op: write, count: 1}}
)"},
    {"failing disks", 5, "E", R"(
    - {do: disk.eio, on: leader, weight: 1, params: {op: sync}}
    - {do: disk.eio, on: random, weight: 1, params: {op: any}}
    - {do: disk.eio, on: random, weight: 1, params: {path: .log, error: no_space}}
    - {do: disk.short_write, on: leader, weight: 1, params: {path: .log}}
    - {do: disk.full, on: one, weight: 1, params: {room: 20000}}
    - {do: node.crash, on: random, weight: 2, params: {path: .log}}
)"},
    {"clocks", 5, "F", R"(
    - {do: clock.jump, on: leader, weight: 1, params: {offset: 2h}}
    - {do: clock.jump, on: random, weight: 1, params: {offset: -40s}}
    - {do: clock.drift, on: random, weight: 1, params: {ppm: 500}}
    - {do: clock.drift, on: random, weight: 2, params: {ppm: 200000, timers: true}}
    - {do: clock.drift, on: controller, weight: 2, params: {ppm: -200000, timers: true}}
    - {do: clock.drift, on: leader, weight: 2, params: {ppm: -100000, timers: true}}
)"},
    {kDamage, 14, "", R"(
    - {do: node.amnesia, on: random, weight: 2}
)"},
};

constexpr std::string_view kWide = R"(
    - {do: net.partition, on: one, weight: 1, params: {shape: bridge}}
    - {do: net.partition, on: all, weight: 1, params: {shape: ring}}
)";

std::string duration_ms(std::int64_t ms) { return fmt::format("{}ms", ms); }

struct Drawn {
  std::string choices;
  std::string names;
  bool damage = false;

  void take(const FaultClass& drawn) {
    damage = damage || drawn.name == kDamage || drawn.name == kAdmissionLost;
    choices += drawn.choices;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", drawn.name);
  }
};

// Manoeuvres take long and shape a whole world: few worlds have them, and then one or two.
void draw_manoeuvres(Random random, int nodes, std::string_view focus, Drawn& into) {
  if (!random.chance(1, focus.empty() ? 4 : 2)) return;
  std::vector<const FaultClass*> pool;
  for (const FaultClass& known : manoeuvres()) {
    if (known.name == kVotersChange && nodes < 4) continue;  // everybody votes
    const bool suits = !focus.empty() && known.suits.find(focus) != std::string_view::npos;
    if (suits || random.fork(known.name).chance(1, focus.empty() ? 2 : known.one_in)) pool.push_back(&known);
  }
  bool voters = false;
  for (std::int64_t left = random.between(1, 2); left > 0 && !pool.empty(); --left) {
    const auto index = random.below(pool.size());
    const FaultClass& chosen = *pool[index];
    pool.erase(pool.begin() + static_cast<std::ptrdiff_t>(index));
    const bool damages = chosen.name == kAdmissionLost;
    if ((damages && voters) || (chosen.name == kVotersChange && into.damage)) continue;
    voters = voters || chosen.name == kVotersChange;
    into.take(chosen);
  }
}

}  // namespace

plan::Plan draw_faults(Random random, int nodes, bool small, std::string_view focus) {
  Drawn drawn;
  Random classes = random.fork("classes");
  const std::size_t at_least = classes.below(std::size(kClasses) - 1);  // never damage alone
  Random moves = random.fork("manoeuvres");
  // Half of the focused worlds with manoeuvres have little else, so that what they set up is not disturbed.
  const bool quiet = !focus.empty() && moves.chance(1, 2);
  for (std::size_t i = 0; i < std::size(kClasses); ++i) {
    Random own = random.fork(kClasses[i].name);
    const bool suits = !focus.empty() && kClasses[i].suits.find(focus) != std::string_view::npos;
    const bool chosen = suits ? own.chance(quiet ? 1 : 3, quiet ? 8 : 5)
                              : own.chance(1, kClasses[i].one_in * (focus.empty() ? 1
                                                                    : quiet       ? 6
                                                                                  : 2));
    if (!chosen && (i != at_least || !focus.empty())) continue;
    drawn.take(kClasses[i]);
    if (kClasses[i].name == "partition" && nodes >= 4) drawn.choices += kWide;
  }
  draw_manoeuvres(moves, nodes, focus, drawn);
  if (drawn.choices.empty()) drawn.take(kClasses[0]);
  Random rates = random.fork("rates");
  const std::int64_t every = small ? rates.between(700, 3'000) : rates.between(1'000, 8'000);
  const std::int64_t hold_min = rates.between(0, 1'000);
  const std::int64_t hold_max = hold_min + rates.between(200, small ? 4'000 : 9'000);
  const std::string text = fmt::format(
      "name: drawn\ndescription: {}\n{}random:\n  start: {}\n  every: {{exp: {}}}\n  hold: {{uniform: [{}, {}]}}\n"
      "  overlap: {}\n  choose:{}",
      drawn.names, drawn.damage ? "loss: minority\n" : "", duration_ms(rates.between(200, 3'000)), duration_ms(every),
      duration_ms(hold_min), duration_ms(hold_max), rates.between(1, 3), drawn.choices);
  Result<plan::Plan> parsed = plan::parse_plan(text, "the drawn mix of faults");
  ORDEAL_CHECK(parsed.has_value(), "{}", parsed.error().to_string());
  return std::move(*parsed);
}

}  // namespace ordeal::sim
