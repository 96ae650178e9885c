// A small in-memory disk for the tests of this folder, honest about the durability rules of env/disk.h.
//
// What the kernel would hold (the files as the program sees them) and what the platter holds (bytes synced, names
// synced) are kept apart. power_cut() returns the disk as a machine would find it: names as of the last directory sync,
// bytes as of the last file sync, plus, if wanted, any part of what was written later: each unsynced write survives,
// is torn or is lost by a seeded draw, in any order. kill() keeps everything, as a process kill does. A sync that
// fails behaves as the kernels' does: what it was to store stays readable, counts as clean, and is lost for good unless
// it is written again.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/base/random.h"
#include "broker/env/disk.h"

namespace ordeal::log {

class TestDisk final : public env::Disk {
 public:
  struct Write {
    std::uint64_t offset = 0;
    Bytes bytes;
    std::optional<std::uint64_t> truncate_to;
  };
  struct Node {
    Bytes content;               // what readers see
    Bytes synced;                // what survives for certain
    std::vector<Write> pending;  // since the last sync, in order
  };

  // Fails the calls that match, once `skip` of them passed. A failing write leaves its first `written` bytes.
  struct Fault {
    std::string op;  // "open", "read", "write", "sync", "truncate", "rename", "remove", "list", "sync_directory"
    std::string path_part;
    int skip = 0;
    int count = 1;
    Errc code = Errc::io;
    std::size_t written = 0;
  };
  std::vector<Fault> faults;
  int calls_until_fault = -1;  // counts down over the same calls as below; at 0 that one call fails

  int calls_until_crash = -1;  // counts down over calls that change the disk; at 0 everything fails
  bool frozen = false;
  bool fail_syncs = false;
  std::uint64_t writes = 0;
  std::uint64_t syncs = 0;

  Result<std::unique_ptr<env::File>> open(const std::string& path, env::OpenMode mode) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& path) override;
  Status remove_tree(const std::string& path) override;
  Status create_directories(const std::string& path) override;
  Result<std::vector<env::DirectoryEntry>> list(const std::string& path) override;
  bool exists(const std::string& path) override { return names_.contains(path) || directories_.contains(path); }
  Status sync_directory(const std::string& path) override;

  // The disk after a power cut. Without `draw` nothing unsynced survives; with it, any part may.
  std::unique_ptr<TestDisk> power_cut(Random* draw = nullptr) const;
  // The disk after the process died: all that was written is there.
  std::unique_ptr<TestDisk> kill() const;

  Bytes* content(const std::string& path) {
    const auto found = names_.find(path);
    return found == names_.end() ? nullptr : &found->second->content;
  }
  std::vector<std::string> files() const {
    std::vector<std::string> paths;
    for (const auto& [path, node] : names_) paths.push_back(path);
    return paths;
  }

 private:
  friend class TestFile;
  static std::string parent(const std::string& path) { return path.substr(0, path.rfind('/')); }
  Status step(std::string_view op, const std::string& path, std::size_t* written = nullptr);
  Status fault_at(std::string_view op, const std::string& path, std::size_t* written = nullptr);

  std::map<std::string, std::shared_ptr<Node>> names_;
  std::map<std::string, std::shared_ptr<Node>> durable_names_;
  std::set<std::string> directories_;
  std::set<std::string> durable_directories_;
};

class TestFile final : public env::File {
 public:
  TestFile(TestDisk& disk, std::shared_ptr<TestDisk::Node> node, std::string path)
      : disk_(disk), node_(std::move(node)), path_(std::move(path)) {}

