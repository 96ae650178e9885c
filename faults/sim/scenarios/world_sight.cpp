#include "faults/sim/scenarios/world_sight.h"

#include <fmt/format.h>

#include <algorithm>

namespace ordeal::sim {

using scenario::Nodes;
using scenario::Value;

namespace {

std::int64_t shown(NodeId node) { return node == kNoNode ? scenario::kNobody : node; }

template <class Container>
Value set_of(const Container& nodes) {
  return Value::nodes(Nodes(nodes.begin(), nodes.end()));
}

bool matches(const TraceEvent& event, const std::string& field, const Value& wanted) {
  const auto* number = std::get_if<std::int64_t>(&wanted.is);
  if (field == "n") return number != nullptr && event.node == *number;
  if (number != nullptr) return event.number(field) == *number;
  const auto* text = std::get_if<std::string>(&wanted.is);
  return text != nullptr && event.text(field) == *text;
}

}  // namespace

WorldSight::WorldSight(Trial& trial, std::optional<mutation::Bug> bug)
    : trial_(trial), bug_(bug), began_(trial.world().trace().events().size()) {}

Result<Value> WorldSight::ask(std::string_view function, std::span<const Value> arguments) const {
  std::optional<Value> answer;
  if (arguments.empty()) {
    answer = of_world(function);
  } else if (const auto* at = std::get_if<TopicPartition>(&arguments[0].is)) {
    answer = of_partition(function, *at);
  } else if (const auto* name = std::get_if<std::string>(&arguments[0].is)) {
    answer = Value::number(static_cast<std::int64_t>(trial_.world().network().held(*name)));
  } else {
    const std::int64_t number = std::get<std::int64_t>(arguments[0].is);
    const bool known = number >= 1 && number <= trial_.cluster().options().nodes;
    const NodeId node = known ? static_cast<NodeId>(number) : kNoNode;
    answer = arguments.size() == 2 ? of_replica(function, node, std::get<TopicPartition>(arguments[1].is))
                                   : of_node(function, node);
  }
  if (answer) return std::move(*answer);
  return fail(Errc::internal, fmt::format("the simulator cannot answer {}", function));
}

std::optional<Value> WorldSight::of_partition(std::string_view function, const TopicPartition& at) const {
  SimCluster& cluster = trial_.cluster();
  if (function == "leader") return Value::number(shown(cluster.leader(at)));
  if (function == "epoch") return Value::number(cluster.leader_epoch(at));
  if (function == "isr") return set_of(cluster.isr(at));
  if (function == "replicas") return set_of(cluster.replicas(at));
  if (function == "followers") return set_of(cluster.followers(at));
  const meta::ImagePtr image = cluster.newest_image();
  const meta::PartitionImage* found = image ? image->partition(at.topic, at.partition) : nullptr;
  if (function == "partition_epoch") return Value::number(found == nullptr ? -1 : found->partition_epoch);
  if (function == "elr") return found == nullptr ? Value::nodes({}) : set_of(found->elr);
  return std::nullopt;
}

std::optional<Value> WorldSight::of_replica(std::string_view function, NodeId node, const TopicPartition& at) const {
  const auto own = node == kNoNode ? std::nullopt : trial_.cluster().status(node, at);
  if (function == "follows") return Value::number(own && !own->leading ? shown(own->leader) : scenario::kNobody);
  if (function == "leads") return Value::truth(own && own->leading);
  if (function == "hw") return Value::number(own ? own->high_watermark : -1);
  if (function == "end") return Value::number(own ? own->log_end : -1);
  if (function == "flushed") return Value::number(own ? own->flushed_end : -1);
  if (function == "log_start") return Value::number(own ? own->log_start : -1);
  if (function == "epoch_of") return Value::number(own ? own->leader_epoch : -1);
  if (function == "maximal_isr") return own && own->leading ? set_of(own->maximal_isr) : Value::nodes({});
  return std::nullopt;
}

std::optional<Value> WorldSight::of_node(std::string_view function, NodeId node) const {
  SimCluster& cluster = trial_.cluster();
  const bool known = node != kNoNode;
  if (function == "serving") return Value::truth(known && cluster.serving(node));
  if (function == "down") return Value::truth(!known || trial_.world().state(node) == NodeState::down);
  if (function == "fenced") {
    const meta::ImagePtr image = cluster.newest_image();
    const meta::BrokerImage* found = image && known ? image->broker(node) : nullptr;
    return Value::truth(found == nullptr || found->fenced);
  }
  const std::optional<meta::QuorumStatus> quorum = known ? cluster.quorum(node) : std::nullopt;
  if (function == "raft_term") return Value::number(quorum ? quorum->term : -1);
  if (function == "raft_leader") return Value::number(quorum ? shown(quorum->leader) : scenario::kNobody);
  if (function == "raft_commit") return Value::number(quorum ? quorum->commit : -1);
  if (function == "raft_end") return Value::number(quorum ? quorum->end : -1);
  return std::nullopt;
}

// As the node sees them that has come furthest.
Value WorldSight::voters() const {
  std::optional<meta::QuorumStatus> furthest;
  for (const NodeId id : trial_.world().nodes()) {
    const auto own = trial_.cluster().quorum(id);
    if (own && (!furthest || own->commit > furthest->commit)) furthest = own;
  }
  return furthest ? set_of(furthest->voters) : Value::nodes({});
}

std::optional<Value> WorldSight::of_world(std::string_view function) const {
  SimCluster& cluster = trial_.cluster();
  const workload::Progress& progress = trial_.progress();
  if (function == "controller") return Value::number(shown(cluster.controller()));
  if (function == "nodes") return set_of(trial_.world().nodes());
  if (function == "voters") return voters();
  if (function == "whole") return Value::truth(cluster.why_not_whole().empty());
  if (function == "acked") return Value::number(static_cast<std::int64_t>(progress.ok));
  if (function == "sent") return Value::number(static_cast<std::int64_t>(progress.invoked));
  if (function == "unacked") {
    const std::uint64_t ended = progress.ok + progress.fail + progress.info;
    return Value::number(static_cast<std::int64_t>(progress.invoked - ended));
  }
  if (function == "ran") return Value::number(bug_ ? static_cast<std::int64_t>(cluster.ran(*bug_)) : 0);
  return std::nullopt;
}

Result<Value> WorldSight::count(const std::string& kind,
                                const std::vector<std::pair<std::string, Value>>& fields) const {
  std::string query = kind;
  for (const auto& [field, value] : fields) query += fmt::format(",{}={}", field, value.to_string());
  Counted& counted = counts_.try_emplace(query, Counted{began_, 0}).first->second;
  const std::vector<TraceEvent>& events = trial_.world().trace().events();
  for (; counted.next < events.size(); ++counted.next) {
    const TraceEvent& event = events[counted.next];
    const bool fits = event.kind == kind && std::ranges::all_of(fields, [&](const auto& field) {
                        return matches(event, field.first, field.second);
                      });
    counted.found += fits ? 1 : 0;
  }
  return Value::number(counted.found);
}

}  // namespace ordeal::sim
