// The disk of one simulated machine: it outlives every incarnation of its node, and it forgets what was not synced.
//
// Two states are kept of everything. The *cache* is what running code reads: it survives the death of a process. The
// *platter* is what a power cut leaves: synced bytes, synced names, and of the rest what the crash draw grants.
// The rules are those of broker/env/disk.h, taken strictly:
//   - File::sync moves a file's bytes and size to the platter, not its name;
//   - sync_directory moves a directory's names to the platter, not the bytes of the files;
//   - a power cut replays a prefix of a directory's unsynced name changes (rename is one change), and of each file's
//     unsynced writes any subset, one of them torn at any byte; draws decide, and often all or nothing is kept;
//   - after an injected failure of sync the unsynced bytes stay readable but will never reach the platter.
// A slow or stalled call inside run_blocking() keeps its task waiting there; if it is a sync and the last call of that
// work, it takes effect at the end of the wait only. Made straight from the run queue it stops the whole process, after
// the current step, as a blocked thread would.
//
// SimDisk is the machine's; a DiskHandle is the env::Disk of one incarnation, frozen for good when that one dies.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/base/random.h"
#include "broker/env/disk.h"
#include "faults/sim/sim_executor.h"

namespace ordeal::sim {

enum class CrashKind { process, power };

// One file call, for counting, faults and the log of operations.
enum class FileOp {
  open,
  read,
  write,
  sync,
  truncate,
  rename,
  remove,
  create_directory,
  sync_directory,
  list,
  exists,
  any
};
const char* file_op_name(FileOp op);
std::optional<FileOp> parse_file_op(std::string_view name);

// What became of a disk, for those who follow its content without being told by the broker.
enum class DiskChange { write, sync, truncate, names, power_cut, wipe, rot };

inline constexpr std::uint64_t kUntilHealed = UINT64_MAX;

// Strikes the calls that match, `count` times. The first fault in order of injection that fits a call takes it.
// exists() has no error to return: struck, it says no, as a lookup that fails does. Only a fault that names it strikes
// it.
struct DiskFault {
  enum class Kind {
    error,         // the call fails with `error`, without effect
    short_write,   // a write leaves a drawn part of its bytes, then fails with `error`
    slow,          // the call takes `by` longer
    stall,         // the call returns only when the fault is healed
    lie,           // a sync (of a file or directory) says yes and does nothing
    corrupt_read,  // a read returns one drawn bit turned over; the disk itself stays as it is
  };
  FileOp op = FileOp::write;  // any: every operation that the kind can strike
  std::string path_part;      // matches paths that contain it; empty: every path
  Errc error = Errc::io;      // io or no_space
  std::uint64_t skip = 0;     // let so many matching calls pass first
  std::uint64_t count = 1;    // kUntilHealed: always
  Kind kind = Kind::error;
  Duration by{};     // of slow
  std::string name;  // for heal(); several faults may share one
};

struct Inode;

class SimDisk {
 public:
  SimDisk(SimLoop& loop, std::uint64_t id, Random random);
  ~SimDisk();
  SimDisk(const SimDisk&) = delete;
  SimDisk& operator=(const SimDisk&) = delete;

  void power_cut();  // the cache is lost; drawn parts of what was unsynced stay
  void wipe();       // a new, empty disk

  // Faults. The crash strikes inside the `calls`-th changing call from now (1 = the next), before, amid or after its
  // effect by draw; from then on every call fails, and `on_crash` is told so that the node can be killed.
  // With `path_part` only calls on paths that contain it are counted.
  void crash_in_call(std::uint64_t calls, CrashKind kind, std::string path_part = {});
  void disarm_crash() { crash_in_.reset(); }
  void on_crash(std::function<void(CrashKind)> fn) { on_crash_ = std::move(fn); }
  void inject(DiskFault fault);
  void heal(const std::string& name);                       // ends the faults of that name; stalled calls return
  void clear_faults();                                      // ends all of them, and the limit of capacity
  bool faulty(const std::string& name) const;               // whether a fault of that name can still strike
  std::uint64_t fault_hits(const std::string& name) const;  // calls that faults of that name have struck so far
  // Whether it ever answered a call with an error or wrong bytes, or was damaged: a broker may end itself over that.
  bool has_failed() const { return failed_; }
  // Whether it ever called something synced that was not: then even what a majority holds may be lost.
  bool has_lied() const { return lied_; }
  bool stalls() const;                                                           // whether a call waits for a heal now
  void set_capacity(std::uint64_t bytes) { capacity_ = bytes; }                  // writes beyond fail with no_space
  Status flip_bit(const std::string& path, std::uint64_t offset, unsigned bit);  // rot: in cache and on the platter
  // Rot at a drawn place of a drawn file that is not empty and whose path contains `path_part`; says where.
  Result<std::string> flip_drawn_bit(const std::string& path_part, Random& random);