  Result<std::size_t> read_at(std::uint64_t offset, MutableByteView buffer) override {
    if (disk_.frozen) return fail(Errc::io, "the disk is gone");
    ORDEAL_TRY(disk_.fault_at("read", path_));
    if (offset >= node_->content.size()) return std::size_t{0};
    const std::size_t count = std::min<std::size_t>(buffer.size(), node_->content.size() - offset);
    std::copy_n(node_->content.begin() + static_cast<std::ptrdiff_t>(offset), count, buffer.begin());
    return count;
  }
  using env::File::write_at;
  Status write_at(std::uint64_t offset, std::span<const ByteView> parts) override {
    TestDisk::Write write{offset, {}, std::nullopt};
    for (const ByteView part : parts) write.bytes.insert(write.bytes.end(), part.begin(), part.end());
    // The crash may fall into the write itself: a kill leaves a part of it.
    const bool was_frozen = disk_.frozen;
    std::size_t written = was_frozen ? 0 : write.bytes.size() / 2;
    const Status stepped = disk_.step("write", path_, &written);
    if (!stepped) write.bytes.resize(std::min(written, write.bytes.size()));
    if (!write.bytes.empty()) {
      apply(node_->content, write);
      node_->pending.push_back(std::move(write));
    }
    ++disk_.writes;
    return stepped;
  }
  Status sync() override {
    Status stepped = disk_.step("sync", path_);
    if (!stepped && disk_.frozen) return stepped;
    ++disk_.syncs;
    if (stepped && disk_.fail_syncs) stepped = fail(Errc::io, "sync failed");
    if (stepped) {
      for (const TestDisk::Write& write : node_->pending) apply(node_->synced, write);
    }
    node_->pending.clear();
    return stepped;
  }
  Status truncate(std::uint64_t size) override {
    ORDEAL_TRY(disk_.step("truncate", path_));
    TestDisk::Write write{0, {}, size};
    apply(node_->content, write);
    node_->pending.push_back(std::move(write));
    return {};
  }
  Status preallocate(std::uint64_t) override { return disk_.step("preallocate", path_); }
  Result<std::uint64_t> size() const override { return std::uint64_t{node_->content.size()}; }

  static void apply(Bytes& content, const TestDisk::Write& write) {
    if (write.truncate_to) {
      content.resize(*write.truncate_to);
      return;
    }
    if (content.size() < write.offset + write.bytes.size()) content.resize(write.offset + write.bytes.size());
    std::copy(write.bytes.begin(), write.bytes.end(), content.begin() + static_cast<std::ptrdiff_t>(write.offset));
  }

 private:
  TestDisk& disk_;
  std::shared_ptr<TestDisk::Node> node_;
  const std::string path_;
};

inline Status TestDisk::fault_at(std::string_view op, const std::string& path, std::size_t* written) {
  for (Fault& fault : faults) {
    if (fault.op != op || fault.count == 0 || path.find(fault.path_part) == std::string::npos) continue;
    if (fault.skip-- > 0) continue;
    fault.skip = 0;
    --fault.count;
    if (written != nullptr) *written = fault.written;
    return fail(fault.code, std::string(op) + " " + path + ": injected fault");
  }
  return {};
}

inline Status TestDisk::step(std::string_view op, const std::string& path, std::size_t* written) {
  if (frozen) return fail(Errc::io, "the disk is gone");
  ORDEAL_TRY(fault_at(op, path, written));
  if (calls_until_fault >= 0 && calls_until_fault-- == 0) {
    return fail(Errc::io, std::string(op) + " " + path + ": injected fault");
  }
  if (calls_until_crash == 0) {
    frozen = true;
    return fail(Errc::io, "the machine died");
  }
  if (calls_until_crash > 0) --calls_until_crash;
  return {};
}

inline Result<std::unique_ptr<env::File>> TestDisk::open(const std::string& path, env::OpenMode mode) {
  if (frozen) return fail(Errc::io, "the disk is gone");
  if (names_.contains(path)) ORDEAL_TRY(fault_at("open", path));
  auto found = names_.find(path);
  const bool make = mode == env::OpenMode::create || mode == env::OpenMode::create_new;
  if (found == names_.end()) {
    if (!make) return fail(Errc::not_found, path);
    if (!directories_.contains(parent(path))) return fail(Errc::not_found, parent(path));
    ORDEAL_TRY(step("open", path));
    found = names_.emplace(path, std::make_shared<Node>()).first;
  } else if (mode == env::OpenMode::create_new) {
    return fail(Errc::already_exists, path);
  }
  return std::make_unique<TestFile>(*this, found->second, path);
}

inline Status TestDisk::rename(const std::string& from, const std::string& to) {
  ORDEAL_TRY(step("rename", to));
  if (directories_.contains(from)) {
    const auto moved = [&](const std::string& path) { return to + path.substr(from.size()); };
    std::map<std::string, std::shared_ptr<Node>> names;
    for (auto& [path, node] : names_) names[path.starts_with(from + "/") ? moved(path) : path] = node;
    names_ = std::move(names);
    directories_.erase(from);
    directories_.insert(to);
    return {};
  }
  const auto found = names_.find(from);
  if (found == names_.end()) return fail(Errc::not_found, from);
  const auto node = found->second;
  names_.erase(found);
  names_[to] = node;
  return {};
}

