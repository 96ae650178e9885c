// What is left after kills, power cuts and torn writes is a prefix that holds everything flushed (CrashPrefix).
#include <doctest/doctest.h>

#include "broker/base/mark.h"
#include "broker/log/test_log.h"

namespace ordeal::log {
namespace {

TEST_CASE("after a kill everything written is there, indexes and epochs rebuilt") {
  TestLog t(small_segments());
  for (int i = 0; i < 30; ++i) t.append({.records = 2, .value = "v" + std::to_string(i)}, 1 + i / 10);
  const auto values = t.values(0);
  const auto epochs = t.log->epochs().entries();
  t.crash_and_open(false);
  CHECK(t.log->recovery().walked);
  CHECK(t.log->recovery().truncated_bytes == 0);
  CHECK(t.values(0) == values);
  CHECK(t.log->epochs().entries() == epochs);
  CHECK(t.log->flushed_end() == 60);  // recovery makes durable what it found
  t.crash_and_open(true);
  CHECK(t.values(0) == values);
}

TEST_CASE("after a power cut the flushed part is there, and nothing when nothing was flushed") {
  TestLog t(small_segments());
  for (int i = 0; i < 10; ++i) t.append({.records = 2, .value = "v" + std::to_string(i)});
  t.crash_and_open(true);
  CHECK(t.log->log_end() == 0);
  for (int i = 0; i < 10; ++i) t.append({.records = 2, .value = "v" + std::to_string(i)});
  REQUIRE(t.log->flush());
  const auto values = t.values(0);
  for (int i = 0; i < 10; ++i) t.append({.records = 2, .value = "lost"});
  t.crash_and_open(true, nullptr, 20);
  CHECK(t.values(0) == values);
  CHECK(t.append({}).base_offset == 20);
}

TEST_CASE("a tail torn at any byte of the last batch is cut back to the batch before it") {
  TestLog t;
  for (int i = 0; i < 3; ++i) t.append({.records = 2, .value = "keep"}, 1);
  REQUIRE(t.log->flush());
  const std::size_t whole = t.disk->content(path_for_test(0, ".log"))->size();
  t.append({.records = 2, .value = "last", .producer = 5, .epoch = 0, .sequence = 0}, 2);
  const Bytes full = *t.disk->content(path_for_test(0, ".log"));
  for (std::size_t size = whole; size <= full.size(); ++size) {
    for (const bool zeros : {false, true}) {  // the rest missing, or zeros where the size was written first
      t.log.reset();
      t.disk = t.disk->kill();
      Bytes& file = *t.disk->content(path_for_test(0, ".log"));
      file.assign(full.begin(), full.begin() + static_cast<std::ptrdiff_t>(size));
      if (zeros) file.resize(full.size());
      const bool complete = size == full.size() || (zeros && std::equal(file.begin(), file.end(), full.begin()));
      t.open({false, 6, 0});
      CHECK(t.log->log_end() == (complete ? 8 : 6));
      CHECK(t.log->latest_epoch() == (complete ? 2 : 1));
      CHECK((t.log->producers().find(5) != nullptr) == complete);
      CHECK(t.log->recovery().truncated_bytes ==
            (complete ? 0 : static_cast<std::int64_t>((zeros ? full.size() : size) - whole)));
    }
  }
}

TEST_CASE("damage in the walked part cuts there and drops later segments; below the recovery point it is an error") {
  TestLog t(small_segments());
  for (int i = 0; i < 20; ++i) t.append({.records = 2, .value = "v" + std::to_string(i)});
  REQUIRE(t.log->flush());
  REQUIRE(t.log->segment_count() > 3);
  t.log.reset();
  Bytes& first = *t.disk->content(path_for_test(0, ".log"));
  const auto second_batch = make_batch({.records = 2, .value = "v0"}).size();
  first[second_batch + 70] ^= 1;
  const auto damaged = t.disk->kill();
  t.open({false, 0, 0});
  CHECK(t.log->log_end() == 2);
  CHECK(t.log->segment_count() == 1);
  CHECK(t.log->recovery().segments_deleted > 2);
  CHECK(t.append({}).base_offset == 2);

  // Flushed bytes that rotted: with its indexes the segment is taken as it is, without them it is refused.
  t.log.reset();
  t.disk = damaged->kill();
  REQUIRE(t.disk->remove(path_for_test(0, ".index")));
  CHECK(t.try_open({false, 40, 0}).error().code == Errc::corrupt);
}

TEST_CASE("disk.skip_crc takes a damaged batch for good at recovery") {
  TestLog t;
  for (int i = 0; i < 3; ++i) t.append({.records = 1, .value = "v"});
  t.log.reset();
  t.disk->content(path_for_test(0, ".log"))->back() ^= 1;
  t.disk = t.disk->kill();
  t.switches.turn_on(mutation::Bug::disk_skip_crc);
  t.open();
  CHECK(t.log->log_end() == 3);
  CHECK(t.switches.ran(mutation::Bug::disk_skip_crc) == 1);
}

TEST_CASE("a clean stop needs no walk, and the files are trimmed and complete") {
  TestLog t(small_segments());
  for (int i = 0; i < 20; ++i) t.append({.records = 2, .value = "v" + std::to_string(i)}, 1 + i / 7);
  const auto values = t.values(0);
  const auto epochs = t.log->epochs().entries();
  REQUIRE(t.log->close_clean());
  CHECK(t.log->append_as_leader(make_batch({}), 9, kTestNow, AppendOrigin::client).error().code ==
        wire::ErrorCode::kafka_storage_error);
  t.log.reset();
  t.disk = t.disk->power_cut();
  t.open({true, 40, 0});
  CHECK_FALSE(t.log->recovery().walked);
  CHECK(t.log->recovery().indexes_rebuilt == 0);
  CHECK(t.log->flushed_end() == 40);
  CHECK(t.values(0, 1) == values);
  CHECK(t.log->epochs().entries() == epochs);
  for (Offset from = 0; from < 40; ++from) CHECK(t.log->read(from, 1, 40).has_value());
  CHECK((*t.log->offset_for_timestamp(kTestNow + 1, 40))->offset == 1);
  for (const auto& file : t.disk->files()) {
    if (file.ends_with(".index")) CHECK(t.disk->content(file)->size() % 8 == 0);
    CHECK_FALSE(file.ends_with(".tmp"));
  }
}

TEST_CASE("missing or damaged indexes and epoch checkpoints are rebuilt from the batches") {
  for (const char* victim : {".index", ".timeindex", "epochs"}) {
    for (const bool remove : {true, false}) {
      TestLog t(small_segments());
      for (int i = 0; i < 20; ++i) t.append({.records = 2}, i / 7);
      const auto epochs = t.log->epochs().entries();
      const auto values = t.values(0);
      REQUIRE(t.log->close_clean());
      t.log.reset();
      const std::string path = std::string_view(victim) == "epochs"
                                   ? std::string(TestLog::kDir) + "/leader-epoch-checkpoint"
                                   : path_for_test(0, victim);
      if (remove) {
        REQUIRE(t.disk->remove(path));
      } else {
        t.disk->content(path)->push_back(7);
      }
      t.open({true, 40, 0});
      CHECK(t.values(0, 1) == values);
      CHECK(t.log->epochs().entries() == epochs);
    }
  }
}

TEST_CASE(
    "an epoch checkpoint that lacks the newest epochs is completed from the batches, also below the recovery point") {
  for (const bool clean : {true, false}) {
    CAPTURE(clean);
    TestLog t(small_segments());
    for (int i = 0; i < 20; ++i) t.append({.records = 2}, i / 7);
    const auto epochs = t.log->epochs().entries();
    REQUIRE(epochs.size() == 3);
    REQUIRE(t.log->close_clean());
    t.log.reset();
    const ByteView older = as_bytes("0\n1\n0 0\n");
    *t.disk->content(std::string(TestLog::kDir) + "/leader-epoch-checkpoint") = Bytes(older.begin(), older.end());
    const std::uint64_t before = mark_counts().at("log.epochs_rebuilt");
    t.open({clean, 40, 0});
    CHECK(mark_counts().at("log.epochs_rebuilt") > before);
    CHECK(t.log->epochs().entries() == epochs);
  }
}

TEST_CASE("truncation is durable: nothing cut comes back under later appends, whatever the recovery point says") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Random random(seed);
    TestLog t(small_segments());
    for (int i = 0; i < 20; ++i) t.append({.records = 2, .value = "old"}, 1);
    REQUIRE(t.log->flush());
    REQUIRE(t.log->truncate_to(12, kTestNow));
    CHECK(t.log->log_end() == 12);
    CHECK(t.log->flushed_end() == 12);
    for (int i = 0; i < 5; ++i) t.append({.records = 2, .value = "new"}, 2);
    // The checkpoint still says 40, or by then 22.
    t.crash_and_open(true, &random, seed % 2 == 0 ? 40 : 12);
    const auto values = t.values(0);
    REQUIRE(values.size() >= 12);
    for (std::size_t i = 0; i < values.size(); ++i) CHECK(values[i].starts_with(i < 12 ? "old" : "new"));
    for (Offset offset = 12; offset < t.log->log_end(); ++offset) CHECK(t.log->epochs().epoch_of(offset) == 2);
  }
}

