// What a script does to links, connections and single messages.
#include <fmt/format.h>

#include "broker/base/check.h"
#include "faults/sim/scenarios/player.h"

namespace ordeal::sim {

using scenario::Step;

namespace {

std::uint16_t port_of(const nlohmann::ordered_json& given) {
  const std::string listener = given.value("listener", "");
  if (listener == "client") return kClientPort;
  if (listener == "replication") return kReplicationPort;
  return listener == "control" ? kControllerPort : 0;
}

}  // namespace

Status Player::link(const Step& step, const Json& given) {
  const auto from = hosts(given["from"]);
  if (!from) return fail(from.error());
  const auto to = hosts(given["to"]);
  if (!to) return fail(to.error());
  const std::uint16_t port = port_of(given);
  const bool one_way = given.value("one_way", false);
  for (const std::string& a : *from) {
    for (const std::string& b : *to) {
      if (a == b) continue;
      if (step.verb == "cut" && one_way) cluster().cut_one_way(a, b, port);
      if (step.verb == "cut" && !one_way) cluster().cut(a, b, port);
      if (step.verb == "heal" && one_way) cluster().heal_one_way(a, b, port);
      if (step.verb == "heal" && !one_way) cluster().heal(a, b, port);
    }
  }
  return {};
}

Status Player::around(const Step& step, const Json& given) {
  const Result<std::vector<NodeId>> targets = nodes(given["node"]);
  if (!targets) return fail(targets.error());
  const std::uint16_t port = port_of(given);
  const bool clients = given.value("clients", false);
  for (const NodeId id : *targets) {
    if (step.verb == "isolate") {
      cluster().isolate(id, port);
      if (clients) cluster().cut(node_host(id), client_host(1), port);
    } else {
      cluster().rejoin(id, port);
      if (clients) cluster().heal(node_host(id), client_host(1), port);
    }
  }
  return {};
}

Status Player::reset(const Step&, const Json& given) {
  const auto from = hosts(given["from"]);
  if (!from) return fail(from.error());
  const auto to = hosts(given["to"]);
  if (!to) return fail(to.error());
  for (const std::string& a : *from)
    for (const std::string& b : *to)
      if (a != b) trial_.world().network().reset_connections(a, b, port_of(given));
  return {};
}

Status Player::heal_all(const Step&, const Json&) {
  cluster().heal_all();
  return {};
}

Status Player::message(const Step& step, const Json& given) {
  static const std::map<std::string, MessageFault::Action> kActions{{"delay", MessageFault::Action::delay},
                                                                    {"drop", MessageFault::Action::drop},
                                                                    {"duplicate", MessageFault::Action::duplicate},
                                                                    {"hold", MessageFault::Action::hold}};
  std::vector<std::string> from{""};  // anyone
  std::vector<std::string> to{""};
  for (const auto& [key, into] : {std::pair{"from", &from}, std::pair{"to", &to}}) {
    if (!given.contains(key)) continue;
    Result<std::vector<std::string>> found = hosts(given[key]);
    if (!found) return fail(found.error());
    *into = std::move(*found);
  }
  for (const std::string& a : from) {
    for (const std::string& b : to) {
      if (a == b && !a.empty()) continue;
      MessageFault fault;
      fault.api = given["api"].get<std::string>();
      fault.reply = given.value("reply", false);
      fault.from = a;
      fault.to = b;
      fault.action = kActions.at(step.verb);
      if (given.contains("by")) fault.by = plan::parse_duration(given["by"].get<std::string>()).value_or(Duration{});
      fault.skip = given.value("skip", std::uint64_t{0});
      fault.count = given.value("count", std::uint64_t{1});
      fault.name = given.value("as", "script");
      cluster().message_fault(std::move(fault));
    }
  }
  return {};
}

Status Player::release(const Step&, const Json& given) {
  cluster().release_messages(given.get<std::string>());
  return {};
}

}  // namespace ordeal::sim