inline Status TestDisk::remove(const std::string& path) {
  if (!frozen && !exists(path)) return fail(Errc::not_found, path);
  ORDEAL_TRY(step("remove", path));
  if (directories_.erase(path) > 0) return {};
  names_.erase(path);
  return {};
}

inline Status TestDisk::remove_tree(const std::string& path) {
  ORDEAL_TRY(step("remove", path));
  std::erase_if(names_, [&](const auto& item) { return item.first.starts_with(path + "/"); });
  std::erase_if(directories_, [&](const auto& name) { return name == path || name.starts_with(path + "/"); });
  return {};
}

inline Status TestDisk::create_directories(const std::string& path) {
  ORDEAL_TRY(step("create_directory", path));
  for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    directories_.insert(path.substr(0, at));
  }
  directories_.insert(path);
  return {};
}

inline Result<std::vector<env::DirectoryEntry>> TestDisk::list(const std::string& path) {
  if (frozen) return fail(Errc::io, "the disk is gone");
  ORDEAL_TRY(fault_at("list", path));
  if (!directories_.contains(path)) return fail(Errc::not_found, path);
  std::map<std::string, env::DirectoryEntry> entries;
  for (const auto& [name, node] : names_) {
    if (parent(name) == path) entries[name] = {name.substr(path.size() + 1), false, node->content.size()};
  }
  for (const auto& name : directories_) {
    if (name != path && parent(name) == path) entries[name] = {name.substr(path.size() + 1), true, 0};
  }
  std::vector<env::DirectoryEntry> sorted;
  for (auto& [name, entry] : entries) sorted.push_back(std::move(entry));
  return sorted;
}

inline Status TestDisk::sync_directory(const std::string& path) {
  ORDEAL_TRY(step("sync_directory", path));
  ++syncs;
  if (fail_syncs) return fail(Errc::io, "sync failed");
  const auto inside = [&](const std::string& name) { return parent(name) == path; };
  std::erase_if(durable_names_, [&](const auto& item) { return inside(item.first); });
  for (const auto& [name, node] : names_) {
    if (inside(name)) durable_names_[name] = node;
  }
  std::erase_if(durable_directories_, inside);
  for (const auto& name : directories_) {
    if (inside(name)) durable_directories_.insert(name);
  }
  return {};
}

inline std::unique_ptr<TestDisk> TestDisk::power_cut(Random* draw) const {
  auto after = std::make_unique<TestDisk>();
  // An unsynced creation, removal or rename may have reached the platter or not, each on its own.
  std::map<std::string, std::shared_ptr<Node>> names = durable_names_;
  if (draw != nullptr) {
    for (const auto& [name, node] : names_) {
      if (draw->chance(1, 2)) names[name] = node;
    }
    std::erase_if(names, [&](const auto& item) { return !names_.contains(item.first) && draw->chance(1, 2); });
  }
  for (const auto& [name, node] : names) {
    auto copy = std::make_shared<Node>();
    copy->content = node->synced;
    for (const Write& write : node->pending) {
      if (draw == nullptr || draw->chance(1, 3)) continue;
      Write survived = write;
      if (!survived.truncate_to && !survived.bytes.empty() && draw->chance(1, 3)) {
        survived.bytes.resize(draw->below(survived.bytes.size()));
      }
      TestFile::apply(copy->content, survived);
    }
    copy->synced = copy->content;
    after->names_[name] = copy;
  }
  after->directories_ = directories_;  // tests of directories sync them; the root is always there
  after->durable_names_ = after->names_;
  after->durable_directories_ = after->directories_;
  return after;
}

inline std::unique_ptr<TestDisk> TestDisk::kill() const {
  auto after = std::make_unique<TestDisk>();
  for (const auto& [name, node] : names_) after->names_[name] = std::make_shared<Node>(*node);
  for (const auto& [name, node] : durable_names_) {
    // A name that stands in both maps is one file.
    const auto live = names_.find(name);
    after->durable_names_[name] =
        live != names_.end() && live->second == node ? after->names_[name] : std::make_shared<Node>(*node);
  }
  after->directories_ = directories_;
  after->durable_directories_ = durable_directories_;
  return after;
}

}  // namespace ordeal::log
