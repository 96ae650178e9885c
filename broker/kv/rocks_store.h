// The ordered KV store over RocksDB: production and simulation open it through the same call.
//
// Production: the kernel's file system, normal background flushes and compaction.
// Pinned (simulation): no threads of RocksDB's own. Flush jobs run inline at points that only the sequence of our
// calls decides, so one sequence of calls gives one sequence of file operations. The bytes may still differ between
// runs (session ids), so nothing may depend on them.
//
// Crash promises, in both worlds: a write with Sync::yes that returned ok survives a power cut; any prefix of later
// unsynced writes may survive, never a suffix without its prefix, never half a batch.
// Closing (destruction) flushes and syncs nothing: only Sync::yes does.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "broker/env/disk.h"
#include "broker/kv/kv_store.h"

namespace ordeal::kv {

// What a background error of the engine (a failed WAL write or sync, a failed flush) leads to. The default aborts
// the process. A replacement must see to it that the node stops serving; the store refuses writes from then on.
using FatalHandler = std::function<void(const std::string& what)>;

struct RocksConfig {
  std::string path;                         // a directory; created (with parents) when missing
  env::Disk* disk = nullptr;                // null: the kernel's file system; else must outlive the store
  bool pinned = false;                      // the determinism recipe; wanted with a simulated disk
  FatalHandler on_background_error;         // empty: abort
  std::uint64_t memtable_bytes = 16 << 20;  // flushed to a sorted file beyond this
};

// Opens, and recovers, the store at `config.path`. Blocks (run it through env::blocking()).
// Errc::corrupt when the files do not check, Errc::io or no_space when the disk refuses.
Result<std::unique_ptr<KvStore>> open_rocks(const RocksConfig& config);

// Removes the store's directory with everything in it; ok when it is not there. The store must be closed.
Status destroy_rocks(const RocksConfig& config);

// How a broker opens the stores it owns, given by its wiring: path -> store. Lets one wiring serve both worlds.
using KvFactory = std::function<Result<std::unique_ptr<KvStore>>(const std::string& path)>;
KvFactory rocks_factory(FatalHandler on_background_error = {});                          // production
KvFactory pinned_rocks_factory(env::Disk& disk, FatalHandler on_background_error = {});  // simulation

}  // namespace ordeal::kv
