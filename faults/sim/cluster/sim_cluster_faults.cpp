// The verbs that reach past nodes and links: single messages, disks, clocks, and requests to the controller.
#include <fmt/format.h>

#include <memory>

#include "broker/meta/control.pb.h"
#include "faults/sim/cluster/sim_cluster.h"

namespace ordeal::sim {

void SimCluster::heal_one_way(const std::string& from, const std::string& to, std::uint16_t port) {
  world_.heal_one_way(from, to, port);
  note_heal("net.simplex", kNoNode);
}

void SimCluster::message_fault(MessageFault fault) {
  static constexpr const char* kKinds[] = {"net.delay", "net.drop", "net.duplicate", "net.hold"};
  note_begin(kKinds[static_cast<std::size_t>(fault.action)], {},
             fmt::format("{} {} from {} to {}", fault.api, fault.reply ? "replies" : "requests",
                         fault.from.empty() ? "anyone" : fault.from, fault.to.empty() ? "anyone" : fault.to));
  world_.network().add_message_fault(std::move(fault));
}

void SimCluster::release_messages(const std::string& name) {
  world_.network().release(name);
  note_heal("net.hold", kNoNode);
}

void SimCluster::crash_in_call(NodeId node, std::uint64_t calls, CrashKind kind, const std::string& path_part) {
  world_.disk(node).crash_in_call(calls, kind, path_part);
  note_begin(kind == CrashKind::power ? "node.crash" : "proc.kill", {node},
             fmt::format("inside file call {} from here{}{}", calls, path_part.empty() ? "" : " on ", path_part));
}

void SimCluster::disk_fault(NodeId node, DiskFault fault) {
  static constexpr const char* kKinds[] = {"disk.error", "disk.short",     "disk.slow",
                                           "disk.stall", "disk.fsync_lie", "disk.corrupt_read"};
  note_begin(kKinds[static_cast<std::size_t>(fault.kind)], {node},
             fmt::format("{} {}", file_op_name(fault.op), fault.path_part));
  world_.disk(node).inject(std::move(fault));
}

void SimCluster::fill_disk(NodeId node) {
  SimDisk& disk = world_.disk(node);
  disk.set_capacity(disk.used_bytes());
  note_begin("disk.full", {node}, fmt::format("{} bytes", disk.used_bytes()));
}

// A flipped bit and a lost disk are damage, which nothing ends.
void SimCluster::disk_heal(NodeId node) {
  world_.disk(node).clear_faults();
  for (const char* kind :
       {"disk.error", "disk.short", "disk.slow", "disk.stall", "disk.fsync_lie", "disk.corrupt_read", "disk.full"})
    for (std::size_t open = faults_.size(); open > 0; --open) note_heal(kind, node);
}

Status SimCluster::wipe_disk(NodeId node) {
  if (world_.state(node) != NodeState::down)
    return fail(Errc::invalid_argument, fmt::format("node {} runs: its disk cannot be wiped", node));
  world_.disk(node).wipe();
  note_begin("disk.wipe", {node}, "wiped by the script");
  return {};
}

void SimCluster::set_clock(NodeId node, Duration offset) {
  world_.set_wall_offset(node, offset);
  note_begin("clock.offset", {node}, fmt::format("{} ms", offset / 1ms));
}

void SimCluster::set_clock_drift(NodeId node, std::int64_t ppm) {
  world_.set_clock_drift(node, ppm);
  note_begin("clock.drift", {node}, fmt::format("{} ppm", ppm));
}

namespace {

env::Task<> ask(meta::Node* node, meta::ControllerRequest request, Instant deadline,
                std::shared_ptr<Result<meta::ControllerResponse>> out) {
  Result<meta::ControllerResponse> answer = co_await node->call_controller(std::move(request), deadline);
  *out = std::move(answer);
}

}  // namespace

Result<NodeId> SimCluster::asker(NodeId via) {
  if (via == kNoNode) via = controller();
  for (const NodeId id : world_.nodes())
    if (via == kNoNode && serving(id) && world_.state(id) == NodeState::running) via = id;
  if (via == kNoNode || !serving(via)) return fail(Errc::unreachable, "no node serves that could ask the controller");
  return via;
}

Result<meta::ControllerResponse> SimCluster::ask_controller(meta::ControllerRequest request, Duration bound,
                                                            NodeId via) {
  const Result<NodeId> from = asker(via);
  if (!from) return fail(from.error());
  auto answer = std::make_shared<Result<meta::ControllerResponse>>(fail(Errc::timed_out, "no answer"));
  const bool ended =
      finish(world_.env(*from), ask(&broker(*from)->node(), std::move(request), world_.now() + bound, answer),
             "scenario.request", bound + 1s);
  if (!ended) return fail(Errc::timed_out, "the controller did not answer in time");
  return std::move(*answer);
}

Status SimCluster::tell_controller(meta::ControllerRequest request, Duration bound, NodeId via) {
  const Result<NodeId> from = asker(via);
  if (!from) return fail(from.error());
  auto answer = std::make_shared<Result<meta::ControllerResponse>>(fail(Errc::timed_out, "no answer"));
  world_.env(*from).scheduler.spawn(
      ask(&broker(*from)->node(), std::move(request), world_.now() + bound, std::move(answer)), "scenario.request");
  return {};
}

}  // namespace ordeal::sim
