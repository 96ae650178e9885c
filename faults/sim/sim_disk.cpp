#include "faults/sim/sim_disk.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/base/check.h"
#include "faults/sim/sim_inode.h"

namespace ordeal::sim {
namespace {

std::vector<std::string> split(const std::string& path) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t slash = std::min(path.find('/', at), path.size());
    if (slash > at) parts.push_back(path.substr(at, slash - at));
    at = slash + 1;
  }
  return parts;
}

// The parent's path and the last name; ("", "") for the root.
std::pair<std::string, std::string> parent_and_name(const std::string& path) {
  const std::vector<std::string> parts = split(path);
  if (parts.empty()) return {};
  std::string parent = "/";
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) parent += (i == 0 ? "" : "/") + parts[i];
  return {parent, parts.back()};
}

std::unexpected<Error> missing(const std::string& path) { return fail(Errc::not_found, path + ": no such file"); }

std::unexpected<Error> dead(const std::string& path) { return fail(Errc::io, path + ": the disk of a dead node"); }

std::uint64_t bytes_in(const Inode& inode) {
  std::uint64_t total = inode.cached.size();
  for (const auto& [name, child] : inode.names) total += bytes_in(*child);
  return total;
}

void collect_files(const Inode& inode, const std::string& path, std::vector<std::string>& out) {
  if (!inode.is_directory) out.push_back(path);
  for (const auto& [name, child] : inode.names) collect_files(*child, path + "/" + name, out);
}

}  // namespace

SimDisk::SimDisk(SimLoop& loop, std::uint64_t id, Random random)
    : loop_(loop), id_(id), random_(random), root_(std::make_shared<Inode>(true)) {}
SimDisk::~SimDisk() = default;

void SimDisk::power_cut() {
  loop_.digest().note("power cut", loop_.now(), id_);
  Random own(random_.next());
  root_->power_cut(own);
  tell(DiskChange::power_cut, "");
}

void SimDisk::wipe() {
  failed_ = true;
  root_ = std::make_shared<Inode>(true);
  tell(DiskChange::wipe, "");
}

Status SimDisk::flip_bit(const std::string& path, std::uint64_t offset, unsigned bit) {
  const auto inode = find(path);
  if (inode == nullptr || inode->is_directory) return missing(path);
  if (offset >= inode->cached.size()) return fail(Errc::out_of_range, fmt::format("{}: no byte {}", path, offset));
  const auto mask = static_cast<std::uint8_t>(1U << (bit % 8));
  failed_ = true;
  inode->cached[offset] ^= mask;
  if (offset < inode->durable.size()) inode->durable[offset] ^= mask;
  tell(DiskChange::rot, path, offset);
  return {};
}

std::uint64_t SimDisk::used_bytes() const { return bytes_in(*root_); }

std::uint64_t SimDisk::room() const {
  if (capacity_ == UINT64_MAX) return UINT64_MAX;
  const std::uint64_t used = used_bytes();
  return used >= capacity_ ? 0 : capacity_ - used;
}

std::shared_ptr<Inode> SimDisk::find(const std::string& path) const {
  std::shared_ptr<Inode> at = root_;
  for (const std::string& part : split(path)) {
    auto found = at->names.find(part);
    if (found == at->names.end()) return nullptr;
    at = found->second;
  }
  return at;
}

std::optional<Bytes> SimDisk::cached(const std::string& path) const {
  const auto inode = find(path);
  return inode && !inode->is_directory ? std::optional(inode->cached) : std::nullopt;
}

const Bytes* SimDisk::peek(const std::string& path) const {
  const auto inode = find(path);
  return inode && !inode->is_directory ? &inode->cached : nullptr;
}

std::optional<Bytes> SimDisk::durable(const std::string& path) const {
  std::shared_ptr<Inode> at = root_;
  for (const std::string& part : split(path)) {
    auto found = at->durable_names.find(part);
    if (found == at->durable_names.end()) return std::nullopt;
    at = found->second;
  }
  return at->is_directory ? std::nullopt : std::optional(at->durable);
}

std::vector<std::string> SimDisk::files() const {
  std::vector<std::string> out;
  collect_files(*root_, "", out);
  return out;
}

std::vector<std::string> SimDisk::files_under(const std::string& directory) const {
  std::vector<std::string> out;
  if (const auto inode = find(directory)) collect_files(*inode, directory, out);
  return out;
}

// After the drawn part of the call's effect: a power cut must find it among the unsynced.
Status SimDisk::crash(Frozen& handle, const std::string& path) {
  handle.frozen = true;
  loop_.digest().note("crash in call", loop_.now(), id_);
  if (on_crash_) on_crash_(crash_kind_);
  return fail(Errc::io, path + ": the node crashed here");
}

