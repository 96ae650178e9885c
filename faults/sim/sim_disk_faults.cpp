// What goes wrong on a simulated disk by order: failing, short, slow, stuck and lying calls, rot, crashes inside calls.
//
// Each fault counts the calls that match it and none other, so that adding or healing one does not move another.
#include <fmt/format.h>

#include <algorithm>

#include "broker/base/check.h"
#include "faults/sim/sim_disk.h"
#include "faults/sim/sim_inode.h"

namespace ordeal::sim {
namespace {

constexpr std::pair<FileOp, const char*> kOps[] = {{FileOp::open, "open"},
                                                   {FileOp::read, "read"},
                                                   {FileOp::write, "write"},
                                                   {FileOp::sync, "sync"},
                                                   {FileOp::truncate, "truncate"},
                                                   {FileOp::rename, "rename"},
                                                   {FileOp::remove, "remove"},
                                                   {FileOp::create_directory, "create_directory"},
                                                   {FileOp::sync_directory, "sync_directory"},
                                                   {FileOp::list, "list"},
                                                   {FileOp::exists, "exists"},
                                                   {FileOp::any, "any"}};

bool can_strike(DiskFault::Kind kind, FileOp op) {
  switch (kind) {
    case DiskFault::Kind::short_write:
      return op == FileOp::write;
    case DiskFault::Kind::lie:
      return op == FileOp::sync || op == FileOp::sync_directory;
    case DiskFault::Kind::corrupt_read:
      return op == FileOp::read;
    case DiskFault::Kind::error:
      return true;
    default:
      return op != FileOp::exists;
  }
}

}  // namespace

const char* file_op_name(FileOp op) { return kOps[static_cast<std::size_t>(op)].second; }

std::optional<FileOp> parse_file_op(std::string_view name) {
  for (const auto& [op, known] : kOps) {
    if (known == name) return op;
  }
  return std::nullopt;
}

void SimDisk::inject(DiskFault fault) {
  Armed armed{std::move(fault), nullptr};
  if (armed.fault.kind == DiskFault::Kind::stall) armed.stall = std::make_shared<Stall>();
  faults_.push_back(std::move(armed));
}

void SimDisk::heal(const std::string& name) {
  std::vector<std::shared_ptr<Stall>> over;
  std::erase_if(faults_, [&](const Armed& armed) {
    if (armed.fault.name != name) return false;
    if (armed.stall) over.push_back(armed.stall);
    return true;
  });
  for (const auto& stall : over) stall->end();
}

void SimDisk::clear_faults() {
  capacity_ = UINT64_MAX;
  for (const Armed& armed : std::exchange(faults_, {})) {
    if (armed.stall) armed.stall->end();
  }
}

bool SimDisk::faulty(const std::string& name) const {
  return std::any_of(faults_.begin(), faults_.end(),
                     [&](const Armed& armed) { return armed.fault.name == name && armed.fault.count > 0; });
}

bool SimDisk::stalls() const {
  return std::any_of(faults_.begin(), faults_.end(),
                     [](const Armed& armed) { return armed.stall != nullptr && !armed.stall->on_end.empty(); });
}

std::uint64_t SimDisk::fault_hits(const std::string& name) const {
  const auto found = hits_.find(name);
  return found == hits_.end() ? 0 : found->second;
}

// The fault that this call meets, after the calls to be let pass and while its count lasts.
SimDisk::Armed* SimDisk::striking(FileOp op, const std::string& path) {
  for (Armed& armed : faults_) {
    DiskFault& fault = armed.fault;
    const bool fits =
        (fault.op == op || (fault.op == FileOp::any && op != FileOp::exists)) && can_strike(fault.kind, op);
    if (!fits || fault.count == 0 || path.find(fault.path_part) == std::string::npos) continue;
    if (fault.skip > 0) {
      --fault.skip;
      continue;
    }
    if (fault.count != kUntilHealed) --fault.count;
    ++hits_[fault.name];
    return &armed;
  }
  return nullptr;
}

Result<SimDisk::Struck> SimDisk::begin(const Frozen& handle, FileOp op, const std::string& path) {
  if (handle.frozen) return fail(Errc::io, path + ": the disk of a dead node");
  if (handle.scheduler != nullptr) handle.scheduler->settle_calls();
  ++operations_;
  loop_.digest().note(file_op_name(op), loop_.now(), id_, std::string_view(path));
  if (recording_) recorded_.push_back(fmt::format("{} {}", file_op_name(op), path));
  if (faults_.empty()) return Struck{};
  const Armed* armed = striking(op, path);
  if (armed == nullptr) return Struck{};
  const DiskFault& fault = armed->fault;
  lied_ = lied_ || fault.kind == DiskFault::Kind::lie;
  failed_ = failed_ || (fault.kind != DiskFault::Kind::slow && fault.kind != DiskFault::Kind::stall);
  switch (fault.kind) {
    case DiskFault::Kind::error:
      return fail(fault.error, fmt::format("{} {}: injected fault", file_op_name(op), path));
    case DiskFault::Kind::slow:
      if (handle.scheduler != nullptr) handle.scheduler->slow_call(fault.by);
      break;
    case DiskFault::Kind::stall:
      if (handle.scheduler != nullptr) handle.scheduler->stall_call(armed->stall);
      break;
    default:
      break;
  }
  return Struck{fault.kind, fault.error};
}

std::unexpected<Error> SimDisk::full(const std::string& path) {
  failed_ = true;
  return fail(Errc::no_space, path + ": the disk is full");
}

void SimDisk::crash_in_call(std::uint64_t calls, CrashKind kind, std::string path_part) {
  ORDEAL_CHECK(calls > 0);
  crash_in_ = calls;
  crash_kind_ = kind;
  crash_part_ = std::move(path_part);
}

bool SimDisk::strikes(const std::string& path) {
  if (!crash_in_ || path.find(crash_part_) == std::string::npos || --*crash_in_ > 0) return false;
  crash_in_.reset();
  return true;
}

Result<std::string> SimDisk::flip_drawn_bit(const std::string& path_part, Random& random) {
  std::vector<std::string> candidates;
  for (std::string& path : files()) {
    if (path.find(path_part) != std::string::npos && !peek(path)->empty()) candidates.push_back(std::move(path));
  }
  if (candidates.empty()) return fail(Errc::not_found, fmt::format("no file with '{}' holds a byte", path_part));
  const std::string& path = candidates[random.below(candidates.size())];
  const std::uint64_t offset = random.below(peek(path)->size());
  const auto bit = static_cast<unsigned>(random.below(8));
  ORDEAL_TRY(flip_bit(path, offset, bit));
  return fmt::format("{} byte {} bit {}", path, offset, bit);
}

}  // namespace ordeal::sim
