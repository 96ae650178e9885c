// RocksDB on the simulated disk: repeatable file operations, and the crash promises of broker/kv/rocks_store.h.
#include <doctest/doctest.h>

#include "broker/kv/memory_store.h"
#include "broker/kv/rocks_store.h"
#include "faults/sim/sim_disk.h"

namespace ordeal::sim {
namespace {

struct Fixture {
  explicit Fixture(std::uint64_t seed = 1)
      : random(seed), loop(LoopOptions{}, digest), disk(loop, 1, random.fork("disk")) {}

  // A store on a new handle, as a new process would open it.
  std::unique_ptr<kv::KvStore> open() {
    handle = std::make_unique<DiskHandle>(disk);
    kv::RocksConfig config;
    config.path = "/data/metadata";
    config.disk = handle.get();
    config.pinned = true;
    config.memtable_bytes = 32 << 10;
    config.on_background_error = [this](const std::string&) { ++fatal; };
    auto store = kv::open_rocks(config);
    if (store) return std::move(*store);
    open_error = store.error();
    return nullptr;
  }

  Digest digest;
  Random random;
  SimLoop loop;
  SimDisk disk;
  std::unique_ptr<DiskHandle> handle;
  int fatal = 0;
  std::optional<Error> open_error;
};

Status put(kv::KvStore& store, std::uint64_t number, kv::Sync sync) {
  kv::WriteBatch batch;
  batch.put(fmt::format("a{:06}", number), std::string(50, 'x') + std::to_string(number));
  batch.put(fmt::format("b{:06}", number), std::to_string(number));  // a batch must never survive by half
  return store.write(batch, sync);
}

// How many of the numbered batches are there; fails unless they are a prefix, each whole.
std::uint64_t recovered(const kv::KvStore& store) {
  std::uint64_t firsts = 0;
  std::uint64_t seconds = 0;
  REQUIRE(store
              .scan({}, {},
                    [&](std::string_view key, std::string_view) {
                      std::uint64_t& expected = key[0] == 'a' ? firsts : seconds;
                      CHECK(key == fmt::format("{}{:06}", key[0], expected));
                      ++expected;
                      return true;
                    })
              .has_value());
  CHECK(firsts == seconds);
  return firsts;
}

struct Run {
  std::vector<std::string> operations;
  std::uint64_t digest = 0;
};

Run repeatable_run() {
  Fixture world;
  world.disk.record_operations(true);
  for (int life = 0; life < 3; ++life) {
    auto store = world.open();
    REQUIRE(store != nullptr);
    for (std::uint64_t i = 0; i < 1500; ++i)
      REQUIRE(put(*store, i, i % 3 == 0 ? kv::Sync::yes : kv::Sync::no).has_value());
    recovered(*store);
  }
  return {world.disk.recorded(), world.digest.value()};
}

}  // namespace

TEST_CASE("one sequence of calls gives one sequence of file operations, flushes and reopenings included") {
  const Run first = repeatable_run();
  for (int again = 0; again < 3; ++again) {
    const Run next = repeatable_run();
    CHECK(next.operations.size() == first.operations.size());
    CHECK(next.operations == first.operations);
    CHECK(next.digest == first.digest);
  }
  const auto flushed = [](const std::string& op) { return op.starts_with("sync") && op.ends_with(".sst"); };
  CHECK(std::count_if(first.operations.begin(), first.operations.end(), flushed) >= 6);
}

TEST_CASE("a kill loses nothing, not even what was not synced") {
  Fixture world;
  auto store = world.open();
  for (std::uint64_t i = 0; i < 100; ++i) REQUIRE(put(*store, i, kv::Sync::no).has_value());
  world.handle->freeze();
  store.reset();
  store = world.open();
  REQUIRE(store != nullptr);
  CHECK(recovered(*store) == 100);
  CHECK(world.fatal == 0);
}

TEST_CASE("a power cut at any moment keeps every synced batch and a prefix of the others") {
  bool lost_some = false;
  bool kept_unsynced = false;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    Fixture world(seed);
    Random draw = world.random.fork("test");
    std::uint64_t written = 0;
    std::uint64_t synced = 0;
    for (int life = 0; life < 3; ++life) {
      auto store = world.open();
      REQUIRE_MESSAGE(store != nullptr, world.open_error->to_string());
      const std::uint64_t there = recovered(*store);
      CHECK(there >= synced);
      CHECK(there <= written);
      lost_some = lost_some || there < written;
      kept_unsynced = kept_unsynced || there > synced;
      written = synced = there;
      for (std::uint64_t i = 0, count = draw.below(400); i < count; ++i) {
        const bool sync = draw.chance(1, 5);
        REQUIRE(put(*store, written++, sync ? kv::Sync::yes : kv::Sync::no).has_value());
        if (sync) synced = written;
      }
      world.handle->freeze();
      world.disk.power_cut();
      store.reset();
    }
    CHECK(world.fatal == 0);
  }
  CHECK(lost_some);
  CHECK(kept_unsynced);
}

TEST_CASE("a crash inside any file call, also while opening or flushing, keeps the promises") {
  int crashes = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Fixture world(seed);
    Random draw = world.random.fork("test");
    std::uint64_t attempted = 0;
    std::uint64_t synced = 0;
    world.disk.on_crash([&](CrashKind kind) {
      ++crashes;
      if (kind == CrashKind::power) world.disk.power_cut();
    });
    for (int life = 0; life < 4; ++life) {
      world.disk.disarm_crash();
      if (life < 3)
        world.disk.crash_in_call(1 + draw.below(draw.chance(1, 2) ? 40 : 400),
                                 draw.chance(1, 2) ? CrashKind::power : CrashKind::process);
      auto store = world.open();
      if (store == nullptr) {
        REQUIRE_MESSAGE(world.handle->frozen(), world.open_error->to_string());
        continue;
      }
      if (world.handle->frozen()) continue;
      std::uint64_t there = recovered(*store);
      if (world.handle->frozen()) continue;
      CHECK(there >= synced);
      CHECK(there <= attempted);
      synced = attempted = there;
      for (std::uint64_t i = 0; i < 200; ++i) {
        const bool sync = draw.chance(1, 2);
        const Status done = put(*store, attempted++, sync ? kv::Sync::yes : kv::Sync::no);
        if (!done) break;
        if (sync) synced = attempted;
      }
      if (world.handle->frozen()) continue;
      world.handle->freeze();
      world.disk.power_cut();
    }
  }
  CHECK(crashes > 60);
}

TEST_CASE("a failed WAL sync is fatal, and the store refuses to go on") {
  Fixture world;
  auto store = world.open();
  REQUIRE(put(*store, 0, kv::Sync::yes).has_value());
  world.disk.inject({.op = FileOp::sync, .path_part = ".log"});
  CHECK_FALSE(put(*store, 1, kv::Sync::yes).has_value());
  CHECK(world.fatal == 1);
  CHECK_FALSE(put(*store, 2, kv::Sync::yes).has_value());
}

TEST_CASE("destroying removes the directory") {
  Fixture world;
  auto store = world.open();
  REQUIRE(put(*store, 0, kv::Sync::yes).has_value());
  store.reset();
  kv::RocksConfig config;
  config.path = "/data/metadata";
  config.disk = world.handle.get();
  REQUIRE(kv::destroy_rocks(config).has_value());
  CHECK(world.disk.files().empty());
}

}  // namespace ordeal::sim