// An open file of one incarnation.
class SimFile final : public env::File {
 public:
  SimFile(SimDisk& disk, std::shared_ptr<SimDisk::Frozen> frozen, std::shared_ptr<Inode> inode, std::string path,
          bool writable)
      : disk_(disk),
        frozen_(std::move(frozen)),
        inode_(std::move(inode)),
        path_(std::move(path)),
        writable_(writable) {}

  Result<std::size_t> read_at(std::uint64_t offset, MutableByteView buffer) override {
    const auto struck = disk_.begin(*frozen_, FileOp::read, path_);
    if (!struck) return fail(struck.error());
    const Bytes& content = inode_->cached;
    if (offset >= content.size()) return std::size_t{0};
    const std::size_t count = std::min<std::size_t>(buffer.size(), content.size() - offset);
    std::copy_n(content.begin() + static_cast<std::ptrdiff_t>(offset), count, buffer.begin());
    if (struck->kind == DiskFault::Kind::corrupt_read && count > 0)
      buffer[disk_.random_.below(count)] ^= static_cast<std::uint8_t>(1U << disk_.random_.below(8));
    return count;
  }

  Status write_at(std::uint64_t offset, std::span<const ByteView> parts) override {
    const auto struck = may_write(FileOp::write);
    if (!struck) return fail(struck.error());
    Inode::Change change;
    change.offset = offset;
    for (const ByteView part : parts) change.bytes.insert(change.bytes.end(), part.begin(), part.end());
    if (change.bytes.empty()) return {};
    const std::uint64_t end = offset + change.bytes.size();
    if (end > inode_->cached.size() && end - inode_->cached.size() > disk_.room()) return disk_.full(path_);
    const bool strikes = disk_.strikes(path_);
    const bool cut_short = struck->kind == DiskFault::Kind::short_write;
    if (strikes || cut_short) change.bytes.resize(disk_.random_.below(change.bytes.size() + (strikes ? 1 : 0)));
    if (!change.bytes.empty()) {
      inode_->apply(std::move(change));
      disk_.tell(DiskChange::write, path_, offset);
    }
    if (strikes) return disk_.crash(*frozen_, path_);
    return cut_short ? fail(struck->error, path_ + ": a short write") : Status{};
  }

  Status sync() override {
    const auto struck = may_write(FileOp::sync);
    if (!struck) {
      if (!frozen_->frozen) inode_->forget_unsynced();
      return fail(struck.error());
    }
    if (struck->kind == DiskFault::Kind::lie) return {};
    const bool strikes = disk_.strikes(path_);
    if (strikes) {
      if (disk_.random_.chance(1, 2)) settle_sync(disk_, inode_, path_);
      return disk_.crash(*frozen_, path_);
    }
    const bool late = struck->kind == DiskFault::Kind::slow || struck->kind == DiskFault::Kind::stall;
    if (!late || frozen_->scheduler == nullptr ||
        !frozen_->scheduler->at_the_end([&disk = disk_, handle = frozen_, inode = inode_, path = path_] {
          if (!handle->frozen) settle_sync(disk, inode, path);
        }))
      settle_sync(disk_, inode_, path_);
    return {};
  }

  Status truncate(std::uint64_t size) override {
    const auto struck = may_write(FileOp::truncate);
    if (!struck) return fail(struck.error());
    Inode::Change change;
    change.truncates = true;
    change.offset = size;
    const bool strikes = disk_.strikes(path_);
    if (!strikes || disk_.random_.chance(1, 2)) {
      inode_->apply(std::move(change));
      disk_.tell(DiskChange::truncate, path_, size);
    }
    return strikes ? disk_.crash(*frozen_, path_) : Status{};
  }

  Status preallocate(std::uint64_t size) override {
    if (frozen_->frozen) return dead(path_);
    const std::uint64_t have = inode_->cached.size();
    return size > have && size - have > disk_.room() ? disk_.full(path_) : Status{};
  }

  Result<std::uint64_t> size() const override {
    if (frozen_->frozen) return dead(path_);
    return inode_->cached.size();
  }

 private:
  Result<SimDisk::Struck> may_write(FileOp op) {
    if (!writable_) return fail(Errc::io, path_ + ": opened for reading");
    return disk_.begin(*frozen_, op, path_);
  }
  static void settle_sync(SimDisk& disk, const std::shared_ptr<Inode>& inode, const std::string& path) {
    inode->sync();
    disk.tell(DiskChange::sync, path);
  }

  SimDisk& disk_;
  std::shared_ptr<SimDisk::Frozen> frozen_;
  std::shared_ptr<Inode> inode_;  // stays readable and writable after its name is gone, as on POSIX
  std::string path_;
  bool writable_;
};

