// A broker is down between node.exit and node.start (or broker.stopped and broker.start), paused and cut while such a
// fault acts on it, up otherwise; of several the worst counts. Where two nodes claim a partition, the higher leader
// epoch wins from the moment it is claimed; where two claim the controller's role, the higher term.
#include "checker/lanes.h"

#include <algorithm>
#include <set>

#include "checker/sort.h"

namespace ordeal::checker {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostWaterMarks = 400;

struct Change {
  std::uint64_t t_ns;
  int down = 0, paused = 0, cut = 0;  // +1 begins, -1 ends; down is set, not counted
  int controller = 0;                 // +1 this node, -1 not this node
};

std::int32_t node_of(const FaultEvent& event) {
  const auto node = event.body.find("node");
  if (node == event.body.end()) return -1;
  return node->is_number() ? node->get<std::int32_t>() : node->is_string() ? node_named(node->get<std::string>()) : -1;
}

using Changes = std::map<std::int32_t, std::vector<Change>>;

void process_changes(const Context& context, Changes& changes) {
  bool supervised = false;  // the supervisor's word on starts and exits beats the broker's own
  for (const FaultEvent& event : context.faults) {
    if (event.event != "node.start" && event.event != "node.exit") continue;
    const std::int32_t node = node_of(event);
    if (node < 0) continue;
    supervised = true;
    changes[node].push_back({event.t_ns, event.event == "node.exit" ? 1 : -1});
  }
  for (const TraceEvent& event : context.traces) {
    if (event.node < 0) continue;
    auto& own = changes[event.node];
    if (!supervised && event.kind == "broker.start") own.push_back({event.t_ns, -1});
    if (!supervised && event.kind == "broker.stopped") own.push_back({event.t_ns, 1});
  }
}

void fault_changes(const std::vector<FaultSpan>& faults, Changes& changes) {
  for (const FaultSpan& fault : faults) {
    if (!fault.acted()) continue;
    const bool pause = fault.kind == "proc.pause";
    const bool cut = fault.kind.starts_with("net.");
    if (!pause && !cut) continue;
    for (const std::int32_t node : fault.nodes) {
      changes[node].push_back({fault.begin_ns, 0, pause ? 1 : 0, cut ? 1 : 0});
      if (fault.heal_ns != 0) changes[node].push_back({fault.heal_ns, 0, pause ? -1 : 0, cut ? -1 : 0});
    }
  }
}

void controller_changes(const Context& context, Changes& changes) {
  std::vector<const TraceEvent*> events;
  for (const TraceEvent& event : context.traces)
    if (event.kind == "controller.active" || event.kind == "controller.resigned") events.push_back(&event);
  sort_stably(events, &TraceEvent::t_ns);
  std::int64_t term = -1;
  std::int32_t active = -1;
  for (const TraceEvent* event : events) {
    const std::int64_t its = event->body.value("term", std::int64_t{0});
    if (event->kind == "controller.active" && its >= term) {
      if (active >= 0 && active != event->node) changes[active].push_back({event->t_ns, 0, 0, 0, -1});
      changes[event->node].push_back({event->t_ns, 0, 0, 0, 1});
      active = event->node;
      term = its;
    } else if (event->kind == "controller.resigned" && event->node == active) {
      changes[active].push_back({event->t_ns, 0, 0, 0, -1});
      active = -1;
    }
  }
}

Json spans_of(std::vector<Change> changes, std::uint64_t t0, std::uint64_t t1) {
  sort_stably(changes, &Change::t_ns);
  Json spans = Json::array();
  bool down = false;
  int paused = 0, cut = 0;
  bool controller = false;
  std::uint64_t from = t0;
  const auto close = [&](std::uint64_t at) {
    if (at <= from) return;
    const char* state = down ? "down" : paused > 0 ? "paused" : cut > 0 ? "cut" : "up";
    if (!spans.empty() && spans.back()["state"] == state && spans.back()["controller"] == (controller && !down)) {
      spans.back()["to_ns"] = at;
    } else {
      spans.push_back({{"from_ns", from}, {"to_ns", at}, {"state", state}, {"controller", controller && !down}});
    }
    from = at;
  };
  for (const Change& change : changes) {
    close(std::clamp(change.t_ns, t0, t1));
    if (change.down != 0) down = change.down > 0;
    paused += change.paused;
    cut += change.cut;
    if (change.controller != 0) controller = change.controller > 0;
  }
  close(t1);
  return spans;
}

struct Lane {
  Json spans = Json::array();
  std::vector<std::pair<std::uint64_t, std::int64_t>> water;
  LeaderEpoch epoch = -1;
  std::int32_t leader = -1;
  std::set<std::int32_t> isr;
  std::uint64_t from = 0;

