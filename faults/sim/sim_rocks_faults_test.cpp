// RocksDB on a disk that fails: the first error that may have cost a write ends the store, and whatever was
// acknowledged as synced is there for the next process, also when the failed sync left bytes in the cache that look
// stored.
#include <doctest/doctest.h>

#include "broker/kv/rocks_store.h"
#include "faults/sim/sim_disk.h"

namespace ordeal::sim {
namespace {

struct Life {
  explicit Life(std::uint64_t seed) : random(seed), loop(LoopOptions{}, digest), disk(loop, 1, random.fork("disk")) {}

  bool open() {
    store.reset();
    handle = std::make_unique<DiskHandle>(disk);
    kv::RocksConfig config;
    config.path = "/data/metadata";
    config.disk = handle.get();
    config.pinned = true;
    config.memtable_bytes = 4 << 10;  // the store flushes several times in a test
    config.on_background_error = [this](const std::string& why) { fatal = why; };
    auto opened = kv::open_rocks(config);
    if (!opened) error = opened.error().to_string();
    if (!opened) return false;
    store = std::move(*opened);
    return true;
  }
  Status put(std::uint64_t number) {
    kv::WriteBatch batch;
    batch.put(fmt::format("{:06}", number), std::string(100, 'x'));
    return store->write(batch, kv::Sync::yes);
  }
  // How many of the numbered records are there; they must be a prefix.
  std::uint64_t count() const {
    std::uint64_t found = 0;
    const Status scanned = store->scan({}, {}, [&](std::string_view key, std::string_view) {
      CHECK(key == fmt::format("{:06}", found));
      ++found;
      return true;
    });
    CHECK(scanned.has_value());
    return found;
  }
  // The process ends: with it goes what it had in memory, not what the kernel caches.
  void die(bool power) {
    if (!handle) return;
    handle->freeze();
    store.reset();
    disk.clear_faults();
    if (power) disk.power_cut();
  }

  Digest digest;
  Random random;
  SimLoop loop;
  SimDisk disk;
  std::unique_ptr<DiskHandle> handle;
  std::unique_ptr<kv::KvStore> store;
  std::string fatal;
  std::string error;  // of the last open
};

// Returns false once the fault no longer falls into the run.
bool one_failing_call(DiskFault fault, std::uint64_t seed, bool power) {
  constexpr std::uint64_t kRecords = 120;
  Life life(seed);
  REQUIRE(life.open());
  std::uint64_t synced = 0;
  for (; synced < kRecords / 2; ++synced) REQUIRE(life.put(synced).has_value());
  life.die(false);
  fault.name = "fault";
  life.disk.inject(fault);
  bool refused = !life.open();
  while (!refused && synced < kRecords && life.fatal.empty()) {
    refused = !life.put(synced).has_value();
    if (!refused) ++synced;
  }
  const bool struck = life.disk.fault_hits("fault") > 0;
  if (life.store && (refused || !life.fatal.empty())) {
    CHECK_MESSAGE(!life.fatal.empty(), file_op_name(fault.op), " ", fault.skip);
    CHECK_FALSE(life.put(synced).has_value());  // well again or not: an error is final
  }
  life.die(power);
  // What the next process finds, it may go on from; a power cut after that takes nothing of it away.
  for (int start = 0; start < 2; ++start) {
    REQUIRE_MESSAGE(life.open(), file_op_name(fault.op), " ", fault.skip);
    const std::uint64_t there = life.count();
    CHECK_MESSAGE(there >= synced, file_op_name(fault.op), " ", fault.skip, " start ", start);
    synced = there;
    REQUIRE(life.put(there).has_value());
    ++synced;
    life.die(true);
  }
  return struck;
}

TEST_CASE(
    "one failing call anywhere: what was synced is there for the next process, the failed store goes no further") {
  int struck = 0;
  for (const FileOp op : {FileOp::open, FileOp::read, FileOp::write, FileOp::sync, FileOp::truncate, FileOp::rename,
                          FileOp::remove, FileOp::sync_directory}) {
    for (const auto kind : {DiskFault::Kind::error, DiskFault::Kind::short_write}) {
      if (kind == DiskFault::Kind::short_write && op != FileOp::write) continue;
      for (std::uint64_t skip = 0;; ++skip) {
        DiskFault fault{.op = op, .error = skip % 2 == 0 ? Errc::io : Errc::no_space, .skip = skip, .kind = kind};
        if (!one_failing_call(fault, 1 + skip, skip % 3 == 0)) break;
        ++struck;
      }
    }
  }
  CHECK(struck > 200);
}

TEST_CASE("a store does not open on a full disk, says so, and has everything when there is room") {
  int refused = 0;
  for (const std::uint64_t records : {std::uint64_t{0}, std::uint64_t{50}}) {
    for (std::uint64_t room = 0; room < 12'000; room += 97) {
      Life life(1 + room);
      if (records > 0) REQUIRE(life.open());
      for (std::uint64_t i = 0; i < records; ++i) REQUIRE(life.put(i).has_value());
      life.die(false);
      life.disk.set_capacity(life.disk.used_bytes() + room);
      if (!life.open()) {
        ++refused;
        CHECK_MESSAGE(life.error.starts_with("no space left: /data/metadata: "), life.error);
      }
      life.die(room % 2 == 0);  // which gives room again
      REQUIRE(life.open());
      CHECK(life.count() == records);
    }
  }
  CHECK(refused > 25);
}

}  // namespace
}  // namespace ordeal::sim
