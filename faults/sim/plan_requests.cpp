// The plan verbs that ask instead of break: elections, voters, topic settings, and producers that rest.
//
// A request is sent and not waited for: under the faults around it, it may be refused, be late or get lost, and a plan
// is to go on meanwhile. What would leave the metadata to fewer than three voters is not asked for: then one lost disk
// could be too many.
#include <fmt/format.h>

#include <algorithm>

#include "broker/meta/control.pb.h"
#include "faults/sim/plan_runner.h"

namespace ordeal::sim {
namespace {

using plan::Verb;

constexpr std::size_t kVotersLeast = 3;

meta::ControllerRequest settings_request(const std::string& topic,
                                         const std::map<std::string, std::optional<std::string>>& set) {
  meta::ControllerRequest request;
  auto* changed = request.mutable_alter_topic_configs()->add_topics();
  changed->set_name(topic);
  for (const auto& [key, value] : set) {
    auto* config = changed->add_configs();
    config->set_name(key);
    if (value) config->set_value(*value);
  }
  return request;
}

std::string topic_of(const plan::Step& step) {
  return step.params.topic.empty() ? step.resolved->partition->topic : step.params.topic;
}

}  // namespace

bool PlanRunner::is_asked(Verb verb) { return plan::is_request(verb) || verb == Verb::clients_pause; }

void PlanRunner::pause_clients(bool off) {
  const int before = pauses_;
  pauses_ += off ? 1 : -1;
  if ((before == 0) != (pauses_ == 0)) hands_.pause_clients(pauses_ > 0);
}

Result<std::string> PlanRunner::ask(const plan::Step& step) {
  if (step.verb == Verb::clients_pause) {
    if (!hands_.pause_clients) return fail(Errc::unsupported, "this world has no clients");
    pause_clients(true);
    return "producers rest";
  }
  if (!hands_.ask) return fail(Errc::unsupported, "this world has no controller to ask");
  NodeId via = kNoNode;
  for (const NodeId id : world_.nodes()) {
    if (std::ranges::find(step.resolved->from, plan::node_name(id)) != step.resolved->from.end()) via = id;
  }
  if (step.verb == Verb::partition_elect) return ask_election(step, via);
  if (step.verb == Verb::quorum_voters) return ask_voters(step, via);
  return ask_settings(step, via);
}

Result<std::string> PlanRunner::ask_election(const plan::Step& step, NodeId via) {
  const TopicPartition& at = *step.resolved->partition;
  meta::ControllerRequest request;
  auto* body = request.mutable_elect_leaders();
  body->set_unclean(step.params.unclean);
  auto* one = body->add_partitions();
  one->set_topic(at.topic);
  one->set_partition(at.partition);
  ORDEAL_TRY(hands_.ask(request, via));
  return fmt::format("asked for an election of {}/{}", at.topic, at.partition);
}

Result<std::string> PlanRunner::ask_voters(const plan::Step& step, NodeId via) {
  const std::vector<NodeId> voters = hands_.voters();
  std::string said;
  std::size_t left = voters.size();
  for (const NodeId id : nodes_of(step)) {
    const bool votes = std::ranges::find(voters, id) != voters.end();
    if (votes != step.params.remove || (step.params.remove && left <= kVotersLeast)) continue;
    meta::ControllerRequest request;
    auto* body = request.mutable_alter_voters();
    body->set_remove(step.params.remove);
    body->set_node_id(id);
    body->set_host(world_.host(id));
    body->set_port(plan::listener_port(plan::ListenerClass::control));
    ORDEAL_TRY(hands_.ask(request, via));
    left -= step.params.remove ? 1 : 0;
    said += fmt::format("{} {}", said.empty() ? (step.params.remove ? "asked to remove" : "asked to add") : ",",
                        plan::node_name(id));
  }
  if (said.empty()) return fail(Errc::not_found, "nobody to add or to remove");
  return said;
}

Result<std::string> PlanRunner::ask_settings(const plan::Step& step, NodeId via) {
  const std::string topic = topic_of(step);
  const std::map<std::string, std::string> before = hands_.topic_settings(topic);
  std::map<std::string, std::optional<std::string>> set;
  for (const auto& [key, value] : step.params.set) set[key] = value;
  ORDEAL_TRY(hands_.ask(settings_request(topic, set), via));
  settings_before_[step.id] = before;
  return "asked to change the settings of " + topic;
}

std::string PlanRunner::heal_asked(const plan::Step& step) {
  if (step.verb == Verb::clients_pause) {
    pause_clients(false);
    return "producers go on";
  }
  const auto before = settings_before_.find(step.id);
  if (step.verb != Verb::topic_set || before == settings_before_.end()) return "over";
  std::map<std::string, std::optional<std::string>> set;
  for (const auto& [key, value] : step.params.set) {
    const auto old = before->second.find(key);
    set[key] = old == before->second.end() ? std::nullopt : std::optional(old->second);
  }
  const Status asked = hands_.ask(settings_request(topic_of(step), set), kNoNode);
  return asked ? "asked for the settings from before" : "not restored: " + asked.error().text;
}

}  // namespace ordeal::sim
