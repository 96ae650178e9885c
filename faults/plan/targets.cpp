#include "faults/plan/targets.h"

#include <fmt/format.h>
#include <algorithm>
#include <set>

#include "broker/base/random.h"
#include "faults/plan/expression.h"

namespace ordeal::plan {

namespace {

using Set = std::set<std::string>;

Set to_set(const std::vector<std::string>& list) { return {list.begin(), list.end()}; }

Set minus(Set from, const Set& what) {
  for (const std::string& name : what) from.erase(name);
  return from;
}

// Evaluates the expressions of one step. All of them share one random stream and one chosen partition.
class Evaluator {
 public:
  Evaluator(const Step& step, const WorldView& view, const std::vector<Step>& plan)
      : view_(view), plan_(plan), random_(Random(step.seed.value_or(0)).fork("targets")) {
    // A process that is already down or paused can be neither killed nor paused: draw from the others.
    processes_ = !is_network(step.verb) && !is_link_fault(step.verb);
    const std::string& before = step.when.kind == Trigger::Kind::after ? step.when.step : step.when.since;
    const Resolution* waited_for = before.empty() ? nullptr : resolution_of(before);
    if (waited_for != nullptr) chosen_ = waited_for->partition;
  }

  Result<Set> evaluate(const std::string& text) {
    auto expression = parse_expression(text);
    if (!expression) return fail(expression.error());
    auto result = walk(*expression);
    if (result && result->empty()) return fail(Errc::not_found, "'" + text + "' is empty now");
    return result;
  }

  Set sample(const Set& from, std::size_t count) {
    std::vector<std::string> pool(from.begin(), from.end());
    Set chosen;
    while (!pool.empty() && chosen.size() < count) {
      const auto index = random_.below(pool.size());
      chosen.insert(pool[index]);
      pool.erase(pool.begin() + static_cast<std::ptrdiff_t>(index));
    }
    return chosen;
  }

  Resolution resolution() const {
    Resolution found = resolution_;
    found.partition = chosen_;
    return found;
  }

  // For what concerns a partition and no host: it need not have a leader.
  Result<TopicPartition> any_partition() {
    if (chosen_) return *chosen_;
    if (view_.partitions.empty()) return fail(Errc::not_found, "no partition is known");
    auto drawn = view_.partitions.begin();
    std::advance(drawn, static_cast<std::ptrdiff_t>(random_.below(view_.partitions.size())));
    chosen_ = drawn->first;
    return *chosen_;
  }

 private:
  Result<Set> walk(const Expression& expression) {
    switch (expression.kind) {
      case Expression::Kind::name:
        return host(expression.word);
      case Expression::Kind::set:
        return set(expression);
      case Expression::Kind::role:
        return role(expression);
      case Expression::Kind::bound:
        return bound(expression);
      case Expression::Kind::pick: {
        auto inner = walk(expression.parts[0]);
        if (!inner) return inner;
        return sample(*inner, 1);
      }
      default:
        break;
    }
    auto left = walk(expression.parts[0]);
    if (!left) return left;
    auto right = walk(expression.parts[1]);
    if (!right) return right;
    if (expression.kind == Expression::Kind::subtract) return minus(*left, *right);
    if (expression.kind == Expression::Kind::intersect) return minus(*left, minus(*left, *right));
    left->insert(right->begin(), right->end());
    return left;
  }

  const Resolution* resolution_of(const std::string& id) const {
    const auto found = std::ranges::find(plan_, id, &Step::id);
    return found == plan_.end() || !found->resolved ? nullptr : &*found->resolved;
  }

  Result<Set> bound(const Expression& expression) {
    const Resolution* meant = resolution_of(expression.step);
    if (meant == nullptr) return fail(Errc::not_found, "step '" + expression.step + "' has not acted");
    Set hosts = to_set(expression.word == "same"   ? meant->targets
                       : expression.word == "from" ? meant->from
                                                   : meant->to);
    hosts.erase("*");
    return hosts;
  }