  // For tests, invariants and the log of operations. Looking is not an operation.
  // `fn` is told after each change took effect: the path (empty for the whole disk), and for writes and truncations
  // the first byte concerned. It must not change the disk.
  void watch(std::function<void(DiskChange, const std::string& path, std::uint64_t offset)> fn) {
    watcher_ = std::move(fn);
  }
  const Bytes* peek(const std::string& path) const;  // as cached(), without a copy; valid until the next change
  std::uint64_t used_bytes() const;
  std::optional<Bytes> cached(const std::string& path) const;
  std::optional<Bytes> durable(const std::string& path) const;
  std::vector<std::string> files() const;                                    // every cached file, by full path, sorted
  std::vector<std::string> files_under(const std::string& directory) const;  // likewise, of one directory
  std::uint64_t operations() const { return operations_; }
  void record_operations(bool record) { recording_ = record; }
  const std::vector<std::string>& recorded() const { return recorded_; }  // "write /data/orders-0/x.log"

 private:
  friend class DiskHandle;
  friend class SimFile;
  struct Frozen {
    bool frozen = false;
    SimScheduler* scheduler = nullptr;  // who waits when a call is slow; null: nobody
  };
  struct Armed {
    DiskFault fault;
    std::shared_ptr<Stall> stall;  // of that kind: what its calls wait for
  };
  struct Struck {  // by a fault that lets the call go on; or by none
    std::optional<DiskFault::Kind> kind;
    Errc error = Errc::io;
  };

  std::shared_ptr<Inode> find(const std::string& path) const;
  // Accounting, then the injected fault if one strikes this call: an error, or what else is to be done to it.
  Result<Struck> begin(const Frozen& handle, FileOp op, const std::string& path);
  Armed* striking(FileOp op, const std::string& path);
  void tell(DiskChange change, const std::string& path, std::uint64_t offset = 0) const {
    if (watcher_) watcher_(change, path, offset);
  }
  bool strikes(const std::string& path);  // is this changing call the one that crashes?
  Status crash(Frozen& handle, const std::string& path);
  std::uint64_t room() const;
  std::unexpected<Error> full(const std::string& path);

  SimLoop& loop_;
  std::uint64_t id_;
  Random random_;
  std::shared_ptr<Inode> root_;
  std::vector<Armed> faults_;
  std::map<std::string, std::uint64_t> hits_;  // by fault name
  std::optional<std::uint64_t> crash_in_;
  std::string crash_part_;
  CrashKind crash_kind_ = CrashKind::process;
  std::function<void(CrashKind)> on_crash_;
  std::function<void(DiskChange, const std::string&, std::uint64_t)> watcher_;
  std::uint64_t capacity_ = UINT64_MAX;
  std::uint64_t operations_ = 0;
  bool failed_ = false;
  bool lied_ = false;
  bool recording_ = false;
  std::vector<std::string> recorded_;
};

class DiskHandle final : public env::Disk {
 public:
  // Slow calls make `scheduler` wait; without one they do not take time.
  explicit DiskHandle(SimDisk& disk, SimScheduler* scheduler = nullptr)
      : disk_(disk), frozen_(std::make_shared<SimDisk::Frozen>()) {
    frozen_->scheduler = scheduler;
  }
  void freeze() { frozen_->frozen = true; }
  bool frozen() const { return frozen_->frozen; }

  Result<std::unique_ptr<env::File>> open(const std::string& path, env::OpenMode mode) override;
  Status rename(const std::string& from, const std::string& to) override;  // within one directory only
  Status remove(const std::string& path) override;
  Status remove_tree(const std::string& path) override;
  Status create_directories(const std::string& path) override;
  Result<std::vector<env::DirectoryEntry>> list(const std::string& path) override;
  bool exists(const std::string& path) override;
  Status sync_directory(const std::string& path) override;

 private:
  Status change(FileOp op, const std::string& path, const std::function<void()>& effect);

  SimDisk& disk_;
  std::shared_ptr<SimDisk::Frozen> frozen_;
};

}  // namespace ordeal::sim
