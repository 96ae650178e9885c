#include "faults/sim/plan_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "broker/base/check.h"
#include "faults/plan/targets.h"

namespace ordeal::sim {
namespace {

constexpr Duration kPoll{5'000'000};

plan::TraceEvent to_plan(const TraceEvent& event) {
  plan::TraceEvent out{event.at.time_since_epoch().count(), event.node, event.kind, {}};
  for (const auto& [name, value] : event.fields) {
    const auto* number = std::get_if<std::int64_t>(&value);
    out.fields[name] = number != nullptr ? std::to_string(*number) : std::get<std::string>(value);
  }
  return out;
}

}  // namespace

std::string FaultEvent::to_json() const {
  nlohmann::ordered_json line;
  line["t"] = at.time_since_epoch().count();
  line["event"] = event;
  if (!step.empty()) line["id"] = step;
  if (!kind.empty()) line["kind"] = kind;
  if (!targets.empty()) line["targets"] = targets;
  line["verified"] = verified;
  if (!evidence.empty()) line["evidence"] = evidence;
  return line.dump();
}

std::vector<plan::Verb> simulated_verbs() { return plan::all_verbs(); }

PlanRunner::PlanRunner(World& world, plan::Plan drawn, std::vector<std::string> client_hosts,
                       std::function<void(NodeId)> stop, PlanHands hands)
    : world_(world),
      conductor_(std::move(drawn)),
      stop_(std::move(stop)),
      hands_(std::move(hands)),
      draw_(world.random().fork("plan runner")) {
  for (const NodeId id : world_.nodes()) {
    addresses_[plan::node_name(id)] = world_.host(id);
    view_.nodes.push_back(plan::node_name(id));
  }
  for (std::size_t i = 0; i < client_hosts.size(); ++i) {
    const std::string name = fmt::format("c{}", i + 1);
    addresses_[name] = client_hosts[i];
    view_.clients.push_back(name);
  }
  for (const TraceEvent& event : world_.trace().events()) observe(event);  // what the nodes said before
  world_.trace().observe([this](const TraceEvent& event) { observe(event); });
}

std::string PlanRunner::address(const std::string& name) const {
  auto found = addresses_.find(name);
  ORDEAL_CHECK(found != addresses_.end(), "no host is named {}", name);
  return found->second;
}

const plan::WorldView& PlanRunner::view() {
  view_.killed.clear();
  view_.paused.clear();
  for (const NodeId id : world_.nodes()) {
    if (world_.state(id) == NodeState::down) view_.killed.insert(plan::node_name(id));
    if (world_.state(id) == NodeState::paused) view_.paused.insert(plan::node_name(id));
  }
  return view_;
}

void PlanRunner::start() {
  zero_ = world_.now();
  started_ = true;
  perform(conductor_.advance(elapsed()));
}

void PlanRunner::operation_completed() {
  ++operations_;
  if (started_) perform(conductor_.operations(elapsed(), operations_));
}

void PlanRunner::finish() { perform(conductor_.finish()); }

void PlanRunner::revive() {
  world_.heal_all();
  for (const NodeId id : world_.nodes()) {
    world_.disk(id).clear_faults();
    world_.disk(id).disarm_crash();
    if (world_.clock_drift(id) != 0) world_.set_clock_drift(id, 0);
    if (world_.state(id) == NodeState::paused) world_.resume(id);
    if (world_.state(id) == NodeState::down) world_.start(id);
  }
}

// Called inside the emitting node's step: what follows from the event happens between steps.
void PlanRunner::observe(const TraceEvent& event) {
  if (event.kind == "broker.ready") ready_[event.node] = world_.incarnation(event.node);
  const plan::TraceEvent translated = to_plan(event);
  plan::RoleTracker::observe(translated, view_);
  if (!started_) return;
  std::vector<plan::Action> actions = conductor_.observe(elapsed(), translated);
  if (actions.empty()) {
    arm();
    return;
  }
  world_.at(world_.now(), [this, actions] { perform(actions); });
}

void PlanRunner::perform(std::vector<plan::Action> actions) {
  for (const plan::Action& action : actions) {
    if (action.kind == plan::Action::Kind::begin)
      begin(action.step);
    else
      heal(action.step);
  }
  arm();
}

// One wake-up for the conductor's next deadline; superfluous ones find nothing due.
void PlanRunner::arm() {
  const std::optional<Duration> next = conductor_.next_deadline();
  if (!started_ || !next) return;
  world_.at(zero_ + *next, [this, due = *next] {
    if (conductor_.next_deadline() == due) perform(conductor_.advance(elapsed()));
  });
}

void PlanRunner::when(std::function<bool()> condition, Duration patience, std::function<void(bool)> then) {
  const bool holds = condition();
  if (holds || patience <= Duration::zero()) {
    then(holds);
    return;
  }
  world_.at(world_.now() + kPoll, [this, condition = std::move(condition), patience, then = std::move(then)] {
    when(condition, patience - kPoll, then);
  });
}

void PlanRunner::note(std::string event, std::size_t index, bool verified, std::string evidence) {
  const plan::Step& step = conductor_.plan().steps[index];
  FaultEvent line{world_.now(), std::move(event),   step.id, std::string(plan::verb_name(step.verb)), {},
                  verified,     std::move(evidence)};
  if (step.resolved) line.targets = step.resolved->targets;
  world_.loop().digest().note(line.event, line.at, std::string_view(line.step));
  events_.push_back(std::move(line));
}

std::vector<NodeId> PlanRunner::nodes_of(const plan::Step& step) const {
  std::vector<NodeId> ids;
  for (const NodeId id : world_.nodes()) {
    const auto& targets = step.resolved->targets;
    if (std::find(targets.begin(), targets.end(), plan::node_name(id)) != targets.end()) ids.push_back(id);
  }
  return ids;
}

void PlanRunner::miss(std::size_t index, std::string why) {
  note("fault.missed", index, false, std::move(why));
  perform(conductor_.gave_up(elapsed(), index));
}

void PlanRunner::begin(std::size_t index) {
  plan::Step& step = conductor_.plan().steps[index];
  Result<plan::Resolution> resolved = plan::resolve(step, view(), conductor_.plan().steps);
  if (!resolved) {
    miss(index, resolved.error().text);
    return;
  }
  step.resolved = std::move(*resolved);
  note("fault.resolve", index, true, step.resolved->role);
  if (const Status allowed = within_envelope(step); !allowed) {
    miss(index, allowed.error().text);
    return;
  }
  if (!is_device(step.verb) && !is_asked(step.verb)) {
    strike(index, step);
    return;
  }
  Result<std::string> struck = is_asked(step.verb) ? ask(step) : strike_device(step);
  if (struck)
    began(index, std::move(*struck));
  else
    miss(index, struck.error().text);
}

void PlanRunner::strike(std::size_t index, const plan::Step& step) {
  if (plan::is_network(step.verb)) {
    apply_cuts(step, true);
    began(index, fmt::format("{} directed links cut", step.resolved->cuts.size()));
    return;
  }
  const std::vector<NodeId> nodes = nodes_of(step);
  for (const NodeId id : nodes) {
    switch (step.verb) {
      case plan::Verb::proc_kill:
        world_.kill(id);
        break;
      case plan::Verb::proc_pause:
        world_.pause(id);
        break;
      case plan::Verb::proc_restart:
        if (world_.state(id) == NodeState::running) stop_(id);
        break;
      case plan::Verb::node_crash:  // inside one of its next file calls
        world_.disk(id).crash_in_call(1 + draw_.fork(step.id).fork(world_.host(id)).below(20), CrashKind::power,
                                      step.params.path);
        break;
      case plan::Verb::node_amnesia:
        world_.power_cut(id);
        world_.wipe(id);
        break;
      default:
        world_.power_cut(id);
        break;
    }
  }
  const NodeState wanted = step.verb == plan::Verb::proc_pause ? NodeState::paused : NodeState::down;
  auto struck = [this, nodes, wanted] {
    return std::all_of(nodes.begin(), nodes.end(), [&](NodeId id) { return world_.state(id) == wanted; });
  };
  const bool crash = step.verb == plan::Verb::node_crash;
  when(struck, crash ? Duration(1s) : step.params.timeout, [this, index, nodes, crash](bool done) {
    for (const NodeId id : nodes) {  // neither a file call nor an orderly end came: by force
      if (!done && crash) world_.power_cut(id);
      if (!done && !crash) world_.kill(id);
    }
    began(index, done ? "seen down or stopped" : "ended by force after the timeout");
  });
}

std::vector<std::uint16_t> PlanRunner::ports_of(const plan::Step& step) const {
  std::vector<std::uint16_t> ports;
  for (const plan::ListenerClass listener : step.params.listeners) ports.push_back(plan::listener_port(listener));
  if (ports.empty()) ports.push_back(0);
  return ports;
}

void PlanRunner::apply_cuts(const plan::Step& step, bool cut) {
  const std::vector<std::uint16_t> ports = ports_of(step);
  for (const plan::Cut& link : step.resolved->cuts) {
    const std::string from = address(link.from);
    const std::string to = address(link.to);
    for (const std::uint16_t port : ports) {
      if (cut)
        world_.cut_one_way(from, to, port);
      else
        world_.heal_one_way(from, to, port);
      if (!cut && step.params.purge) world_.network().reset_connections(from, to, port);
    }
  }
}

void PlanRunner::began(std::size_t index, std::string evidence) {
  ++verified_;
  holding_.insert(index);
  note("fault.begin", index, true, std::move(evidence));
  perform(conductor_.began(elapsed(), index));
}

void PlanRunner::heal(std::size_t index) {
  const plan::Step& step = conductor_.plan().steps[index];
  if (!step.resolved) {
    healed(index, false, "it never began");
    return;
  }
  if (plan::is_network(step.verb)) {
    apply_cuts(step, false);
    healed(index, true, "links open");
    return;
  }
  if (is_device(step.verb)) {
    heal_device(index);
    return;
  }
  if (is_asked(step.verb)) {
    healed(index, true, heal_asked(step));
    return;
  }
  const std::vector<NodeId> nodes = nodes_of(step);
  if (step.verb == plan::Verb::proc_pause) {
    for (const NodeId id : nodes) world_.resume(id);
    healed(index, true, "resumed");
    return;
  }
  if (!step.params.restart) {
    healed(index, true, "stays down as the plan wants");
    return;
  }
  wait_serving(index, nodes, "serving again");
}

// Starts those of the nodes that are down, and calls the step healed when all of them have said that they are ready.
void PlanRunner::wait_serving(std::size_t index, std::vector<NodeId> nodes, std::string done) {
  const Duration timeout = conductor_.plan().steps[index].params.timeout;
  for (const NodeId id : nodes)
    if (world_.state(id) == NodeState::down) world_.start(id);
  auto serving = [this, nodes = std::move(nodes)] {
    return std::all_of(nodes.begin(), nodes.end(), [this](NodeId id) {
      return world_.state(id) != NodeState::down && ready_[id] == world_.incarnation(id);
    });
  };
  when(serving, timeout, [this, index, done = std::move(done)](bool ready) {
    healed(index, ready, ready ? done : "did not serve again within the timeout");
  });
}

void PlanRunner::healed(std::size_t index, bool verified, std::string evidence) {
  holding_.erase(index);
  note("fault.heal", index, verified, std::move(evidence));
  perform(conductor_.healed(elapsed(), index));
}

}  // namespace ordeal::sim