  Result<Set> host(const std::string& name) {
    const bool known = name == "harness" || to_set(view_.nodes).contains(name) || to_set(view_.clients).contains(name);
    if (!known) return fail(Errc::not_found, "there is no host " + name);
    return Set{name};
  }

  Set running() const {
    Set up = minus(to_set(view_.nodes), view_.killed);
    return processes_ ? minus(up, view_.paused) : up;
  }

  Result<Set> set(const Expression& expression) {
    const std::string& word = expression.word;
    const std::size_t nodes = view_.nodes.size();
    if (word == "all") return to_set(view_.nodes);
    if (word == "clients") return to_set(view_.clients);
    if (word == "client") return sample(to_set(view_.clients), 1);
    if (word == "one" || word == "random") return sample(running(), static_cast<std::size_t>(expression.count));
    if (word == "minority") return sample(to_set(view_.nodes), std::max<std::size_t>((nodes - 1) / 2, 1));
    if (word == "majority") return sample(to_set(view_.nodes), nodes / 2 + 1);
    if (word == "killed") return view_.killed;
    if (word == "paused") return view_.paused;
    if (word == "up") return running();
    if (word == "voters" || word == "observers") {
      if (view_.voters.empty()) return fail(Errc::not_found, "the voters are not known");
      return word == "voters" ? view_.voters : minus(to_set(view_.nodes), view_.voters);
    }
    if (view_.controller.empty()) return fail(Errc::not_found, "no controller is known");
    note("controller", view_.controller, view_.controller_term);
    return Set{view_.controller};
  }

  void note(std::string role, const std::string& holder, std::int64_t epoch) {
    if (!resolution_.role.empty()) return;  // the first role of a step is the one it stands on
    resolution_.role = std::move(role);
    resolution_.holder = holder;
    resolution_.epoch = epoch;
  }

  Result<Set> role(const Expression& expression) {
    auto partition = chosen(expression);
    if (!partition) return fail(partition.error());
    const auto found = view_.partitions.find(*partition);
    const std::string name = fmt::format("{}/{}", partition->topic, partition->partition);
    if (found == view_.partitions.end()) return fail(Errc::not_found, "partition " + name + " is not known");
    const PartitionRole& state = found->second;
    if (state.leader.empty()) return fail(Errc::not_found, "no leader of " + name + " is known");
    note("leader(" + name + ")", state.leader, state.leader_epoch);
    const Set leader{state.leader};
    if (expression.word == "leader") return leader;
    if (expression.word == "followers") return minus(state.replicas, leader);
    if (expression.word == "isr") return state.isr;
    if (expression.word == "outsiders") return minus(state.replicas, state.isr);
    return sample(minus(state.isr, leader), 1);
  }

  // A bare role means one partition for the whole step: prefer one whose leader runs, so that the fault can act.
  Result<TopicPartition> chosen(const Expression& expression) {
    if (expression.partition) {
      if (!chosen_) chosen_ = expression.partition;
      return *expression.partition;
    }
    if (chosen_) return *chosen_;
    std::vector<TopicPartition> led;
    for (const auto& [partition, state] : view_.partitions) {
      if (!state.leader.empty() && running().contains(state.leader)) led.push_back(partition);
    }
    if (led.empty()) return fail(Errc::not_found, "no partition with a running leader is known");
    chosen_ = led[random_.below(led.size())];
    return *chosen_;
  }

  const WorldView& view_;
  const std::vector<Step>& plan_;
  Random random_;
  bool processes_ = false;
  std::optional<TopicPartition> chosen_;
  Resolution resolution_;
};

// Collects directed cuts, sorted and without repetition.
class Cuts {
 public:
  void one_way(const Set& from, const Set& to) {
    for (const std::string& a : from) {
      for (const std::string& b : to) {
        if (a != b) cuts_.insert({a, b});
      }
    }
  }
  void both_ways(const Set& a, const Set& b) {
    one_way(a, b);
    one_way(b, a);
  }
  std::vector<Cut> list() const { return {cuts_.begin(), cuts_.end()}; }

