#include "faults/plan/roles.h"

#include <fmt/format.h>
#include <algorithm>

#include "faults/plan/text.h"

namespace ordeal::plan {

namespace {

std::int64_t number(const TraceEvent& event, std::string_view field, std::int64_t otherwise) {
  const auto found = event.fields.find(field);
  if (found == event.fields.end()) return otherwise;
  return parse_int<std::int64_t>(found->second).value_or(otherwise);
}

std::string word(const TraceEvent& event, std::string_view field) {
  const auto found = event.fields.find(field);
  return found == event.fields.end() ? std::string() : found->second;
}

std::set<std::string> node_set(std::string_view list) {
  std::set<std::string> nodes;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (const auto id = parse_int<NodeId>(list.substr(0, comma))) nodes.insert(node_name(*id));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return nodes;
}

std::string field_value(const TraceEvent& event, std::string_view field) {
  if (field == "isr_size") return std::to_string(node_set(word(event, "isr")).size());
  if (field == "node") return node_name(event.node);
  if (field == "n") return std::to_string(event.node);
  return word(event, field);
}

bool holds(const FieldTest& test, const std::string& actual) {
  const auto left = parse_int<std::int64_t>(actual);
  const auto right = parse_int<std::int64_t>(test.value);
  const auto order = left && right ? *left <=> *right : actual.compare(test.value) <=> 0;
  switch (test.op) {
    case FieldTest::Op::eq:
      return order == 0;
    case FieldTest::Op::ne:
      return order != 0;
    case FieldTest::Op::lt:
      return left && right && order < 0;
    case FieldTest::Op::le:
      return left && right && order <= 0;
    case FieldTest::Op::gt:
      return left && right && order > 0;
    case FieldTest::Op::ge:
      return left && right && order >= 0;
  }
  return false;
}

std::optional<RoleChange> observe_controller(const TraceEvent& event, WorldView& view) {
  const std::int64_t term = number(event, "term", -1);
  const std::string node = node_name(event.node);
  if (event.kind == "controller.resigned") {
    if (view.controller != node || term < view.controller_term) return std::nullopt;
    view.controller.clear();
    return RoleChange{"controller", node, "", term};
  }
  if (term < view.controller_term || (term == view.controller_term && view.controller == node)) return std::nullopt;
  RoleChange change{"controller", view.controller, node, term};
  view.controller = node;
  view.controller_term = term;
  return change.from == change.to ? std::nullopt : std::optional(change);
}

std::optional<RoleChange> observe_partition(const TraceEvent& event, WorldView& view) {
  const std::string topic = word(event, "topic");
  const auto index = static_cast<PartitionId>(number(event, "partition", -1));
  if (topic.empty() || index < 0) return std::nullopt;
  PartitionRole& role = view.partitions[{topic, index}];
  const std::string node = node_name(event.node);
  role.replicas.insert(node);
  const auto epoch = static_cast<LeaderEpoch>(number(event, "leader_epoch", kNoEpoch));
  if (epoch < role.leader_epoch) return std::nullopt;
  const std::string before = role.leader;
  if (event.kind == "partition.follower") {
    const auto leader = static_cast<NodeId>(number(event, "leader", kNoNode));
    if (epoch > role.leader_epoch) role.leader = leader == kNoNode ? std::string() : node_name(leader);
    role.leader_epoch = epoch;
  } else {
    const auto partition_epoch = static_cast<PartitionEpoch>(number(event, "partition_epoch", role.partition_epoch));
    if (epoch == role.leader_epoch && partition_epoch < role.partition_epoch) return std::nullopt;
    role.leader = node;
    role.leader_epoch = epoch;
    role.partition_epoch = partition_epoch;
    role.isr = node_set(word(event, "isr"));
    role.replicas.insert(role.isr.begin(), role.isr.end());
  }
  if (role.leader == before) return std::nullopt;
  return RoleChange{fmt::format("leader({}/{})", topic, index), before, role.leader, epoch};
}

void observe_voters(const TraceEvent& event, WorldView& view) {
  const std::int64_t index = number(event, "index", -1);
  if (index < view.voters_index) return;
  view.voters_index = index;
  view.voters = node_set(word(event, "voters"));
}

}  // namespace

Result<TraceEvent> parse_trace_line(std::string_view line) {
  const nlohmann::json object = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object() || !object.contains("k") || !object["k"].is_string()) {
    return fail(Errc::corrupt, fmt::format("no trace event: '{}'", line.substr(0, 120)));
  }
  TraceEvent event;
  for (const auto& [key, value] : object.items()) {
    if (key == "k") {
      event.kind = value.get<std::string>();
    } else if (key == "t" && value.is_number_integer()) {
      event.time_ns = value.get<std::int64_t>();
    } else if (key == "n" && value.is_number_integer()) {
      event.node = value.get<NodeId>();
    } else if (value.is_string()) {
      event.fields[key] = value.get<std::string>();
    } else {
      event.fields[key] = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    }
  }
  return event;
}

bool matches(const EventPattern& pattern, const TraceEvent& event) {
  return pattern.kind == event.kind &&
         std::all_of(pattern.where.begin(), pattern.where.end(),
                     [&](const FieldTest& test) { return holds(test, field_value(event, test.field)); });
}

std::optional<RoleChange> RoleTracker::observe(const TraceEvent& event, WorldView& view) {
  if (event.kind == "controller.active" || event.kind == "controller.resigned") return observe_controller(event, view);
  if (event.kind == "partition.leader" || event.kind == "partition.follower" || event.kind == "partition.isr") {
    return observe_partition(event, view);
  }
  if (event.kind == "raft.voters") observe_voters(event, view);
  return std::nullopt;
}

std::string why_not_converged(const WorldView& view) {
  if (view.controller.empty()) return "no controller is known";
  if (view.killed.contains(view.controller)) return "the controller " + view.controller + " is down";
  if (view.partitions.empty()) return "no partition is known";
  for (const auto& [partition, role] : view.partitions) {
    const std::string name = fmt::format("{}/{}", partition.topic, partition.partition);
    if (role.leader.empty()) return name + ": no leader is known";
    if (view.killed.contains(role.leader)) return name + ": its leader " + role.leader + " is down";
    if (role.isr.size() < role.replicas.size()) {
      return fmt::format("{}: the ISR has {} of {} replicas", name, role.isr.size(), role.replicas.size());
    }
  }
  return {};
}

}  // namespace ordeal::plan
