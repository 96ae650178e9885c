// A disk that fails: nothing that was not synced is acknowledged or believed, nothing torn is served, nothing flushed
// is lost, and the first error ends the log with its path.
#include <doctest/doctest.h>

#include "broker/log/log_dir.h"
#include "broker/log/test_log.h"

namespace ordeal::log {
namespace {

using wire::ErrorCode;

std::vector<std::string> numbered(int count) {
  std::vector<std::string> values;
  for (int i = 0; i < count; ++i) values.push_back("m" + std::to_string(i) + ".0");
  return values;
}

TEST_CASE(
    "an append that fails, whole or torn, ends the log with its path, and the torn part is cut at the next start") {
  const std::size_t size = make_batch({.value = "m3"}).size();
  for (const Errc code : {Errc::io, Errc::no_space}) {
    for (const std::size_t written : {std::size_t{0}, std::size_t{1}, size / 2, size - 1, size}) {
      TestLog t;
      for (int i = 0; i < 3; ++i) t.append({.value = "m" + std::to_string(i)});
      REQUIRE(t.log->flush());
      t.disk->faults.push_back({.op = "write", .path_part = ".log", .code = code, .written = written});
      const AppendError refused = t.append_error({.value = "m3"});
      CHECK(refused.code == ErrorCode::kafka_storage_error);
      CHECK(refused.text.find(path_for_test(0, ".log")) != std::string::npos);
      CHECK(t.trace.first("log.failed").find("path=/data/orders-0 ") != std::string::npos);
      // The disk is well again; this log is not.
      CHECK(t.log->failed());
      CHECK(t.append_error({.value = "m4"}).code == ErrorCode::kafka_storage_error);
      CHECK(t.log->read(0, 1 << 20, 3).error().code == code);
      CHECK(t.log->flush().error().code == code);
      CHECK(t.log->close_clean().error().code == code);
      t.crash_and_open(false);
      // A batch that is whole after all may stay: nobody was told anything about it.
      CHECK(t.values(0) == numbered(written == size ? 4 : 3));
      CHECK(t.append({.value = "m9"}).base_offset == (written == size ? 4 : 3));
    }
  }
}

TEST_CASE("a follower's append that fails is served to nobody") {
  TestLog t;
  const Bytes first = make_batch({.value = "m0", .base = 0, .leader_epoch = 1});
  REQUIRE(t.log->append_as_follower(first, kTestNow));
  REQUIRE(t.log->flush());
  t.disk->faults.push_back({.op = "write", .path_part = ".log", .written = 20});
  const Bytes second = make_batch({.value = "m1", .base = 1, .leader_epoch = 1});
  CHECK(t.log->append_as_follower(second, kTestNow).error().code == Errc::io);
  CHECK(t.log->log_end() == 1);
  CHECK(t.log->failed());
  t.crash_and_open(false);
  CHECK(t.values(0) == numbered(1));
}

TEST_CASE("a failed sync is not retried into success, not even by the next incarnation") {
  TestLog t(small_segments());
  for (int i = 0; i < 3; ++i) t.append({.value = "m" + std::to_string(i)});
  REQUIRE(t.log->flush());
  for (int i = 3; i < 12; ++i) t.append({.value = "m" + std::to_string(i)});
  t.disk->faults.push_back({.op = "sync", .path_part = ".log"});
  CHECK(t.log->flush().error().code == Errc::io);
  CHECK(t.log->flushed_end() == 3);
  CHECK(t.log->flush().error().code == Errc::io);
  CHECK(t.log->flushed_end() == 3);
  // The process dies of it. The cache still shows all records, and the disk has taken three.
  t.crash_and_open(false, nullptr, 3);
  CHECK(t.values(0) == numbered(12));
  const Offset believed = t.log->flushed_end();
  CHECK(believed == 12);
  t.crash_and_open(true, nullptr, 3);
  CHECK(t.log->log_end() >= believed);
  CHECK(t.values(0) == numbered(static_cast<int>(t.log->log_end())));
}

TEST_CASE("damage at the start is an error when it cannot be read, and a cut only when it was read") {
  TestLog t(small_segments());
  for (int i = 0; i < 9; ++i) t.append({.value = "m" + std::to_string(i)});
  REQUIRE(t.log->flush());
  t.log.reset();
  for (const char* op : {"read", "open", "list", "sync_directory", "sync", "write", "truncate", "rename"}) {
    for (const bool clean : {false, true}) {
      for (int skip = 0; skip < 6; ++skip) {
        t.disk->faults = {{.op = op, .path_part = "", .skip = skip}};
        const auto opened = t.try_open({clean, clean ? 9 : 4, 0});
        if (t.disk->faults[0].count == 0) {
          REQUIRE_FALSE(opened);
          CHECK(opened.error().code == Errc::io);
          CHECK(opened.error().text.find("orders-0") != std::string::npos);
        }
        t.disk->faults.clear();
        t.open({false, 4, 0});
        REQUIRE(t.values(0) == numbered(9));
        REQUIRE(t.log->flush());
      }
    }
  }
}

TEST_CASE("a read that fails gives its error and nothing else, and says so") {
  TestLog t(small_segments());
  for (int i = 0; i < 9; ++i) t.append({.value = "m" + std::to_string(i)});
  t.disk->faults.push_back({.op = "read", .path_part = ".log"});
  const auto failed = t.log->read(0, 1 << 20, 9);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Errc::io);
  CHECK(failed.error().text.find(path_for_test(0, ".log")) != std::string::npos);
  CHECK(t.trace.first("log.read_failed").find("offset=0") != std::string::npos);
  CHECK(t.values(0) == numbered(9));
  t.disk->faults.push_back({.op = "read", .path_part = ".log"});
  CHECK(t.log->offset_for_timestamp(kTestNow, 9).error().code == Errc::io);
}

// Everything a log does to its disk, in one go; stops at the first error. Returns what was flushed when it stopped.
struct Workload {
  std::vector<std::string> kept;  // values below the flushed end, by offset from `start`
  Offset start = 0;
  bool failed = false;
};

Workload run_workload(TestLog& t) {
  Workload done;
  std::vector<std::string> all;
  const auto note = [&](bool good) {
    done.start = t.log->log_start();
    const auto flushed = static_cast<std::size_t>(t.log->flushed_end());
    done.kept = {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(std::min(flushed, all.size()))};
    done.failed = !good;
    return good;
  };
  const auto append = [&](int count, LeaderEpoch epoch) {
    for (int i = 0; i < count; ++i) {
      const std::string value = "e" + std::to_string(epoch) + "-" + std::to_string(all.size());
      const Bytes batch = make_batch({.value = value, .timestamp = kTestNow + static_cast<WallMs>(all.size())});
      if (!t.log->append_as_leader(batch, epoch, kTestNow, AppendOrigin::client)) return false;
      all.push_back(value + ".0");
      if (i % 3 == 2 && !note(t.log->flush().has_value())) return false;
    }
    return true;
  };
  if (!append(10, 1)) return note(false), done;
  // Whatever is to be cut is no longer promised from the moment that the call begins.
  all.resize(6);
  note(true);
  if (!t.log->truncate_to(6, kTestNow)) return note(false), done;
  t.log->assign_epoch(2);
  if (!append(9, 2)) return note(false), done;
  if (!note(t.log->advance_log_start(4, 8).has_value())) return done;
  if (!append(3, 3)) return note(false), done;
  note(t.log->close_clean().has_value());
  return done;
}

TEST_CASE("one failing call anywhere: the log ends, and the next start finds all that was flushed") {
  int struck = 0;
  for (int call = 0;; ++call) {
    bool reached = false;
    for (const bool power : {false, true}) {
      TestLog t(small_segments());
      t.disk->calls_until_fault = call;
      const Workload done = run_workload(t);
      reached = t.disk->calls_until_fault < 0;
      CHECK_MESSAGE(done.failed == reached, "call ", call);
      if (!reached) break;
      ++struck;
      CHECK_MESSAGE(t.log->failed(), "call ", call);
      CHECK(t.append_error(BatchSpec{}).code == ErrorCode::kafka_storage_error);
      // After a kill, and after a power cut on top of the start that followed it.
      t.crash_and_open(power, nullptr, 0);
      for (int again = 0; again < 2; ++again) {
        REQUIRE_MESSAGE(t.log->log_end() >= static_cast<Offset>(done.kept.size()), "call ", call);
        const Offset start = t.log->log_start();
        const auto values = t.values(start);
        for (std::size_t i = static_cast<std::size_t>(start); i < done.kept.size(); ++i) {
          REQUIRE_MESSAGE(values[i - static_cast<std::size_t>(start)] == done.kept[i], "call ", call);
        }
        t.crash_and_open(true, nullptr, 0);
      }
    }
    if (!reached) break;
  }
  CHECK(struck > 100);
}

TEST_CASE("files of the directory that cannot be read are an error, never taken for missing") {
  const std::string path = "/data/logs";
  mutation::Switches switches;
  NullTrace trace;
  Uuid id;
  id.bytes.fill(7);
  for (const char* file : {"meta.properties", ".kafka_cleanshutdown", "recovery-point-offset-checkpoint",
                           "log-start-offset-checkpoint", "replication-offset-checkpoint", "partition.metadata"}) {
    for (const char* op : {"open", "read"}) {
      TestDisk disk;
      const auto open = [&] { return LogDirectory::open(disk, path, {"c1", 1, id}, switches, trace); };
      {
        auto directory = open();
        REQUIRE(directory);
        REQUIRE((*directory)->open_log({"orders", 0}, id, {}, kTestNow));
        REQUIRE((*directory)->close_clean({{{"orders", 0}, 0}}, 5));
      }
      disk.faults.push_back({.op = op, .path_part = file});
      const auto refused = open();
      REQUIRE_MESSAGE(!refused, file);
      CHECK(refused.error().code == Errc::io);
      CHECK_MESSAGE(refused.error().text.find(file) != std::string::npos, refused.error().text);
      const auto opened = open();
      REQUIRE(opened);
      CHECK((*opened)->found().size() == 1);
    }
  }
}

TEST_CASE("a checkpoint or marker that fails to be written leaves the old one, and a stop without marker is unclean") {
  const std::string path = "/data/logs";
  mutation::Switches switches;
  NullTrace trace;
  Uuid id;
  id.bytes.fill(7);
  for (int call = 0;; ++call) {
    auto disk = std::make_unique<TestDisk>();
    auto directory = LogDirectory::open(*disk, path, {"c1", 1, id}, switches, trace);
    REQUIRE(directory);
    const auto log = (*directory)->open_log({"orders", 0}, id, {}, kTestNow);
    REQUIRE(log);
    const Bytes batch = make_batch({});
    REQUIRE((*log)->append_as_leader(batch, 1, kTestNow, AppendOrigin::client));
    REQUIRE((*log)->flush());
    disk->calls_until_fault = call;
    const Status closed = (*directory)->close_clean({{{"orders", 0}, 1}}, 5);
    if (disk->calls_until_fault >= 0) {
      CHECK(closed);
      CHECK(call > 10);
      break;
    }
    CHECK(closed.error().code == Errc::io);
    disk = disk->power_cut();
    auto again = LogDirectory::open(*disk, path, {"c1", 1, id}, switches, trace);
    REQUIRE(again);
    const auto reopened = (*again)->open_log({"orders", 0}, id, {}, kTestNow);
    REQUIRE(reopened);
    CHECK((*reopened)->log_end() == 1);
  }
}

}  // namespace
}  // namespace ordeal::log
