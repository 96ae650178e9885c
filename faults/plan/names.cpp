// The names of verbs, shapes and listeners, in one place: parser, printer and messages use the same table.
#include <algorithm>
#include <set>

#include "broker/base/check.h"
#include "faults/plan/plan.h"
#include "faults/plan/text.h"

namespace ordeal::plan {

namespace {

constexpr std::pair<Verb, std::string_view> kVerbs[] = {{Verb::net_partition, "net.partition"},
                                                        {Verb::net_simplex, "net.simplex"},
                                                        {Verb::proc_kill, "proc.kill"},
                                                        {Verb::proc_pause, "proc.pause"},
                                                        {Verb::proc_restart, "proc.restart"},
                                                        {Verb::node_crash, "node.crash"},
                                                        {Verb::node_power_cut, "node.power_cut"},
                                                        {Verb::net_delay, "net.delay"},
                                                        {Verb::net_clog, "net.clog"},
                                                        {Verb::net_reset, "net.reset"},
                                                        {Verb::net_half_open, "net.half_open"},
                                                        {Verb::net_refuse, "net.refuse"},
                                                        {Verb::net_message, "net.message"},
                                                        {Verb::disk_eio, "disk.eio"},
                                                        {Verb::disk_short_write, "disk.short_write"},
                                                        {Verb::disk_full, "disk.full"},
                                                        {Verb::disk_slow, "disk.slow"},
                                                        {Verb::disk_stall, "disk.stall"},
                                                        {Verb::disk_fsync_lie, "disk.fsync_lie"},
                                                        {Verb::disk_bitflip, "disk.bitflip"},
                                                        {Verb::node_amnesia, "node.amnesia"},
                                                        {Verb::clock_jump, "clock.jump"},
                                                        {Verb::clock_drift, "clock.drift"},
                                                        {Verb::partition_elect, "partition.elect"},
                                                        {Verb::quorum_voters, "quorum.voters"},
                                                        {Verb::clients_pause, "clients.pause"},
                                                        {Verb::topic_set, "topic.set"}};

constexpr std::pair<std::string_view, std::string_view> kBuiltin[] = {
#include "faults/plan/builtin_plans.inc"
};

}  // namespace

std::string_view verb_name(Verb verb) {
  for (const auto& [known, name] : kVerbs) {
    if (known == verb) return name;
  }
  ORDEAL_CHECK(false, "verb {} has no name", static_cast<int>(verb));
}

std::optional<Verb> parse_verb(std::string_view name) {
  for (const auto& [verb, known] : kVerbs) {
    if (known == name) return verb;
  }
  return std::nullopt;
}

const std::vector<Verb>& all_verbs() {
  static const std::vector<Verb> verbs = [] {
    std::vector<Verb> list;
    for (const auto& entry : kVerbs) list.push_back(entry.first);
    return list;
  }();
  return verbs;
}

bool is_network(Verb verb) { return verb == Verb::net_partition || verb == Verb::net_simplex; }

bool is_link_fault(Verb verb) {
  switch (verb) {
    case Verb::net_delay:
    case Verb::net_clog:
    case Verb::net_reset:
    case Verb::net_half_open:
    case Verb::net_message:
      return true;
    default:
      return false;
  }
}

bool is_call_fault(Verb verb) {
  switch (verb) {
    case Verb::disk_eio:
    case Verb::disk_short_write:
    case Verb::disk_full:
    case Verb::disk_slow:
    case Verb::disk_stall:
    case Verb::disk_fsync_lie:
    case Verb::disk_bitflip:
      return true;
    default:
      return false;
  }
}

bool is_request(Verb verb) {
  return verb == Verb::partition_elect || verb == Verb::quorum_voters || verb == Verb::topic_set;
}

bool is_damage(Verb verb) {
  return verb == Verb::node_amnesia || verb == Verb::disk_fsync_lie || verb == Verb::disk_bitflip;
}

std::string_view shape_name(Shape shape) {
  switch (shape) {
    case Shape::isolate:
      return "isolate";
    case Shape::halves:
      return "halves";
    case Shape::link:
      return "link";
    case Shape::bridge:
      return "bridge";
    case Shape::ring:
      return "ring";
    case Shape::brokers_not_clients:
      return "brokers-not-clients";
    case Shape::client_broker:
      return "client-broker";
  }
  ORDEAL_CHECK(false, "unknown shape");
}

std::string_view listener_name(ListenerClass listener) {
  switch (listener) {
    case ListenerClass::client:
      return "client";
    case ListenerClass::replication:
      return "replication";
    case ListenerClass::control:
      return "control";
  }
  ORDEAL_CHECK(false, "unknown listener class");
}

std::uint16_t listener_port(ListenerClass listener) {
  switch (listener) {
    case ListenerClass::client:
      return 9092;
    case ListenerClass::replication:
      return 9093;
    case ListenerClass::control:
      return 9094;
  }
  ORDEAL_CHECK(false, "unknown listener class");
}

std::string node_name(NodeId node) { return "n" + std::to_string(node); }

std::vector<Verb> verbs_of(const Plan& plan) {
  std::set<Verb> needed;
  for (const Step& step : plan.steps) needed.insert(step.verb);
  if (plan.random) {
    for (const Choice& choice : plan.random->choose) {
      if (choice.moves.empty()) needed.insert(choice.verb);
      for (const Move& move : choice.moves) needed.insert(move.step.verb);
    }
  }
  return {needed.begin(), needed.end()};
}

Status check_verbs(const Plan& plan, const std::vector<Verb>& world, std::string_view world_name) {
  std::string missing;
  for (const Verb verb : verbs_of(plan)) {
    if (std::find(world.begin(), world.end(), verb) == world.end()) {
      missing += (missing.empty() ? "" : ", ") + std::string(verb_name(verb));
    }
  }
  if (missing.empty()) return {};
  std::string able;
  for (const Verb verb : world) able += (able.empty() ? "" : ", ") + std::string(verb_name(verb));
  return fail(Errc::unsupported,
              fmt::format("plan '{}' needs {}, which {} cannot do (it can: {})", plan.name, missing, world_name, able));
}

std::vector<std::string> builtin_plan_names() {
  std::vector<std::string> names;
  for (const auto& entry : kBuiltin) names.emplace_back(entry.first);
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<std::string_view> builtin_plan_text(std::string_view name) {
  for (const auto& [known, text] : kBuiltin) {
    if (known == name) return text;
  }
  return std::nullopt;
}

}  // namespace ordeal::plan