TEST_CASE("truncation inside a batch, to a segment's base, and of everything") {
  TestLog t(small_segments());
  for (int i = 0; i < 20; ++i) t.append({.records = 2});
  REQUIRE(t.log->truncate_to(33, kTestNow));
  CHECK(t.log->log_end() == 32);
  REQUIRE(t.log->truncate_to(100, kTestNow));
  CHECK(t.log->log_end() == 32);
  while (t.log->log_end() > 0) {
    const Offset to = t.log->log_end() - 2;
    REQUIRE(t.log->truncate_to(to, kTestNow));
    CHECK(t.log->log_end() == to);
    CHECK(t.append({.records = 2}).base_offset == to);
    REQUIRE(t.log->truncate_to(to, kTestNow));
    CHECK(t.values(0).size() == static_cast<std::size_t>(to));
  }
  CHECK(t.log->truncate_to(-1, kTestNow).error().code == Errc::out_of_range);
  REQUIRE(t.log->truncate_fully_and_start_at(77, kTestNow));
  CHECK(t.log->log_start() == 77);
  CHECK(t.log->epochs().empty());
  CHECK(t.append({}).base_offset == 77);
  t.crash_and_open(true);
  CHECK(t.log->log_start() == 77);
  CHECK(t.log->log_end() == 77);
}

