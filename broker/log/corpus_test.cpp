// Group E of the bug corpus, at the log: each switch off gives the right outcome, on the wrong one, and it counts.
#include <doctest/doctest.h>

#include "broker/log/log_dir.h"
#include "broker/log/test_log.h"

namespace ordeal::log {
namespace {

using mutation::Bug;
using wire::ErrorCode;

std::unique_ptr<TestLog> log_with(Bug bug, bool on, LogConfig config = small_segments()) {
  auto t = std::make_unique<TestLog>(std::move(config));
  if (on) t->switches.turn_on(bug);
  return t;
}

TEST_CASE("disk.no_dir_fsync: a segment that was synced is gone after a power cut") {
  for (const bool bug : {false, true}) {
    auto t = log_with(Bug::disk_no_dir_fsync, bug);
    for (int i = 0; i < 3; ++i) t->append({});
    REQUIRE(t->disk->sync_directory(TestLog::kDir));  // the first segment is an old one
    for (int i = 0; i < 9; ++i) t->append({});
    REQUIRE(t->log->segment_count() > 2);
    REQUIRE(t->log->flush());
    CHECK(t->log->flushed_end() == 12);
    t->crash_and_open(true);
    if (bug) CHECK(t->log->log_end() < 12);
    if (!bug) CHECK(t->log->log_end() == 12);
    CHECK((t->switches.ran(Bug::disk_no_dir_fsync) > 0) == bug);
  }
}

TEST_CASE("disk.keep_clean_marker: after a crash the next start skips recovery and serves a damaged batch") {
  const std::string path = "/data/logs";
  const TopicPartition orders{"orders", 0};
  Uuid id;
  id.bytes.fill(7);
  for (const bool bug : {false, true}) {
    auto disk = std::make_unique<TestDisk>();
    mutation::Switches switches;
    if (bug) switches.turn_on(Bug::disk_keep_clean_marker);
    NullTrace trace;
    std::unique_ptr<LogDirectory> directory;
    const auto open = [&]() -> PartitionLog& {
      auto opened = LogDirectory::open(*disk, path, {"c1", 1, id}, switches, trace);
      REQUIRE(opened);
      directory = std::move(*opened);
      const auto log = directory->open_log(orders, id, {}, kTestNow);
      REQUIRE(log);
      return **log;
    };
    open();
    REQUIRE(directory->close_clean({}, 1));
    PartitionLog& log = open();
    for (int i = 0; i < 3; ++i) {
      const Bytes batch = make_batch({.value = "value"});
      REQUIRE(log.append_as_leader(batch, 1, kTestNow, AppendOrigin::client));
    }
    // A power cut leaves the last two batches whole in length and torn inside, and names as they were last synced.
    REQUIRE(disk->open(path + "/orders-0/" + segment_file_name(0, ".log"), env::OpenMode::read_write).value()->sync());
    directory.reset();
    disk = disk->power_cut();
    Bytes* file = disk->content(path + "/orders-0/" + segment_file_name(0, ".log"));
    const std::size_t batch_size = file->size() / 3;
    std::fill_n(file->begin() + static_cast<std::ptrdiff_t>(batch_size + 61), 5, std::uint8_t{0});
    PartitionLog& after = open();
    CHECK(directory->was_clean() == bug);
    CHECK(after.recovery().walked != bug);
    CHECK(after.log_end() == (bug ? 3 : 1));
    const auto served = after.read(0, 1 << 20, after.log_end());
    REQUIRE(served);
    wire::BatchIterator it(served->view);
    bool damaged = false;
    while (const auto batch = it.next()) damaged = damaged || !batch->crc_ok();
    CHECK(damaged == bug);
    CHECK((switches.ran(Bug::disk_keep_clean_marker) > 0) == bug);
    // Without a crash the marker goes once all is loaded, and stays away.
    REQUIRE(directory->close_clean({}, 2));
    open();
    CHECK_FALSE(disk->exists(path + "/.kafka_cleanshutdown"));
  }
}

// Epochs as a follower asks for them: where does epoch `asked` end?
TEST_CASE("disk.epoch_ckpt_unsynced: a torn checkpoint is believed, and an old epoch seems to reach too far") {
  for (const bool bug : {false, true}) {
    auto t = log_with(Bug::disk_epoch_ckpt_unsynced, bug);
    for (int i = 0; i < 4; ++i) t->append({}, 1);
    for (int i = 0; i < 12; ++i) t->append({}, 2);
    REQUIRE(t->log->flush());
    REQUIRE(t->log->segment_count() > 3);
    t->crash_and_open(true, nullptr, 16);
    t->log->assign_epoch(3);
    CHECK(t->log->log_end() == 16);
    const EpochEnd end = t->log->end_offset_for_epoch(1);
    if (!bug) CHECK(end == EpochEnd{1, 4});
    if (bug) CHECK(end.end > 4);
    CHECK((t->switches.ran(Bug::disk_epoch_ckpt_unsynced) > 0) == bug);
  }
}

TEST_CASE("disk.epoch_ckpt_unsynced: a checkpoint that a truncation wrote is torn as well") {
  for (const bool bug : {false, true}) {
    auto t = log_with(Bug::disk_epoch_ckpt_unsynced, bug);
    for (int i = 0; i < 6; ++i) t->append({}, 1);
    for (int i = 0; i < 6; ++i) t->append({}, 2);
    REQUIRE(t->log->flush());
    REQUIRE(t->log->truncate_to(6, kTestNow));
    const auto damaged = t->disk->power_cut();
    const std::string text(as_text(*damaged->content("/data/orders-0/leader-epoch-checkpoint")));
    CHECK(text == (bug ? "" : "0\n1\n1 0\n"));
  }
}

TEST_CASE("disk.epoch0_skipped: after a rebuild nobody knows who wrote the first records") {
  for (const bool bug : {false, true}) {
    auto t = log_with(Bug::disk_epoch0_skipped, bug);
    for (int i = 0; i < 4; ++i) t->append({}, 0);
    CHECK(t->log->epochs().epoch_of(3) == 0);
    t->crash_and_open(false);
    CHECK(t->log->epochs().epoch_of(3) == (bug ? kNoEpoch : 0));
    CHECK(t->log->end_offset_for_epoch(0) == (bug ? EpochEnd{} : EpochEnd{0, 4}));
    CHECK((t->switches.ran(Bug::disk_epoch0_skipped) > 0) == bug);
  }
}

TEST_CASE("disk.producer_snapshot_unsynced: a retried batch is not known again after a power cut") {
  const auto sent = [](std::int32_t sequence) { return BatchSpec{.producer = 9, .epoch = 0, .sequence = sequence}; };
  for (const bool bug : {false, true}) {
    auto t = log_with(Bug::disk_producer_snapshot_unsynced, bug);
    int count = 0;
    while (t->log->segment_count() < 3) t->append(sent(count++));
    REQUIRE(t->log->truncate_to(t->log->log_end() - 1, kTestNow));  // the retry is the first batch of its segment
    --count;
    REQUIRE(t->log->flush());
    t->crash_and_open(true, nullptr, t->log->log_end());
    CHECK(t->log->log_end() == count);
    if (bug) {  // the producer begins anew, under another id, and the batch is there twice
      CHECK(t->append_error(sent(count - 1)).code == wire::ErrorCode::out_of_order_sequence_number);
    } else {
      const AppendInfo retried = t->append(sent(count - 1));
      CHECK(retried.duplicate);
      CHECK(retried.base_offset == count - 1);
    }
    CHECK((t->switches.ran(Bug::disk_producer_snapshot_unsynced) > 0) == bug);
  }
}

TEST_CASE("disk.delete_past_hw: retention takes what is not committed, and says how far it went") {
  for (const bool bug : {false, true}) {
    LogConfig config = small_segments();
    config.retention_ms = 1000;
    auto t = log_with(Bug::disk_delete_past_hw, bug, config);
    for (int i = 0; i < 20; ++i) t->append({});
    CHECK(*t->log->enforce_retention(kTestNow, 7) == 0);
    CHECK(t->switches.ran(Bug::disk_delete_past_hw) == 0);
    REQUIRE(t->log->enforce_retention(kTestNow + 60'000, 7));
    CHECK((t->log->log_start() > 7) == bug);
    CHECK(t->log->log_start() > 0);
    const std::string said = t->trace.first("log.retention");
    CHECK(said.find(" from=0 to=" + std::to_string(t->log->log_start()) + " hw=7") != std::string::npos);
    CHECK((t->switches.ran(Bug::disk_delete_past_hw) > 0) == bug);
  }
}

TEST_CASE("disk.reuse_offset_after_prefix_truncate: when nothing is left, offsets are given a second time") {
  for (const bool bug : {false, true}) {
    LogConfig config = small_segments();
    config.retention_ms = 1000;
    auto t = log_with(Bug::disk_reuse_offset_after_prefix_truncate, bug, config);
    for (int i = 0; i < 8; ++i) t->append({});
    REQUIRE(t->log->flush());
    CHECK(*t->log->enforce_retention(kTestNow + 60'000, 8) > 0);
    const Offset next = t->append({}).base_offset;
    CHECK((next < 8) == bug);
    if (!bug) CHECK(next == 8);
    CHECK(t->log->flushed_end() <= t->log->log_end());
    CHECK((t->switches.ran(Bug::disk_reuse_offset_after_prefix_truncate) > 0) == bug);
  }
}

TEST_CASE("disk.stale_index_after_truncate: lookups pass their target, are told on, and still find every record") {
  for (const bool bug : {false, true}) {
    LogConfig config;
    config.index_interval_bytes = 200;
    auto t = log_with(Bug::disk_stale_index_after_truncate, bug, config);
    for (int i = 0; i < 20; ++i) t->append({.value = std::string(200, 'x')});
    REQUIRE(t->log->truncate_to(2, kTestNow));
    std::vector<std::string> written(2, std::string(200, 'x') + ".0");
    for (int i = 2; i < 60; ++i) {
      t->append({.value = "v" + std::to_string(i)});
      written.push_back("v" + std::to_string(i) + ".0");
    }
    CHECK(t->values(0, 1) == written);
    CHECK(t->trace.first("log.index_past_target").empty() != bug);
    CHECK((t->switches.ran(Bug::disk_stale_index_after_truncate) > 0) == bug);
    // Nor does a second truncation, or a start, take the index's word for it.
    REQUIRE(t->log->truncate_to(31, kTestNow));
    CHECK(t->log->log_end() == 31);
    REQUIRE(t->log->close_clean());
    t->open({true, 31, 0});
    written.resize(31);
    CHECK(t->values(0, 1) == written);
  }
}

}  // namespace
}  // namespace ordeal::log