 private:
  std::set<Cut> cuts_;
};

Status need_four(const WorldView& view, std::string_view shape) {
  if (view.nodes.size() >= 4) return {};
  return fail(Errc::invalid_argument,
              fmt::format("a {} needs four nodes or more, there are {}", shape, view.nodes.size()));
}

Status cut_partition(const Step& step, const WorldView& view, Evaluator& evaluator, const Set& targets, Cuts& cuts) {
  const Set nodes = to_set(view.nodes);
  const Set clients = to_set(view.clients);
  const Set others = minus(nodes, targets);
  const Clients wanted = step.params.clients;
  switch (step.params.shape) {
    case Shape::isolate:
      cuts.both_ways(targets, nodes);
      if (wanted != Clients::keep) cuts.both_ways(targets, clients);
      return {};
    case Shape::brokers_not_clients:
      cuts.both_ways(targets, nodes);
      if (wanted == Clients::cut) cuts.both_ways(targets, clients);
      return {};
    case Shape::halves:
      cuts.both_ways(targets, others);
      if (wanted == Clients::cut) cuts.both_ways(targets, clients);
      return {};
    case Shape::bridge: {
      ORDEAL_TRY(need_four(view, "bridge"));
      const Set half = evaluator.sample(others, others.size() / 2);
      cuts.both_ways(half, minus(others, half));
      return {};
    }
    case Shape::ring: {
      ORDEAL_TRY(need_four(view, "ring"));
      const std::size_t count = view.nodes.size();
      for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t j = i + 2; j < count; ++j) {
          if (i != 0 || j != count - 1) cuts.both_ways({view.nodes[i]}, {view.nodes[j]});
        }
      }
      return {};
    }
    case Shape::link:
    case Shape::client_broker:
      return fail(Errc::internal, "links are cut by cut_links");
  }
  return fail(Errc::internal, "unknown shape");
}

Result<Resolution> resolve_links(const Step& step, Evaluator& evaluator) {
  auto from = evaluator.evaluate(step.on.from);
  if (!from) return fail(from.error());
  auto to = evaluator.evaluate(step.on.to);
  if (!to) return fail(to.error());
  Cuts cuts;
  if (step.verb != Verb::net_partition) {
    cuts.one_way(*from, *to);
  } else {
    cuts.both_ways(*from, *to);
  }
  Resolution resolution = evaluator.resolution();
  resolution.from.assign(from->begin(), from->end());
  resolution.to.assign(to->begin(), to->end());
  from->insert(to->begin(), to->end());
  resolution.targets.assign(from->begin(), from->end());
  resolution.cuts = cuts.list();
  if (resolution.cuts.empty()) return fail(Errc::not_found, "both ends are the same host");
  return resolution;
}

// Either end may be anyone, which is "*".
Result<Resolution> resolve_message(const Step& step, Evaluator& evaluator) {
  Set ends[2] = {{"*"}, {"*"}};
  const std::string* sides[2] = {&step.on.from, &step.on.to};
  Set targets;
  for (std::size_t i = 0; i < 2; ++i) {
    if (sides[i]->empty()) continue;
    auto found = evaluator.evaluate(*sides[i]);
    if (!found) return fail(found.error());
    targets.insert(found->begin(), found->end());
    ends[i] = std::move(*found);
  }
  Resolution resolution = evaluator.resolution();
  resolution.targets.assign(targets.begin(), targets.end());
  resolution.from.assign(ends[0].begin(), ends[0].end());
  resolution.to.assign(ends[1].begin(), ends[1].end());
  for (const std::string& from : ends[0]) {
    for (const std::string& to : ends[1]) {
      if (from != to || from == "*") resolution.cuts.push_back({from, to});
    }
  }
  if (resolution.cuts.empty()) return fail(Errc::not_found, "both ends are the same host");
  return resolution;
}