TEST_CASE("a log start beyond what survived starts an empty log there") {
  TestLog t(small_segments());
  for (int i = 0; i < 5; ++i) t.append({});
  t.log.reset();
  t.disk = t.disk->power_cut();
  t.open({false, 0, 5});
  CHECK(t.log->log_start() == 5);
  CHECK(t.log->log_end() == 5);
  CHECK(t.append({}).base_offset == 5);
}

TEST_CASE("leftovers of other writers are swept, foreign files stay, an interrupted compaction is refused") {
  TestLog t;
  t.append({});
  REQUIRE(t.log->close_clean());
  t.log.reset();
  const std::string dir = TestLog::kDir;
  for (const char* name : {"/leader-epoch-checkpoint.tmp", "/00000000000000000007.log.deleted",
                           "/00000000000000000009.index", "/notes.txt"}) {
    REQUIRE(t.disk->open(dir + name, env::OpenMode::create));
  }
  t.open({true, 1, 0});
  CHECK_FALSE(t.disk->exists(dir + "/leader-epoch-checkpoint.tmp"));
  CHECK_FALSE(t.disk->exists(dir + "/00000000000000000007.log.deleted"));
  CHECK_FALSE(t.disk->exists(dir + "/00000000000000000009.index"));
  CHECK(t.disk->exists(dir + "/notes.txt"));
  CHECK(t.log->log_end() == 1);
  REQUIRE(t.disk->open(dir + "/00000000000000000000.log.swap", env::OpenMode::create));
  CHECK(t.try_open({true, 1, 0}).error().code == Errc::unsupported);
}

// The head is deleted up to a segment that a roll has just made, so its name is not safe before the deletion begins.
TEST_CASE("a power cut inside the deletion of the head never takes the next segment with it") {
  bool crashed = true;
  for (int call = 0; crashed; ++call) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      TestLog t(small_segments());
      Offset head = 0;
      while (t.disk->content(path_for_test(head, ".log")) == nullptr || head == 0) {
        REQUIRE(t.log->flush());
        head = t.log->log_end();
        t.append({.value = "m"});
      }
      REQUIRE(t.log->flushed_end() == head);
      t.disk->calls_until_crash = call;
      const bool done = t.log->advance_log_start(head, head).has_value();
      crashed = t.disk->frozen;
      CHECK(done == !crashed);
      Random draw(seed);
      t.crash_and_open(true, &draw, head);
      REQUIRE_MESSAGE(t.log->log_end() >= head, "call ", call, " seed ", seed);
    }
  }
}

}  // namespace
}  // namespace ordeal::log