  void close(std::uint64_t at) {
    if (epoch >= 0 && at > from)
      spans.push_back({{"from_ns", from}, {"to_ns", at}, {"leader", leader}, {"leader_epoch", epoch}, {"isr", isr}});
    from = at;
  }
};

}  // namespace

Json broker_lanes(const Context& context, const std::vector<FaultSpan>& faults, std::uint64_t t0, std::uint64_t t1) {
  Changes changes;
  for (const std::int32_t node : context.nodes) changes[node];
  process_changes(context, changes);
  fault_changes(faults, changes);
  controller_changes(context, changes);
  Json lanes = Json::array();
  for (auto& [node, list] : changes) lanes.push_back({{"node", node}, {"spans", spans_of(std::move(list), t0, t1)}});
  return lanes;
}

Json partition_lanes(const Context& context, std::uint64_t t0, std::uint64_t t1) {
  std::vector<const TraceEvent*> events;
  for (const TraceEvent& event : context.traces)
    if (event.kind == "partition.leader" || event.kind == "partition.isr" || event.kind == "partition.hw")
      events.push_back(&event);
  sort_stably(events, &TraceEvent::t_ns);
  std::map<TopicPartition, Lane> lanes;
  for (const TraceEvent* event : events) {
    const Json& body = event->body;
    Lane& lane = lanes[{body.value("topic", ""), body.value("partition", PartitionId{-1})}];
    const LeaderEpoch epoch = body.value("leader_epoch", LeaderEpoch{-1});
    const std::uint64_t at = std::clamp(event->t_ns, t0, t1);
    if (event->kind == "partition.hw") {
      if (epoch == lane.epoch && event->node == lane.leader)
        lane.water.emplace_back(at, body.value("hw", std::int64_t{-1}));
      continue;
    }
    const bool newer = event->kind == "partition.leader" && epoch > lane.epoch;
    const bool same = epoch == lane.epoch && event->node == lane.leader;
    if (!newer && !same) continue;
    lane.close(at);
    if (newer) lane.leader = event->node;
    lane.epoch = epoch;
    const auto isr = body.find("isr");
    if (isr != body.end()) lane.isr = parse_nodes(isr->is_string() ? isr->get<std::string>() : isr->dump());
  }
  Json out = Json::array();
  for (auto& [name, lane] : lanes) {
    lane.close(t1);
    Json water = Json::array();
    const std::size_t step = lane.water.size() / kMostWaterMarks + 1;
    for (std::size_t i = 0; i < lane.water.size(); ++i)
      if (i % step == 0 || i + 1 == lane.water.size()) water.push_back({lane.water[i].first, lane.water[i].second});
    out.push_back({{"topic", name.topic}, {"partition", name.partition}, {"spans", lane.spans}, {"hw", water}});
  }
  return out;
}

Json fault_rows(const std::vector<FaultSpan>& faults) {
  Json rows = Json::array();
  const auto time = [](std::uint64_t t) { return t == 0 ? Json(nullptr) : Json(t); };
  for (const FaultSpan& fault : faults)
    rows.push_back({{"id", fault.id},
                    {"kind", fault.kind},
                    {"targets", fault.targets},
                    {"nodes", fault.nodes},
                    {"planned", fault.planned},
                    {"resolved", fault.resolved},
                    {"begin_ns", time(fault.begin_ns)},
                    {"heal_ns", time(fault.heal_ns)},
                    {"converged_ns", time(fault.converged_ns)},
                    {"verified", fault.verified},
                    {"evidence", fault.evidence},
                    {"status", fault.status}});
  return rows;
}

}  // namespace ordeal::checker
