// One file or directory of a simulated disk, with what is cached, what is durable, and the changes between the two.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/base/bytes.h"
#include "broker/base/random.h"

namespace ordeal::sim {

struct Inode {
  explicit Inode(bool directory) : is_directory(directory) {}

  // A change to a file's content: a write of `bytes` at `offset`, or (bytes empty) a truncation to `offset`.
  struct Change {
    bool truncates = false;
    std::uint64_t offset = 0;
    Bytes bytes;
  };
  // A change to a directory's names. Renames set both; links only `to`; unlinks only `from`.
  struct NameChange {
    std::string from;
    std::string to;
    std::shared_ptr<Inode> inode;
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;

  bool is_directory;
  Bytes cached;
  Bytes durable;
  std::vector<Change> unsynced;
  Names names;
  Names durable_names;
  std::vector<NameChange> unsynced_names;

  void apply(Change change);  // to the cache; remembered as unsynced
  void apply(NameChange change);
  void sync();                     // everything unsynced becomes durable (bytes for a file, names for a directory)
  void forget_unsynced();          // a failed sync: cached, never durable
  void power_cut(Random& random);  // recursive over what remains reachable
};

}  // namespace ordeal::sim
