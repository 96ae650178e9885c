// Golden bytes: what Kafka's dump-log tool and a real Kafka broker must find on the disk.
#include <doctest/doctest.h>

#include "broker/log/checkpoint_file.h"
#include "broker/log/log_index.h"
#include "broker/log/segment.h"
#include "broker/log/test_log.h"

namespace ordeal::log {
namespace {

TEST_CASE("segment names have twenty digits") {
  CHECK(segment_file_name(0, ".log") == "00000000000000000000.log");
  CHECK(segment_file_name(1234567890123, ".timeindex") == "00000001234567890123.timeindex");
  CHECK(parse_segment_name("00000001234567890123.log", ".log") == 1234567890123);
  for (const char* bad : {"1.log", "0000000000000000000x.log", "00000000000000000000.index", "-0000000000000000001.log",
                          "99999999999999999999.log"}) {
    CHECK_FALSE(parse_segment_name(bad, ".log").has_value());
  }
}

TEST_CASE("a sealed segment's indexes point at the batch by its last offset, the largest time comes last") {
  LogConfig config;
  config.segment_bytes = 700;
  config.index_interval_bytes = 150;
  TestLog t(config);
  std::vector<std::size_t> at;
  std::size_t size = 0;
  while (t.log->segment_count() == 1) {
    const BatchSpec spec{.records = 2, .value = "0123456789", .timestamp = kTestNow + static_cast<int>(at.size()) * 10};
    at.push_back(size);
    size += make_batch(spec).size();
    t.append(spec);
  }
  const std::size_t batches = at.size() - 1;  // the last one opened the next segment
  REQUIRE(t.log->flush());
  const std::string dir = TestLog::kDir;
  const Bytes& index = *t.disk->content(dir + "/00000000000000000000.index");
  const Bytes& times = *t.disk->content(dir + "/00000000000000000000.timeindex");
  // Batches are 112 bytes: an entry at every second one, once more than 150 bytes lie before it.
  REQUIRE(make_batch({.records = 2, .value = "0123456789"}).size() == at[1]);
  std::vector<std::size_t> indexed;
  for (std::size_t b = 2; b < batches; b += 2) indexed.push_back(b);
  REQUIRE(index.size() == indexed.size() * 8);
  for (std::size_t i = 0; i < indexed.size(); ++i) {
    CHECK(load_be<std::int32_t>(index.data() + i * 8) == static_cast<int>(indexed[i] * 2 + 1));
    CHECK(load_be<std::int32_t>(index.data() + i * 8 + 4) == static_cast<int>(at[indexed[i]]));
  }
  REQUIRE(times.size() % 12 == 0);
  const std::uint8_t* last = times.data() + times.size() - 12;
  CHECK(load_be<std::int64_t>(last) == kTestNow + static_cast<int>(batches - 1) * 10 + 1);
  CHECK(load_be<std::int32_t>(last + 8) == static_cast<int>(batches * 2 - 1));
  for (std::size_t i = 12; i < times.size(); i += 12) {
    CHECK(load_be<std::int64_t>(times.data() + i) > load_be<std::int64_t>(times.data() + i - 12));
  }
  // The empty snapshot of the roll: version 1, crc of the count, no entries.
  const Bytes& snapshot = *t.disk->content(path_for_test(static_cast<Offset>(batches * 2), ".snapshot"));
  CHECK(snapshot == Bytes{0, 1, 0x48, 0x67, 0x4b, 0xc7, 0, 0, 0, 0});
  CHECK(as_text(*t.disk->content(dir + "/leader-epoch-checkpoint")) == "0\n1\n1 0\n");
}

TEST_CASE("the log file is the batches exactly as sent but for base offset and leader epoch") {
  TestLog t;
  t.append({.records = 2, .value = "a"}, 3);
  Bytes sent = make_batch({.records = 1, .value = "b"});
  REQUIRE(t.log->append_as_leader(sent, 3, kTestNow, AppendOrigin::client));
  store_be<std::int64_t>(sent.data(), 2);
  store_be<std::int32_t>(sent.data() + 12, 3);
  const Bytes& file = *t.disk->content(path_for_test(0, ".log"));
  REQUIRE(file.size() > sent.size());
  CHECK(std::equal(sent.begin(), sent.end(), file.end() - static_cast<std::ptrdiff_t>(sent.size())));
}

TEST_CASE("index files are refused when they do not rise, point outside or have a broken size; zero tails pass") {
  OffsetIndex index;
  index.append(3, 5, 100);
  index.append(8, 9, 200);
  Bytes file = index.encode();
  CHECK(file == Bytes{0, 0, 0, 5, 0, 0, 0, 100, 0, 0, 0, 9, 0, 0, 0, 200});
  CHECK(OffsetIndex::decode(file, 201)->entries().size() == 2);
  CHECK(OffsetIndex::decode(file, 200).error().code == Errc::corrupt);
  CHECK(index.lookup(2) == 0);
  CHECK(index.lookup(3) == 100);
  CHECK(index.lookup(8) == 200);
  const auto loaded = OffsetIndex::decode(file, 1000);
  CHECK(loaded->lookup(4) == 0);  // the file knows only where the batch ends
  CHECK(loaded->lookup(5) == 100);
  Bytes padded = file;
  padded.resize(80);
  CHECK(OffsetIndex::decode(padded, 1000)->entries().size() == 2);
  padded.pop_back();
  CHECK_FALSE(OffsetIndex::decode(padded, 1000).has_value());
  Bytes falling = file;
  falling[3] = 10;
  CHECK_FALSE(OffsetIndex::decode(falling, 1000).has_value());

  TimeIndex times;
  times.maybe_append(1000, 5);
  times.maybe_append(1000, 7);
  times.maybe_append(900, 8);
  times.maybe_append(2000, 9);
  CHECK(times.encode() == Bytes{0, 0, 0, 0, 0, 0, 3, 0xE8, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 7, 0xD0, 0, 0, 0, 9});
  CHECK(times.lookup(999).timestamp == kNoTimestamp);
  CHECK(times.lookup(1999).last == 5);
  Bytes time_file = times.encode();
  time_file.resize(time_file.size() + 24);
  CHECK(TimeIndex::decode(time_file)->entries().size() == 2);
}

TEST_CASE("offset checkpoints are Kafka's text") {
  const std::map<TopicPartition, Offset> offsets{{{"a-b", 1}, 5}, {{"t", 0}, 0}};
  CHECK(as_text(encode_offsets(offsets)) == "0\n2\na-b 1 5\nt 0 0\n");
  CHECK(*decode_offsets(encode_offsets(offsets)) == offsets);
  for (const char* bad : {"0\n1\na 1\n", "0\n1\na x 5\n", "0\n2\na 1 5\na 1 6\n", "0\n1\na 1 5", "0\n1\na -1 5\n"}) {
    CHECK(decode_offsets(as_bytes(bad)).error().code == Errc::corrupt);
  }
}

}  // namespace
}  // namespace ordeal::log
