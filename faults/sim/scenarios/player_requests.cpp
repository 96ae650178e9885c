// What a script asks of clients and of the controller.
#include <fmt/format.h>

#include "broker/meta/control.pb.h"
#include "faults/sim/scenarios/player.h"

namespace ordeal::sim {

using scenario::Step;

namespace {

constexpr Duration kRequestBound = 10s;
constexpr Duration kElected = 20s;
constexpr Duration kWhole = 30s;

// The parts of the answers that matter here: whether anything was refused, and why.
template <class Item>
Status accepted(const Item& item) {
  if (item.error_code() == 0) return {};
  return fail(Errc::refused, fmt::format("the controller refused with error {}: {}", item.error_code(),
                                         std::string(item.error_message())));
}

template <class Items>
Status all_accepted(const Items& items) {
  for (const auto& item : items) ORDEAL_TRY(accepted(item));
  return {};
}

void add_configs(const nlohmann::ordered_json& set, auto* topic) {
  for (const auto& [key, value] : set.items()) {
    auto* config = topic->add_configs();
    config->set_name(key);
    config->set_value(value.template get<std::string>());
  }
}

}  // namespace

Status Player::clients(const Step&, const Json& given) {
  trial_.clients().pause_sending(given.get<std::string>() == "off");
  return {};
}

Status Player::send(const Step&, const Json& given) {
  const TopicPartition at{given["topic"].get<std::string>(), given.value("partition", PartitionId{0})};
  const Duration within = plan::parse_duration(given.value("within", "10s")).value_or(kRequestBound);
  const std::string acks = given.value("acks", "all");
  const std::int16_t level = acks == "1" ? 1 : acks == "0" ? 0 : -1;
  const auto burst = trial_.clients().send(at, given.value("count", std::int64_t{1}), level, within);
  if (!burst) return fail(burst.error());
  if (!given.value("wait", true)) return {};
  const std::shared_ptr<const workload::EnvSends::Burst>& sent = *burst;
  if (!cluster().wait_until([&] { return sent->done; }, within + 5s))
    return fail(Errc::timed_out, "the outcomes did not come");
  return {};
}

// By killing whoever else leads, and starting it again.
Status Player::make_leader(const Step&, const Json& given) {
  constexpr int kAttempts = 8;
  const Result<NodeId> wanted = node(given["node"]);
  if (!wanted) return fail(wanted.error());
  const Result<TopicPartition> at = partition(given["partition"]);
  if (!at) return fail(at.error());
  for (int i = 0; i < kAttempts && cluster().leader(*at) != *wanted; ++i) {
    const NodeId old = cluster().leader(*at);
    const auto another = [&] { return cluster().leader(*at) != old && cluster().leader(*at) != kNoNode; };
    if (old != kNoNode) cluster().kill(old);
    if (!cluster().wait_until(another, kElected)) return fail(Errc::timed_out, "never came to pass: another leader");
    if (old != kNoNode) cluster().start(old);
    if (!cluster().wait_whole(kWhole))
      return fail(Errc::timed_out, "never came to pass: a whole cluster after a kill: " + cluster().why_not_whole());
  }
  if (cluster().leader(*at) == *wanted) return {};
  return fail(Errc::timed_out, fmt::format("never came to pass: n{} leads", *wanted));
}

Status Player::elect(const Step&, const Json& given) {
  const Result<TopicPartition> at = partition(given["partition"]);
  if (!at) return fail(at.error());
  meta::ControllerRequest request;
  auto* body = request.mutable_elect_leaders();
  body->set_unclean(given.value("unclean", false));
  auto* one = body->add_partitions();
  one->set_topic(at->topic);
  one->set_partition(at->partition);
  const auto answer = cluster().ask_controller(std::move(request), kRequestBound);
  if (!answer) return fail(answer.error());
  constexpr int kElectionNotNeeded = 84;
  for (const auto& item : answer->elect_leaders().partitions())
    if (item.error_code() != kElectionNotNeeded) ORDEAL_TRY(accepted(item));
  return {};
}

Status Player::alter(const Step&, const Json& given) {
  meta::ControllerRequest request;
  auto* topic = request.mutable_alter_topic_configs()->add_topics();
  topic->set_name(given["topic"].get<std::string>());
  add_configs(given["set"], topic);
  const auto answer = cluster().ask_controller(std::move(request), kRequestBound);
  if (!answer) return fail(answer.error());
  return all_accepted(answer->alter_topic_configs().topics());
}

Status Player::create(const Step&, const Json& given) {
  meta::ControllerRequest request;
  auto* topic = request.mutable_create_topics()->add_topics();
  topic->set_name(given["topic"].get<std::string>());
  topic->set_num_partitions(given.value("partitions", 1));
  topic->set_replication_factor(given.value("replication", -1));
  if (given.contains("set")) add_configs(given["set"], topic);
  const auto answer = cluster().ask_controller(std::move(request), kRequestBound);
  if (!answer) return fail(answer.error());
  return all_accepted(answer->create_topics().topics());
}

Status Player::remove(const Step&, const Json& given) {
  meta::ControllerRequest request;
  request.mutable_delete_topics()->add_topics()->set_name(given["topic"].get<std::string>());
  const auto answer = cluster().ask_controller(std::move(request), kRequestBound);
  if (!answer) return fail(answer.error());
  return all_accepted(answer->delete_topics().topics());
}

Status Player::voters(const Step& step, const Json& given) {
  if (given.contains("add") == given.contains("remove"))
    return fail(Errc::invalid_argument, "voters takes either add or remove");
  const bool remove = given.contains("remove");
  const Result<NodeId> target = node(given[remove ? "remove" : "add"]);
  if (!target) return fail(target.error());
  NodeId via = kNoNode;
  if (given.contains("via")) {
    const Result<NodeId> asked = node(given["via"]);
    if (!asked) return fail(asked.error());
    via = *asked;
  }
  meta::ControllerRequest request;
  auto* body = request.mutable_alter_voters();
  body->set_remove(remove);
  body->set_node_id(*target);
  body->set_host(node_host(*target));
  body->set_port(kControllerPort);
  if (!step.arguments.value("wait", true)) return cluster().tell_controller(std::move(request), kRequestBound, via);
  const auto answer = cluster().ask_controller(std::move(request), kRequestBound, via);
  if (!answer) return fail(answer.error());
  return accepted(answer->alter_voters());
}

}  // namespace ordeal::sim
