// What a script does to nodes, disks and clocks.
#include <fmt/format.h>

#include <algorithm>

#include "broker/base/check.h"
#include "faults/sim/scenarios/player.h"

namespace ordeal::sim {

using scenario::Step;

// A verb that finds its work done (killing what is down, starting what runs) does nothing.
Status Player::at_nodes(const Step& step, const Json& given) {
  const Result<std::vector<NodeId>> targets = nodes(given);
  if (!targets) return fail(targets.error());
  World& world = trial_.world();
  for (const NodeId id : *targets) {
    const NodeState state = world.state(id);
    if (step.verb == "power_cut") {
      cluster().power_cut(id);
    } else if (step.verb == "start") {
      if (state == NodeState::down) cluster().start(id);
    } else if (step.verb == "resume") {
      if (state == NodeState::paused) cluster().resume(id);
    } else if (state != NodeState::down) {
      if (step.verb == "kill") cluster().kill(id);
      if (step.verb == "stop") cluster().stop(id);
      if (step.verb == "pause" && state == NodeState::running) cluster().pause(id);
    }
  }
  return {};
}

Status Player::crash(const Step& step, const Json& given) {
  const Result<std::vector<NodeId>> targets = nodes(given);
  if (!targets) return fail(targets.error());
  const auto call = step.arguments.value("call", std::int64_t{1});
  const CrashKind kind = step.arguments.value("kind", "power") == "power" ? CrashKind::power : CrashKind::process;
  for (const NodeId id : *targets) {
    if (trial_.world().state(id) == NodeState::down)
      return fail(Errc::invalid_argument, fmt::format("n{} is down and makes no file call", id));
    cluster().crash_in_call(id, static_cast<std::uint64_t>(std::max<std::int64_t>(1, call)), kind,
                            step.arguments.value("path", ""));
  }
  return {};
}

Status Player::disk(const Step&, const Json& given) {
  const Result<std::vector<NodeId>> targets = nodes(given["node"]);
  if (!targets) return fail(targets.error());
  static const std::map<std::string, std::pair<DiskFault::Kind, Errc>> kFaults{
      {"eio", {DiskFault::Kind::error, Errc::io}},
      {"enospc", {DiskFault::Kind::error, Errc::no_space}},
      {"short_write", {DiskFault::Kind::short_write, Errc::no_space}},
      {"stall", {DiskFault::Kind::stall, Errc::io}},
      {"slow", {DiskFault::Kind::slow, Errc::io}},
      {"lie", {DiskFault::Kind::lie, Errc::io}}};
  const std::string name = given["fault"];
  for (const NodeId id : *targets) {
    if (name == "flip") {
      ORDEAL_TRY(flip(id, given));
    } else if (name == "wipe") {
      ORDEAL_TRY(cluster().wipe_disk(id));
    } else if (name == "full") {
      cluster().fill_disk(id);
    } else {
      const auto& [kind, error] = kFaults.at(name);
      const bool lasts =
          kind == DiskFault::Kind::stall || kind == DiskFault::Kind::slow || kind == DiskFault::Kind::lie;
      DiskFault fault;
      fault.kind = kind;
      fault.error = error;
      fault.op = parse_file_op(given.value("op", name == "lie" ? "any" : "write")).value_or(FileOp::write);
      fault.path_part = given.value("path", "");
      fault.skip = given.value("skip", std::uint64_t{0});
      fault.count = given.value("count", lasts ? kUntilHealed : std::uint64_t{1});
      if (given.contains("by")) fault.by = plan::parse_duration(given["by"].get<std::string>()).value_or(Duration{});
      fault.name = "script";
      cluster().disk_fault(id, std::move(fault));
    }
  }
  return {};
}

namespace {

std::uint64_t load_be(const Bytes& bytes, std::size_t at, std::size_t width) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < width; ++i) value = value << 8 | bytes[at + i];
  return value;
}

// A place inside the last value of the batch in the middle of a segment.
Result<std::uint64_t> place_of_value(const Bytes& bytes, const std::string& path) {
  constexpr std::size_t kHead = 12;    // base offset and length
  constexpr std::size_t kFromEnd = 8;  // after the value comes only the headers' count
  std::vector<std::size_t> ends;
  for (std::size_t at = 0; at + kHead <= bytes.size();) {
    at += kHead + load_be(bytes, at + 8, 4);
    if (at <= bytes.size()) ends.push_back(at);
  }
  if (ends.size() < 3) return fail(Errc::not_found, "too few batches in " + path);
  return ends[ends.size() / 2] - kFromEnd;
}

}  // namespace

Status Player::flip(NodeId node, const Json& given) {
  const SimDisk& disk = trial_.world().disk(node);
  const std::string part = given.value("path", "");
  std::vector<std::string> found = disk.files();
  std::erase_if(found, [&](const std::string& path) { return path.find(part) == std::string::npos; });
  if (found.empty()) return fail(Errc::not_found, fmt::format("n{} has no file whose path contains '{}'", node, part));
  const std::string& path = found.front();  // by name: of a log's segments the first
  const auto bytes = disk.cached(path);
  const auto size = static_cast<std::int64_t>(bytes->size());
  Result<std::uint64_t> place = std::uint64_t{0};
  if (given.value("at", "offset") == "value") {
    place = place_of_value(*bytes, path);
  } else if (given.contains("offset")) {
    const Result<std::int64_t> offset = number(given["offset"]);
    if (!offset) return fail(offset.error());
    const std::int64_t from_start = *offset < 0 ? size + *offset : *offset;
    if (from_start < 0 || from_start >= size)
      return fail(Errc::out_of_range, fmt::format("{} has {} bytes", path, size));
    place = static_cast<std::uint64_t>(from_start);
  }
  if (!place) return fail(place.error());
  return cluster().flip_bit(node, path, *place, static_cast<unsigned>(given.value("bit", std::uint64_t{3}) % 8));
}

Status Player::disk_heal(const Step&, const Json& given) {
  const Result<std::vector<NodeId>> targets = nodes(given);
  if (!targets) return fail(targets.error());
  for (const NodeId id : *targets) cluster().disk_heal(id);
  return {};
}

Status Player::clock(const Step&, const Json& given) {
  const Result<std::vector<NodeId>> targets = nodes(given["node"]);
  if (!targets) return fail(targets.error());
  if (given.contains("drift_ppm")) {
    const Result<std::int64_t> ppm = number(given["drift_ppm"]);
    if (!ppm) return fail(ppm.error());
    for (const NodeId id : *targets) cluster().set_clock_drift(id, *ppm);
  }
  if (!given.contains("offset")) return {};
  const Result<scenario::Value> offset = value(given["offset"]);
  if (!offset) return fail(offset.error());
  const auto* length = std::get_if<Duration>(&offset->is);
  if (length == nullptr)
    return fail(Errc::invalid_argument, fmt::format("offset: a duration is expected, not {}", offset->to_string()));
  for (const NodeId id : *targets) cluster().set_clock(id, *length);
  return {};
}

}  // namespace ordeal::sim