// A change of names: accounted, and possibly the call inside which the node dies.
Status DiskHandle::change(FileOp op, const std::string& path, const std::function<void()>& effect) {
  const auto struck = disk_.begin(*frozen_, op, path);
  if (!struck) return fail(struck.error());
  if (struck->kind == DiskFault::Kind::lie) return {};
  const bool strikes = disk_.strikes(path);
  if (!strikes || disk_.random_.chance(1, 2)) {
    effect();
    disk_.tell(DiskChange::names, path);
  }
  return strikes ? disk_.crash(*frozen_, path) : Status{};
}

Result<std::unique_ptr<env::File>> DiskHandle::open(const std::string& path, env::OpenMode mode) {
  auto inode = disk_.find(path);
  const bool creates = mode == env::OpenMode::create || mode == env::OpenMode::create_new;
  if (inode == nullptr && creates) {
    const auto [parent_path, name] = parent_and_name(path);
    const auto parent = disk_.find(parent_path);
    if (parent == nullptr || !parent->is_directory || name.empty()) return missing(path);
    inode = std::make_shared<Inode>(false);
    ORDEAL_TRY(change(FileOp::open, path, [&, at = name] { parent->apply(Inode::NameChange{"", at, inode}); }));
  } else {
    ORDEAL_TRY(disk_.begin(*frozen_, FileOp::open, path));
    if (inode == nullptr) return missing(path);
    if (inode->is_directory) return fail(Errc::io, path + ": is a directory");
    if (mode == env::OpenMode::create_new) return fail(Errc::already_exists, path + ": exists already");
  }
  return std::make_unique<SimFile>(disk_, frozen_, std::move(inode), path, mode != env::OpenMode::read);
}

Status DiskHandle::rename(const std::string& from, const std::string& to) {
  const auto [from_parent, from_name] = parent_and_name(from);
  const auto [to_parent, to_name] = parent_and_name(to);
  if (from_parent != to_parent) return fail(Errc::unsupported, from + ": renaming across directories");
  const auto parent = disk_.find(from_parent);
  const auto inode = disk_.find(from);
  if (parent == nullptr || inode == nullptr) return missing(from);
  if (from_name == to_name) return {};
  const auto target = disk_.find(to);
  if (target != nullptr && target->is_directory && !target->names.empty())
    return fail(Errc::already_exists, to + ": a directory that is not empty");
  return change(FileOp::rename, to,
                [&, old = from_name, name = to_name] { parent->apply(Inode::NameChange{old, name, inode}); });
}

Status DiskHandle::remove(const std::string& path) {
  const auto [parent_path, name] = parent_and_name(path);
  const auto parent = disk_.find(parent_path);
  const auto inode = disk_.find(path);
  if (parent == nullptr || inode == nullptr || name.empty()) return missing(path);
  if (!inode->names.empty()) return fail(Errc::io, path + ": the directory is not empty");
  return change(FileOp::remove, path, [&, gone = name] { parent->apply(Inode::NameChange{gone, "", nullptr}); });
}

Status DiskHandle::remove_tree(const std::string& path) {
  const auto inode = disk_.find(path);
  if (inode == nullptr) return frozen_->frozen ? dead(path) : Status{};
  std::vector<std::string> names;
  for (const auto& [name, child] : inode->names) names.push_back(name);
  for (const std::string& name : names) ORDEAL_TRY(remove_tree(path + "/" + name));
  return remove(path);
}

Status DiskHandle::create_directories(const std::string& path) {
  std::string at;
  for (const std::string& part : split(path)) {
    const auto parent = disk_.find(at);
    ORDEAL_CHECK(parent != nullptr);
    at += "/" + part;
    if (const auto found = disk_.find(at); found != nullptr) {
      if (!found->is_directory) return fail(Errc::already_exists, at + ": is a file");
      continue;
    }
    ORDEAL_TRY(change(FileOp::create_directory, at,
                      [&] { parent->apply(Inode::NameChange{"", part, std::make_shared<Inode>(true)}); }));
  }
  return frozen_->frozen ? dead(path) : Status{};
}

Result<std::vector<env::DirectoryEntry>> DiskHandle::list(const std::string& path) {
  ORDEAL_TRY(disk_.begin(*frozen_, FileOp::list, path));
  const auto inode = disk_.find(path);
  if (inode == nullptr || !inode->is_directory) return missing(path);
  std::vector<env::DirectoryEntry> entries;
  for (const auto& [name, child] : inode->names) entries.push_back({name, child->is_directory, child->cached.size()});
  return entries;
}

bool DiskHandle::exists(const std::string& path) {
  if (frozen_->frozen || disk_.find(path) == nullptr) return false;
  if (disk_.faults_.empty() || disk_.striking(FileOp::exists, path) == nullptr) return true;
  disk_.failed_ = true;
  return false;
}

Status DiskHandle::sync_directory(const std::string& path) {
  const auto inode = disk_.find(path);
  if (inode == nullptr || !inode->is_directory) return missing(path);
  return change(FileOp::sync_directory, path, [&] { inode->sync(); });
}

}  // namespace ordeal::sim
