// Appending, reading, rolling, flushing, retention and timestamp lookups of one log.
#include "broker/log/partition_log.h"

#include <doctest/doctest.h>

#include "broker/log/test_log.h"

namespace ordeal::log {
namespace {

using wire::ErrorCode;

TEST_CASE("a leader assigns offsets and stamps its epoch, leaving the rest of the batch as sent") {
  TestLog t;
  CHECK(t.append({.records = 3, .value = "a"}, 4).base_offset == 0);
  const AppendInfo info = t.append({.records = 2, .value = "b"}, 5);
  CHECK(info.base_offset == 3);
  CHECK(info.last_offset == 4);
  CHECK(info.log_append_time == kNoTimestamp);
  CHECK(t.log->log_end() == 5);
  auto bytes = t.log->read(3, 1 << 20, 5);
  REQUIRE(bytes);
  auto batch = wire::BatchView::parse(bytes->view);
  REQUIRE(batch);
  CHECK(batch->base_offset() == 3);
  CHECK(batch->partition_leader_epoch() == 5);
  CHECK(batch->crc_ok());
  CHECK(t.values(0) == std::vector<std::string>{"a.0", "a.1", "a.2", "b.0", "b.1"});
  CHECK(t.log->epochs().entries() == std::vector<EpochEntry>{{4, 0}, {5, 3}});
}

TEST_CASE("reads give whole batches within the byte bound, the first one regardless if asked") {
  TestLog t;
  for (int i = 0; i < 10; ++i) t.append({.records = 2, .value = "v" + std::to_string(i)});
  const std::size_t batch = make_batch({.records = 2, .value = "v0"}).size();
  CHECK(t.log->read(0, batch * 3 + 5, 20)->size() == batch * 3);
  CHECK(t.log->read(0, 1, 20)->size() == batch);
  CHECK(t.log->read(0, 1, 20, false)->empty());
  CHECK(t.log->read(5, 1, 20)->size() == batch);  // inside a batch: the whole of it
  CHECK(wire::BatchView::parse(t.log->read(5, 1, 20)->view)->base_offset() == 4);
  CHECK(t.log->read(0, 1 << 20, 7)->size() == batch * 3);  // no batch that reaches the limit
  CHECK(t.log->read(6, 1 << 20, 7)->empty());
  CHECK(t.log->read(20, 1 << 20, 100)->empty());
  CHECK(t.log->read(21, 1, 100).error().code == Errc::out_of_range);
  CHECK(t.log->read(-1, 1, 100).error().code == Errc::out_of_range);
}

TEST_CASE("index lookups find every offset in every segment, at any read size") {
  for (const int value_bytes : {1, 50, 300}) {
    TestLog t(small_segments());
    t.config.segment_bytes = 3000;
    t.log->set_config(t.config);
    for (int i = 0; i < 60; ++i) t.append({.records = 1 + i % 3, .value = std::string(value_bytes, 'x')});
    CHECK(t.log->segment_count() > 1);
    for (Offset from = 0; from < t.log->log_end(); ++from) {
      for (const std::size_t bytes : {1, 200, 5000}) {
        auto part = t.log->read(from, bytes, t.log->log_end());
        REQUIRE(part);
        auto first = wire::BatchView::parse(part->view);
        REQUIRE(first);
        CHECK(first->base_offset() <= from);
        CHECK(first->last_offset() >= from);
      }
    }
    CHECK(t.values(0, 1).size() == static_cast<std::size_t>(t.log->log_end()));
  }
}

TEST_CASE("segments roll by size and by record time and are named by their base offset") {
  TestLog t(small_segments());
  while (t.log->segment_count() < 3) t.append({.records = 2, .value = "0123456789"});
  CHECK(t.disk->exists(std::string(TestLog::kDir) + "/00000000000000000000.log"));
  const auto files = t.disk->files();
  CHECK(std::ranges::count_if(files, [](const auto& f) { return f.ends_with(".log"); }) == 3);

  LogConfig by_time;
  by_time.segment_ms = 1000;
  TestLog u(by_time);
  u.append({.timestamp = kTestNow});
  u.append({.timestamp = kTestNow + 1000});
  CHECK(u.log->segment_count() == 1);
  u.append({.timestamp = kTestNow + 1001});
  CHECK(u.log->segment_count() == 2);
}

TEST_CASE("client batches are refused with the code Kafka gives") {
  LogConfig config;
  config.max_message_bytes = 2000;
  config.segment_bytes = 5000;
  TestLog t(config);
  Bytes flipped = make_batch({});
  flipped.back() ^= 1;
  CHECK(t.append_error(flipped).code == ErrorCode::corrupt_message);
  Bytes cut = make_batch({});
  cut.pop_back();
  CHECK(t.append_error(cut).code == ErrorCode::corrupt_message);
  CHECK(t.append_error(Bytes{}).code == ErrorCode::invalid_record);
  Bytes twice = make_batch({});
  const Bytes once = twice;
  twice.insert(twice.end(), once.begin(), once.end());
  CHECK(t.append_error(twice).code == ErrorCode::invalid_record);
  Bytes old = make_batch({});
  old[16] = 1;
  CHECK(t.append_error(old).code == ErrorCode::unsupported_for_message_format);
  CHECK(t.append_error(BatchSpec{.value = std::string(3000, 'x')}).code == ErrorCode::message_too_large);
  t.config.max_message_bytes = 100000;
  t.log->set_config(t.config);
  CHECK(t.append_error(BatchSpec{.value = std::string(6000, 'x')}).code == ErrorCode::record_list_too_large);
  Bytes count = make_batch({.records = 3});
  store_be<std::int32_t>(count.data() + 23, 5);
  wire::refresh_crc(count);
  CHECK(t.append_error(count).code == ErrorCode::invalid_record);
  CHECK(t.append_error(wire::build_control_batch(wire::ControlType::commit, 1, 0, 0, kTestNow)).code ==
        ErrorCode::invalid_record);
  CHECK(t.append_error(BatchSpec{.producer = 7, .epoch = 0}).code == ErrorCode::invalid_record);
  Bytes append_time = make_batch({});
  wire::set_log_append_time(append_time, kTestNow);
  CHECK(t.append_error(append_time).code == ErrorCode::invalid_timestamp);
  const AppendError future = t.append_error(BatchSpec{.records = 2, .timestamp = kTestNow + 3'600'000});
  CHECK(future.code == ErrorCode::invalid_timestamp);
  REQUIRE(future.records.size() == 1);
  CHECK(future.records[0].first == 1);
  t.config.compacted = true;
  t.log->set_config(t.config);
  CHECK(t.append_error(BatchSpec{}).code == ErrorCode::invalid_record);
  CHECK(t.append(BatchSpec{.key = true}).base_offset == 0);
  t.append({.key = true}, 7);
  CHECK(t.append_error(BatchSpec{.key = true}, 6).code == ErrorCode::not_leader_or_follower);
}

TEST_CASE("LogAppendTime rewrites the batch and its checksum, and a duplicate gets the first time back") {
  LogConfig config;
  config.log_append_time = true;
  TestLog t(config);
  const AppendInfo info = t.append({.records = 2, .timestamp = 5, .producer = 9, .epoch = 0, .sequence = 0});
  CHECK(info.log_append_time == kTestNow);
  auto bytes = t.log->read(0, 1 << 20, 2);
  auto batch = wire::BatchView::parse(bytes->view);
  REQUIRE(batch);
  CHECK(batch->is_log_append_time());
  CHECK(batch->max_timestamp() == kTestNow);
  CHECK(batch->crc_ok());
  const Bytes again = make_batch({.records = 2, .timestamp = 5, .producer = 9, .epoch = 0, .sequence = 0});
  auto duplicate = t.log->append_as_leader(again, 1, kTestNow + 77, AppendOrigin::client);
  REQUIRE(duplicate);
  CHECK(duplicate->duplicate);
  CHECK(duplicate->log_append_time == kTestNow);
}

TEST_CASE("compression.type of the topic recompresses, and a false max timestamp is put right") {
  LogConfig config;
  config.compression = wire::Codec::zstd;
  TestLog t(config);
  t.append({.records = 5, .value = std::string(200, 'z'), .codec = wire::Codec::gzip});
  auto stored = wire::BatchView::parse(t.log->read(0, 1 << 20, 5)->view);
  REQUIRE(stored);
  const Slice keep = *t.log->read(0, 1 << 20, 5);
  CHECK(wire::BatchView::parse(keep.view)->codec() == wire::Codec::zstd);
  CHECK(t.values(0).size() == 5);

  TestLog u;
  Bytes lying = make_batch({.records = 2});
  store_be<std::int64_t>(lying.data() + 35, kTestNow + 999);
  wire::refresh_crc(lying);
  REQUIRE(u.log->append_as_leader(lying, 1, kTestNow, AppendOrigin::client));
  const Slice mended = *u.log->read(0, 1 << 20, 2);
  CHECK(wire::BatchView::parse(mended.view)->max_timestamp() == kTestNow + 1);
  CHECK(wire::BatchView::parse(mended.view)->crc_ok());
}

TEST_CASE("a follower keeps offsets and epochs, refuses gaps and damage, and leaves a partial batch out") {
  TestLog leader(small_segments());
  for (int i = 0; i < 12; ++i) leader.append({.records = 2, .value = "m" + std::to_string(i)}, 1 + i / 5);
  TestLog follower(small_segments());
  while (follower.log->log_end() < leader.log->log_end()) {
    auto part = leader.log->read(follower.log->log_end(), 300, leader.log->log_end());
    REQUIRE(part);
    auto appended = follower.log->append_as_follower(part->view, kTestNow);
    REQUIRE(appended);
    CHECK(appended->bytes == part->size());
  }
  CHECK(follower.values(0) == leader.values(0));
  CHECK(follower.log->epochs().entries() == leader.log->epochs().entries());
  CHECK(follower.log->segment_count() == leader.log->segment_count());

  const Offset end = follower.log->log_end();
  const Bytes gap = make_batch({.base = end + 1, .leader_epoch = 9});
  CHECK(follower.log->append_as_follower(gap, kTestNow).error().code == Errc::out_of_range);
  const Bytes old_epoch = make_batch({.base = end, .leader_epoch = 1});
  CHECK(follower.log->append_as_follower(old_epoch, kTestNow).error().code == Errc::corrupt);
  Bytes two = make_batch({.base = end, .leader_epoch = 9});
  Bytes second = make_batch({.base = end + 1, .leader_epoch = 9});
  second.back() ^= 4;
  two.insert(two.end(), second.begin(), second.end());
  CHECK(follower.log->append_as_follower(two, kTestNow).error().code == Errc::corrupt);
  CHECK(follower.log->log_end() == end + 1);  // what came before the damage counts
  second.back() ^= 4;
  second.pop_back();
  auto partial = follower.log->append_as_follower(second, kTestNow);
  REQUIRE(partial);
  CHECK(partial->base_offset == kNoOffset);
  CHECK(partial->bytes == 0);
}

TEST_CASE("disk.skip_crc lets damage in at append and replication, and counts") {
  TestLog t;
  t.switches.turn_on(mutation::Bug::disk_skip_crc);
  Bytes flipped = make_batch({.records = 1, .value = "abc"});
  flipped[flipped.size() - 2] ^= 1;
  CHECK(t.log->append_as_leader(flipped, 1, kTestNow, AppendOrigin::client).has_value());
  Bytes copy = make_batch({.base = 1, .leader_epoch = 1});
  copy[copy.size() - 2] ^= 1;
  CHECK(t.log->append_as_follower(copy, kTestNow).has_value());
  CHECK(t.switches.ran(mutation::Bug::disk_skip_crc) == 2);
  t.append({});
  CHECK(t.switches.ran(mutation::Bug::disk_skip_crc) == 2);
}

TEST_CASE("a flush covers what was there when it was prepared, appends go on meanwhile") {
  TestLog t(small_segments());
  for (int i = 0; i < 8; ++i) t.append({.records = 2});
  CHECK(t.log->flushed_end() == 0);
  FlushTicket ticket = t.log->prepare_flush();
  for (int i = 0; i < 8; ++i) t.append({.records = 2});
  REQUIRE(ticket.run());
  CHECK(t.log->flushed_end() == 0);
  REQUIRE(t.log->complete_flush(ticket));
  CHECK(t.log->flushed_end() == 16);
  CHECK(t.log->needs_flush());
  REQUIRE(t.log->flush());
  CHECK(t.log->flushed_end() == 32);
  CHECK_FALSE(t.log->needs_flush());
  TestLog u;
  u.append({});
  REQUIRE(u.log->flush());
  const std::uint64_t syncs = u.disk->syncs;
  u.append({});
  REQUIRE(u.log->flush());
  CHECK(u.disk->syncs == syncs + 1);  // nothing but the active segment
}

TEST_CASE("a failed sync fails the log for good") {
  TestLog t;
  t.append({});
  t.disk->fail_syncs = true;
  CHECK(t.log->flush().error().code == Errc::io);
  t.disk->fail_syncs = false;
  CHECK(t.log->failed());
  CHECK(t.log->flushed_end() == 0);
  CHECK(t.append_error(BatchSpec{}).code == ErrorCode::kafka_storage_error);
  CHECK(t.log->read(0, 100, 1).error().code == Errc::io);
  CHECK(t.log->flush().error().code == Errc::io);
  CHECK(t.log->truncate_to(0, kTestNow).error().code == Errc::io);
}

TEST_CASE("retention by time and size deletes from the head, never past the high watermark") {
  LogConfig config = small_segments();
  config.retention_ms = 1000;
  TestLog t(config);
  for (int i = 0; i < 20; ++i) t.append({.records = 2, .timestamp = kTestNow + i * 100});
  const auto all = t.log->segment_count();
  REQUIRE(all > 3);
  CHECK(*t.log->enforce_retention(kTestNow + 1'000'000, 0) == 0);
  CHECK(t.log->log_start() == 0);
  CHECK(*t.log->enforce_retention(kTestNow + 1500, 40) > 0);
  CHECK(t.log->log_start() > 0);
  CHECK(t.log->segment_count() < all);
  CHECK(t.log->read(0, 100, 40).error().code == Errc::out_of_range);
  // All of it expired: an empty active segment stays, and offsets go on.
  CHECK(*t.log->enforce_retention(kTestNow + 1'000'000, 40) > 0);
  CHECK(t.log->log_start() == 40);
  CHECK(t.log->segment_count() == 1);
  CHECK(t.append({}).base_offset == 40);

  LogConfig by_size = small_segments();
  by_size.retention_bytes = 900;
  TestLog u(by_size);
  for (int i = 0; i < 20; ++i) u.append({.records = 2});
  CHECK(*u.log->enforce_retention(kTestNow, 40) > 0);
  CHECK(u.log->size_bytes() >= 900);
  CHECK(u.log->size_bytes() < 900 + 400);
}

TEST_CASE("the log start moves inside a segment without deleting it") {
  TestLog t(small_segments());
  for (int i = 0; i < 20; ++i) t.append({.records = 2});
  const auto segments = t.log->segment_count();
  REQUIRE(t.log->advance_log_start(3, 40));
  CHECK(t.log->log_start() == 3);
  CHECK(t.log->segment_count() == segments);
  REQUIRE(t.log->advance_log_start(2, 40));
  CHECK(t.log->log_start() == 3);
  REQUIRE(t.log->advance_log_start(39, 35));
  CHECK(t.log->log_start() == 35);
  CHECK(t.log->read(34, 100, 40).error().code == Errc::out_of_range);
  CHECK(t.log->read(35, 100, 40).has_value());
}

TEST_CASE("offsets are found by timestamp, down to the record") {
  TestLog t(small_segments());
  // Records at now + 10 i + {0, 1, 2}; one late batch with an old time in between.
  for (int i = 0; i < 20; ++i) t.append({.records = 3, .timestamp = kTestNow + i * 10}, 1 + i / 10);
  t.append({.records = 1, .timestamp = kTestNow - 500}, 3);
  REQUIRE(t.log->segment_count() > 2);
  for (int i = 0; i < 20; ++i) {
    for (int r = 0; r < 3; ++r) {
      auto found = t.log->offset_for_timestamp(kTestNow + i * 10 + r, 61);
      REQUIRE(found);
      REQUIRE(found->has_value());
      CHECK((*found)->offset == i * 3 + r);
      CHECK((*found)->leader_epoch == 1 + i / 10);
    }
    CHECK((*t.log->offset_for_timestamp(kTestNow + i * 10 - 5, 61))->offset == i * 3);
  }
  CHECK_FALSE(t.log->offset_for_timestamp(kTestNow + 193, 61)->has_value());
  CHECK_FALSE(t.log->offset_for_timestamp(kTestNow + 100, 30)->has_value());  // beyond the limit
  auto latest = t.log->max_timestamp(61);
  REQUIRE(latest->has_value());
  CHECK((*latest)->offset == 59);
  CHECK((*latest)->timestamp == kTestNow + 192);
  CHECK((*t.log->max_timestamp(30))->offset == 29);
  TestLog empty;
  CHECK_FALSE(empty.log->max_timestamp(0)->has_value());
}

TEST_CASE("rare behaviour that a world may ask for loses nothing: early rolls, one batch at a time") {
  struct Always final : env::Buggify {
    bool fires(std::string_view site) override { return ++asked[std::string(site)] > 0; }
    std::map<std::string, int> asked;
  };
  Always always;
  TestLog t;
  t.log.reset();
  auto opened =
      PartitionLog::open(*t.disk, TestLog::kDir, {"orders", 0}, {}, {}, t.switches, t.trace, kTestNow, &always);
  REQUIRE(opened);
  t.log = std::move(*opened);
  for (int i = 0; i < 6; ++i) t.append({.records = 2});
  CHECK(t.log->segment_count() == 6);
  const auto whole = t.log->read(0, 1 << 20, 12);
  REQUIRE(whole);
  TestLog follower;
  follower.log.reset();
  opened =
      PartitionLog::open(*follower.disk, TestLog::kDir, {"orders", 0}, {}, {}, t.switches, t.trace, kTestNow, &always);
  REQUIRE(opened);
  follower.log = std::move(*opened);
  while (follower.log->log_end() < 12) {
    const auto part = t.log->read(follower.log->log_end(), 1 << 20, 12);
    REQUIRE(part);
    CHECK(follower.log->append_as_follower(part->view, kTestNow)->log_end % 2 == 0);
  }
  CHECK(follower.values(0) == t.values(0));
  CHECK(always.asked.size() == 2);
}

TEST_CASE("a read planned before a truncation is known to be stale") {
  TestLog t;
  t.append({.records = 2});
  t.append({.records = 2});
  auto plan = t.log->plan_read(0, 1000, 4);
  REQUIRE(plan);
  CHECK(t.log->still_valid(*plan));
  CHECK(plan->run()->size() > 0);
  REQUIRE(t.log->truncate_to(2, kTestNow));
  CHECK_FALSE(t.log->still_valid(*plan));
}

}  // namespace
}  // namespace ordeal::log