// What is asked for concerns a partition, a topic or a node; who asks may be left open.
Result<Resolution> resolve_request(const Step& step, Evaluator& evaluator) {
  Set targets;
  Set via;
  if (!step.on.nodes.empty()) {
    auto found = evaluator.evaluate(step.on.nodes);
    if (!found) return fail(found.error());
    targets = std::move(*found);
  }
  if (!step.on.from.empty()) {
    auto found = evaluator.evaluate(step.on.from);
    if (!found) return fail(found.error());
    via = std::move(*found);
  }
  const bool of_partition =
      step.verb == Verb::partition_elect || (step.verb == Verb::topic_set && step.params.topic.empty());
  if (of_partition) {
    if (const auto found = evaluator.any_partition(); !found) return fail(found.error());
  }
  Resolution resolution = evaluator.resolution();
  resolution.targets.assign(targets.begin(), targets.end());
  resolution.from.assign(via.begin(), via.end());
  return resolution;
}

}  // namespace

Status check_expression(std::string_view expression) {
  const auto parsed = parse_expression(expression);
  if (!parsed) return fail(parsed.error());
  return {};
}

std::vector<std::string> steps_needed(const Step& step) {
  std::vector<std::string> ids;
  if (step.when.kind == Trigger::Kind::after) ids.push_back(step.when.step);
  if (!step.when.since.empty()) ids.push_back(step.when.since);
  if (step.resolved) return ids;  // who is meant is known
  for (const std::string* text : {&step.on.nodes, &step.on.from, &step.on.to}) {
    for (std::string& id : steps_named(*text)) ids.push_back(std::move(id));
  }
  return ids;
}

Result<Resolution> resolve(const Step& step, const WorldView& view, const std::vector<Step>& plan) {
  if (step.resolved) return *step.resolved;
  Evaluator evaluator(step, view, plan);
  if (is_request(step.verb)) return resolve_request(step, evaluator);
  if (step.verb == Verb::clients_pause) {
    Resolution resolution = evaluator.resolution();
    resolution.targets = view.clients;
    return resolution;
  }
  if (step.verb == Verb::net_message) return resolve_message(step, evaluator);
  if (!step.on.from.empty()) return resolve_links(step, evaluator);
  auto targets = evaluator.evaluate(step.on.nodes);
  if (!targets) return fail(targets.error());
  Cuts cuts;
  if (step.verb == Verb::net_partition) ORDEAL_TRY(cut_partition(step, view, evaluator, *targets, cuts));
  if (step.verb == Verb::net_simplex) {
    Set others = to_set(view.nodes);
    others.insert(view.clients.begin(), view.clients.end());
    others = minus(others, *targets);
    step.params.direction == Direction::out ? cuts.one_way(*targets, others) : cuts.one_way(others, *targets);
  }
  if (is_link_fault(step.verb)) {  // from and to everyone
    Set others = to_set(view.nodes);
    others.insert(view.clients.begin(), view.clients.end());
    cuts.both_ways(*targets, others);
  }
  Resolution resolution = evaluator.resolution();
  resolution.targets.assign(targets->begin(), targets->end());
  resolution.cuts = cuts.list();
  if (is_network(step.verb) && resolution.cuts.empty()) return fail(Errc::not_found, "there is no link to cut");
  return resolution;
}

std::string why_moved(const Resolution& resolution, const WorldView& view) {
  if (resolution.role.empty()) return {};
  if (resolution.role == "controller") {
    if (view.controller_term <= resolution.epoch || view.controller == resolution.holder) return {};
    return fmt::format("the controller moved from {} to {}", resolution.holder, view.controller);
  }
  for (const auto& [partition, role] : view.partitions) {
    if (resolution.role != fmt::format("leader({}/{})", partition.topic, partition.partition)) continue;
    if (role.leader_epoch <= resolution.epoch || role.leader == resolution.holder) return {};
    return fmt::format("{} moved from {} to {} in epoch {}", resolution.role, resolution.holder, role.leader,
                       role.leader_epoch);
  }
  return {};
}

}  // namespace ordeal::plan
