// Shared by the tests of this folder: batches by the record, and a log on a TestDisk that can be crashed and reopened.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "broker/log/partition_log.h"
#include "broker/log/segment.h"
#include "broker/log/test_disk.h"

namespace ordeal::log {

// Rolls after a few records, with an index entry every other one.
inline LogConfig small_segments() {
  LogConfig config;
  config.segment_bytes = 400;
  config.index_interval_bytes = 100;
  return config;
}

inline constexpr WallMs kTestNow = 1'700'000'000'000;

struct BatchSpec {
  int records = 1;
  std::string value = "value";
  WallMs timestamp = kTestNow;
  ProducerId producer = kNoProducerId;
  ProducerEpoch epoch = wire::kNoProducerEpoch;
  std::int32_t sequence = wire::kNoSequence;
  wire::Codec codec = wire::Codec::none;
  bool key = false;
  bool transactional = false;
  Offset base = 0;
  LeaderEpoch leader_epoch = kNoEpoch;
};

inline Bytes make_batch(const BatchSpec& spec) {
  wire::BatchOptions options;
  options.base_offset = spec.base;
  options.partition_leader_epoch = spec.leader_epoch;
  options.codec = spec.codec;
  options.producer_id = spec.producer;
  options.producer_epoch = spec.epoch;
  options.base_sequence = spec.sequence;
  options.transactional = spec.transactional;
  wire::BatchBuilder builder(options);
  for (int i = 0; i < spec.records; ++i) {
    const std::string value = spec.value + "." + std::to_string(i);
    builder.append(spec.timestamp + i, spec.key ? std::optional<ByteView>(as_bytes("key")) : std::nullopt,
                   as_bytes(value));
  }
  return builder.build();
}

// Of a file of the test log.
inline std::string path_for_test(Offset base, std::string_view suffix) {
  return "/data/orders-0/" + segment_file_name(base, suffix);
}

// Keeps what was said, as "kind key=value key=value".
class RecordingTrace final : public TraceSink {
 public:
  void emit(Severity, std::string_view kind, std::initializer_list<TraceField> fields) override {
    std::string line(kind);
    for (const TraceField& field : fields) {
      line += " " + std::string(field.key) + "=";
      if (const auto* number = std::get_if<std::int64_t>(&field.value)) line += std::to_string(*number);
      if (const auto* text = std::get_if<std::string_view>(&field.value)) line += *text;
    }
    lines.push_back(std::move(line));
  }
  // The first line of that kind; empty if there is none.
  std::string first(std::string_view kind) const {
    for (const std::string& line : lines) {
      if (line == kind || line.starts_with(std::string(kind) + " ")) return line;
    }
    return {};
  }
  std::vector<std::string> lines;
};

struct TestLog {
  static constexpr const char* kDir = "/data/orders-0";

  explicit TestLog(LogConfig wanted = {}) : config(std::move(wanted)) {
    REQUIRE(disk->create_directories(kDir));
    REQUIRE(disk->sync_directory("/data"));
    open();
  }

  void open(OpenHints hints = {}) {
    auto opened = try_open(hints);
    REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().to_string()));
    log = std::move(*opened);
  }
  Result<std::unique_ptr<PartitionLog>> try_open(OpenHints hints = {}) {
    log.reset();
    return PartitionLog::open(*disk, kDir, {"orders", 0}, config, hints, switches, trace, kTestNow);
  }
  // The recovery point as the last checkpoint could have it.
  void crash_and_open(bool power, Random* draw = nullptr, Offset recovery_point = 0) {
    log.reset();
    disk = power ? disk->power_cut(draw) : disk->kill();
    open({false, recovery_point, 0});
  }

  AppendInfo append(const BatchSpec& spec, LeaderEpoch epoch = 1) {
    const Bytes batch = make_batch(spec);
    auto info = log->append_as_leader(batch, epoch, kTestNow, AppendOrigin::client);
    REQUIRE_MESSAGE(info, (info ? "" : info.error().text));
    return *info;
  }
  AppendError append_error(const BatchSpec& spec, LeaderEpoch epoch = 1) {
    return append_error(make_batch(spec), epoch);
  }
  AppendError append_error(const Bytes& batch, LeaderEpoch epoch = 1) {
    const Offset end = log->log_end();
    auto info = log->append_as_leader(batch, epoch, kTestNow, AppendOrigin::client);
    REQUIRE_FALSE(info);
    CHECK(log->log_end() == end);
    return info.error();
  }
  // Every record value from `from` on, read in steps of `bytes`.
  std::vector<std::string> values(Offset from, std::size_t bytes = 1 << 20) const {
    std::vector<std::string> all;
    while (from < log->log_end()) {
      auto part = log->read(from, bytes, log->log_end());
      REQUIRE_MESSAGE(part, (part ? "" : part.error().to_string()));
      REQUIRE_FALSE(part->empty());
      wire::BatchIterator it(part->view);
      while (auto batch = it.next()) {
        CHECK(batch->crc_ok());
        auto reader = wire::RecordReader::open(*batch);
        REQUIRE(reader);
        wire::Record record;
        for (auto more = reader->next(record); more && *more; more = reader->next(record)) {
          if (record.offset >= from) all.emplace_back(as_text(*record.value));
        }
        from = batch->next_offset();
      }
      CHECK(it.clean());
    }
    return all;
  }

  LogConfig config;
  mutation::Switches switches;
  RecordingTrace trace;
  std::unique_ptr<TestDisk> disk = std::make_unique<TestDisk>();
  std::unique_ptr<PartitionLog> log;
};

}  // namespace ordeal::log
