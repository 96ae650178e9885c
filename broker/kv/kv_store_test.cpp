#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>

#include "broker/base/random.h"
#include "broker/kv/memory_store.h"
#include "broker/kv/rocks_store.h"

namespace ordeal::kv {
namespace {

struct TempDir {
  TempDir() {
    static int count = 0;
    path = std::filesystem::temp_directory_path() / fmt::format("ordeal-kv-{}-{}", ::getpid(), count++);
  }
  ~TempDir() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

RocksConfig config_at(const TempDir& dir, bool pinned = false) {
  RocksConfig config;
  config.path = (dir.path / "deep" / "store").string();
  config.pinned = pinned;
  return config;
}

std::unique_ptr<KvStore> opened(const RocksConfig& config) {
  auto store = open_rocks(config);
  REQUIRE_MESSAGE(store.has_value(), (store ? std::string() : store.error().to_string()));
  return std::move(*store);
}

std::string dump(const KvReader& reader, std::string_view from = {}, std::string_view to = {}) {
  std::string text;
  Status scanned = reader.scan(from, to, [&](std::string_view key, std::string_view value) {
    text += fmt::format("{}={};", key, value);
    return true;
  });
  REQUIRE(scanned.has_value());
  return text;
}

void put(KvStore& store, std::string key, std::string value, Sync sync = Sync::no) {
  WriteBatch batch;
  batch.put(std::move(key), std::move(value));
  REQUIRE(store.write(batch, sync).has_value());
}

WriteBatch random_batch(Random& random) {
  WriteBatch batch;
  const auto key = [&random] { return fmt::format("k{:03}", random.below(200)); };
  for (std::uint64_t i = 0, count = 1 + random.below(5); i < count; ++i) {
    if (random.chance(1, 20)) {
      batch.remove_range(key(), key());
    } else if (random.chance(1, 4)) {
      batch.remove(key());
    } else {
      batch.put(key(), std::string(random.below(200), 'v') + std::to_string(random.below(1000)));
    }
  }
  return batch;
}

}  // namespace

TEST_CASE("both stores apply a batch in order") {
  TempDir dir;
  MemoryStore memory;
  auto rocks = opened(config_at(dir));
  for (KvStore* store : {static_cast<KvStore*>(&memory), rocks.get()}) {
    WriteBatch batch;
    batch.put("a", "1");
    batch.put("b", "2");
    batch.put("c", "3");
    batch.remove_range("a", "c");
    batch.put("a", "4");
    batch.remove("c");
    REQUIRE(store->write(batch, Sync::yes).has_value());
    CHECK(dump(*store) == "a=4;");
    CHECK(store->get("b").value() == std::nullopt);
    CHECK(store->get("a").value() == "4");
  }
}

TEST_CASE("a range is half open and stops when the visitor says so") {
  MemoryStore store;
  for (const char* key : {"a", "b", "c", "d"}) put(store, key, key);
  CHECK(dump(store, "b", "d") == "b=b;c=c;");
  int seen = 0;
  REQUIRE(store.scan({}, {}, [&seen](auto, auto) { return ++seen < 2; }).has_value());
  CHECK(seen == 2);
}

TEST_CASE("keys compare as unsigned bytes in both stores") {
  TempDir dir;
  MemoryStore memory;
  auto rocks = opened(config_at(dir));
  for (KvStore* store : {static_cast<KvStore*>(&memory), rocks.get()}) {
    put(*store, std::string("\x7f", 1), "low");
    put(*store, std::string("\xff", 1), "high");
    put(*store, std::string("\0", 1), "zero");
    std::string order;
    REQUIRE(store->scan({}, {}, [&order](auto, std::string_view value) { return order += value, true; }).has_value());
    CHECK(order == "zerolowhigh");
  }
}

TEST_CASE("a snapshot does not see later writes") {
  TempDir dir;
  MemoryStore memory;
  auto rocks = opened(config_at(dir));
  for (KvStore* store : {static_cast<KvStore*>(&memory), rocks.get()}) {
    put(*store, "k", "old");
    auto before = store->snapshot();
    put(*store, "k", "new");
    put(*store, "l", "new");
    CHECK(dump(*before) == "k=old;");
    CHECK(dump(*store) == "k=new;l=new;");
  }
}

TEST_CASE("the store survives closing and is gone after destroy") {
  TempDir dir;
  const RocksConfig config = config_at(dir);
  put(*opened(config), "k", "v", Sync::yes);
  CHECK(opened(config)->get("k").value() == "v");
  REQUIRE(destroy_rocks(config).has_value());
  CHECK(opened(config)->get("k").value() == std::nullopt);
}

TEST_CASE("opening one directory twice is refused") {
  TempDir dir;
  auto first = opened(config_at(dir));
  CHECK_FALSE(open_rocks(config_at(dir)).has_value());
}

TEST_CASE("RocksDB, pinned and not, agrees with the ordered map over random batches, flushes and reopenings") {
  for (const bool pinned : {false, true}) {
    TempDir dir;
    RocksConfig config = config_at(dir, pinned);
    config.memtable_bytes = 64 << 10;  // small: many flushes
    MemoryStore memory;
    auto rocks = opened(config);
    Random random(pinned ? 7 : 8);
    for (int i = 0; i < 1500; ++i) {
      const WriteBatch batch = random_batch(random);
      REQUIRE(memory.write(batch, Sync::no).has_value());
      REQUIRE(rocks->write(batch, Sync::no).has_value());
      if (i % 500 == 250) {
        CHECK(dump(*rocks) == dump(memory));
        rocks.reset();
        rocks = opened(config);
      }
    }
    CHECK(dump(*rocks) == dump(memory));
    CHECK(dump(*rocks, "k050", "k100") == dump(memory, "k050", "k100"));
  }
}

}  // namespace ordeal::kv
