// The plan verbs that only simulated devices can do: slow, clogged and failing links, single messages, disks, clocks.
//
// Each fault carries its step's id as its name, so that a heal ends exactly what its begin had set up. A verb that
// finds nothing to act on has missed.
#include <fmt/format.h>

#include <algorithm>

#include "broker/base/check.h"
#include "faults/sim/plan_runner.h"

namespace ordeal::sim {
namespace {

using plan::Verb;

constexpr Duration kClogMax = 24h;  // ends with the step

// What the verb does to calls, but for what the step's parameters say.
DiskFault disk_fault(const plan::Step& step) {
  const plan::Params& params = step.params;
  DiskFault fault;
  fault.op = FileOp::write;
  fault.path_part = params.path;
  fault.error = params.no_space ? Errc::no_space : Errc::io;
  fault.skip = params.skip;
  fault.by = params.by;
  fault.name = step.id;
  bool state = false;  // holds until healed, unless counted
  switch (step.verb) {
    case Verb::disk_short_write:
      fault.kind = DiskFault::Kind::short_write;
      break;
    case Verb::disk_slow:
    case Verb::disk_stall:
      fault.kind = step.verb == Verb::disk_slow ? DiskFault::Kind::slow : DiskFault::Kind::stall;
      fault.op = FileOp::sync;
      state = true;
      break;
    case Verb::disk_fsync_lie:
      fault.kind = DiskFault::Kind::lie;
      fault.op = FileOp::any;
      state = true;
      break;
    case Verb::disk_bitflip:
      fault.kind = DiskFault::Kind::corrupt_read;
      fault.op = FileOp::read;
      break;
    default:
      break;
  }
  if (!params.op.empty()) fault.op = parse_file_op(params.op).value_or(fault.op);
  fault.count = params.count.value_or(state ? kUntilHealed : 1);
  return fault;
}

MessageFault::Action action_of(plan::MessageAction action) {
  switch (action) {
    case plan::MessageAction::delay:
      return MessageFault::Action::delay;
    case plan::MessageAction::drop:
      return MessageFault::Action::drop;
    case plan::MessageAction::duplicate:
      return MessageFault::Action::duplicate;
    case plan::MessageAction::hold:
      return MessageFault::Action::hold;
  }
  ORDEAL_CHECK(false, "unknown action");
}

}  // namespace

bool PlanRunner::is_device(Verb verb) {
  return plan::is_link_fault(verb) || plan::is_call_fault(verb) || verb == Verb::net_refuse ||
         verb == Verb::clock_jump || verb == Verb::clock_drift;
}

// No plan damages more nodes than it declares: beyond that nothing is promised, and nothing would be learnt.
Status PlanRunner::within_envelope(const plan::Step& step) {
  if (!plan::is_damage(step.verb)) return {};
  std::set<NodeId> damaged = damaged_;
  for (const NodeId id : nodes_of(step)) damaged.insert(id);
  const plan::Loss loss = conductor_.plan().loss;
  std::size_t whole = world_.nodes().size();
  if (hands_.voters) whole = std::min(whole, hands_.voters().size());  // what few nodes vote on must survive too
  const std::size_t minority = (whole - 1) / 2;
  if (loss != plan::Loss::any && damaged.size() > (loss == plan::Loss::minority ? minority : 0))
    return fail(Errc::unsupported, fmt::format("it would damage {} of {} nodes, more than the plan's loss allows",
                                               damaged.size(), world_.nodes().size()));
  damaged_ = std::move(damaged);
  return {};
}

Result<std::string> PlanRunner::strike_device(const plan::Step& step) {
  if (plan::is_link_fault(step.verb)) return strike_links(step);
  std::string said;
  for (const NodeId id : nodes_of(step)) {
    if (plan::is_call_fault(step.verb)) {
      const Result<std::string> struck = strike_disk(step, id);
      if (!struck) return struck;
      said += (said.empty() ? "" : ", ") + *struck;
    } else if (step.verb == Verb::net_refuse) {
      refuse(step, id, false);
      said = "connections are refused";
    } else {
      strike_clock(step, id, false);
      said = fmt::format("clock {} ms ahead, {} ppm fast", world_.wall_offset(id) / 1ms, world_.clock_drift(id));
    }
  }
  return said;
}

Result<std::string> PlanRunner::strike_links(const plan::Step& step) {
  SimNetwork& network = world_.network();
  const plan::Params& params = step.params;
  const Duration longest = step.hold.value_or(step.until ? step.until->timeout + 1min : kClogMax);
  std::size_t connections = 0;
  for (const plan::Cut& link : step.resolved->cuts) {
    const std::string from = link.from == "*" ? "" : address(link.from);
    const std::string to = link.to == "*" ? "" : address(link.to);
    if (step.verb == Verb::net_delay) network.slow(from, to, params.by, params.jitter);
    if (step.verb == Verb::net_clog) network.clog(from, to, world_.now() + longest);
    if (step.verb == Verb::net_message) {
      network.add_message_fault({params.api, params.reply, from, to, action_of(params.action), params.by, params.skip,
                                 params.count.value_or(1), step.id});
    }
    if (step.verb == Verb::net_reset && params.one_in > 0) network.lose(from, to, params.one_in);
    for (const std::uint16_t port : ports_of(step)) {
      if (step.verb == Verb::net_reset) connections += network.reset_connections(from, to, port);
      if (step.verb == Verb::net_half_open) connections += network.half_open(from, to, port);
    }
  }
  const bool momentary = step.verb == Verb::net_half_open || (step.verb == Verb::net_reset && params.one_in == 0);
  if (momentary && connections == 0) return fail(Errc::not_found, "there was no connection");
  if (momentary || step.verb == Verb::net_reset) return fmt::format("{} connections ended", connections);
  return fmt::format("{} directed links", step.resolved->cuts.size());
}

std::string PlanRunner::heal_links(const plan::Step& step) {
  SimNetwork& network = world_.network();
  if (step.verb == Verb::net_message) {
    network.remove_message_fault(step.id);
    return fmt::format("acted on {} messages", network.message_hits(step.id));
  }
  for (const plan::Cut& link : step.resolved->cuts) {
    const std::string from = address(link.from);
    const std::string to = address(link.to);
    if (step.verb == Verb::net_delay) network.slow(from, to, {});
    if (step.verb == Verb::net_clog) network.unclog(from, to);
    if (step.verb == Verb::net_reset) network.lose(from, to, 0);
  }
  return "links as before";
}

Result<std::string> PlanRunner::strike_disk(const plan::Step& step, NodeId id) {
  SimDisk& disk = world_.disk(id);
  if (step.verb == Verb::disk_full) {
    disk.set_capacity(disk.used_bytes() + step.params.room);
    return fmt::format("{} bytes left", step.params.room);
  }
  if (step.verb == Verb::disk_bitflip && !step.params.transient) {
    Random random = draw_.fork(step.id).fork(world_.host(id));
    return disk.flip_drawn_bit(step.params.path, random);
  }
  disk.inject(disk_fault(step));
  return fmt::format("{} armed", plan::verb_name(step.verb));
}

void PlanRunner::strike_clock(const plan::Step& step, NodeId id, bool heal) {
  if (step.verb == Verb::clock_jump)
    world_.set_wall_offset(id, world_.wall_offset(id) + (heal ? -step.params.offset : step.params.offset));
  else
    world_.set_clock_drift(id, heal ? 0 : step.params.ppm, !heal && step.params.timers);
}

void PlanRunner::refuse(const plan::Step& step, NodeId id, bool heal) {
  for (const std::uint16_t port : ports_of(step)) {
    if (heal)
      world_.network().accept_again(world_.host(id), port);
    else
      world_.network().refuse(world_.host(id), port);
  }
}

// Whether another step that still holds has taken this node down.
bool PlanRunner::kept_down(std::size_t by_others_than, NodeId id) const {
  return std::any_of(holding_.begin(), holding_.end(), [&](std::size_t index) {
    const plan::Step& step = conductor_.plan().steps[index];
    if (index == by_others_than || !step.resolved) return false;
    if (is_device(step.verb) || is_asked(step.verb) || plan::is_network(step.verb)) return false;
    const std::vector<NodeId> nodes = nodes_of(step);
    return std::find(nodes.begin(), nodes.end(), id) != nodes.end();
  });
}

// A broker may have ended itself over what its disk did to it: then it is started again on the healed disk.
void PlanRunner::heal_device(std::size_t index) {
  const plan::Step& step = conductor_.plan().steps[index];
  if (plan::is_link_fault(step.verb)) {
    healed(index, true, heal_links(step));
    return;
  }
  std::vector<NodeId> ended;
  std::uint64_t hits = 0;
  for (const NodeId id : nodes_of(step)) {
    if (step.verb == Verb::net_refuse) refuse(step, id, true);
    if (step.verb == Verb::clock_jump || step.verb == Verb::clock_drift) strike_clock(step, id, true);
    if (!plan::is_call_fault(step.verb)) continue;
    if (step.verb == Verb::disk_full) world_.disk(id).set_capacity(UINT64_MAX);
    hits += world_.disk(id).fault_hits(step.id);
    world_.disk(id).heal(step.id);
    if (step.params.restart && world_.state(id) == NodeState::down && !kept_down(index, id)) ended.push_back(id);
  }
  const std::string done = plan::is_call_fault(step.verb) && hits > 0 ? fmt::format("struck {} calls", hits) : "over";
  if (ended.empty())
    healed(index, true, done);
  else
    wait_serving(index, std::move(ended), done + ", started again");
}

}  // namespace ordeal::sim
