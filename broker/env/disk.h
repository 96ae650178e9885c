// Files and directories of one node. Calls are synchronous: slow ones (sync, big reads, RocksDB) go through
// blocking() in scheduler.h, so that their latency can be modelled and the run queue stays free.
//
// Durability rules, the same in both worlds and what crash recovery may rely on:
//   - bytes (and the size that covers them) are durable once File::sync() returned ok;
//   - a created, renamed or removed name is durable once sync_directory(parent) returned ok;
//   - rename within one directory is atomic: after a crash the old or the new name stands, never neither;
//   - anything not synced may be wholly there, partly there (torn at any byte) or absent after a power cut.
//   - after a failed sync() nothing is known about the unsynced bytes: callers must stop, never retry and trust.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "broker/base/bytes.h"
#include "broker/base/result.h"

namespace ordeal::env {

enum class OpenMode {
  read,        // must exist
  read_write,  // must exist
  create,      // read-write; made empty if missing
  create_new,  // read-write; Errc::already_exists if there
};

// Thread-safe for concurrent read_at, write_at and sync of different ranges.
class File {
 public:
  virtual ~File() = default;                                                              // closes; does not sync
  virtual Result<std::size_t> read_at(std::uint64_t offset, MutableByteView buffer) = 0;  // short only at the end
  virtual Status write_at(std::uint64_t offset, std::span<const ByteView> parts) = 0;     // extends as needed
  virtual Status sync() = 0;
  virtual Status truncate(std::uint64_t size) = 0;     // shorter or longer (zeros)
  virtual Status preallocate(std::uint64_t size) = 0;  // reserves blocks; the size stays as it is
  virtual Result<std::uint64_t> size() const = 0;

  Status write_at(std::uint64_t offset, ByteView bytes) {
    return write_at(offset, std::span<const ByteView>(&bytes, 1));
  }
};

struct DirectoryEntry {
  std::string name;
  bool is_directory = false;
  std::uint64_t size = 0;  // of a file
};

// Paths are absolute as the node's configuration gives them ("<log.dir>/orders-0/00000000000000000000.log").
class Disk {
 public:
  virtual ~Disk() = default;
  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;  // replaces `to`
  virtual Status remove(const std::string& path) = 0;                         // a file or an empty directory
  virtual Status remove_tree(const std::string& path) = 0;                    // ok when it is not there
  virtual Status create_directories(const std::string& path) = 0;
  virtual Result<std::vector<DirectoryEntry>> list(const std::string& path) = 0;  // sorted by name
  virtual bool exists(const std::string& path) = 0;
  virtual Status sync_directory(const std::string& path) = 0;

  // Conveniences over the calls above.
  Result<Bytes> read_file(const std::string& path, std::uint64_t size_max = 64 << 20);
  // Writes <path>.tmp, syncs it, renames it over `path`, syncs the directory: after a crash old or new, whole.
  Status replace_file(const std::string& path, ByteView content);
};

}  // namespace ordeal::env
