// RecordBatch v2: the bytes of the format, every codec, damage, markers and sequence arithmetic.
#include "broker/wire/record_batch.h"

#include <doctest/doctest.h>

#include <string>

#include "broker/base/random.h"

using namespace ordeal;
using namespace ordeal::wire;

namespace {

ByteView view(std::string_view text) { return as_bytes(text); }

Bytes small_batch(BatchOptions options = {}, int records = 3) {
  BatchBuilder builder(options);
  for (int i = 0; i < records; ++i) builder.append(1000 + i, view("key"), view("value" + std::to_string(i)));
  return builder.build();
}

std::vector<std::string> values_of(const BatchView& batch) {
  Result<RecordReader> reader = RecordReader::open(batch);
  REQUIRE(reader.has_value());
  std::vector<std::string> values;
  Record record;
  while (true) {
    const Result<bool> more = reader->next(record);
    REQUIRE(more.has_value());
    if (!*more) return values;
    values.emplace_back(record.value ? as_text(*record.value) : "<null>");
  }
}

}  // namespace

TEST_CASE("golden bytes of a batch with one record") {
  BatchOptions options;
  options.base_offset = 5;
  options.partition_leader_epoch = 2;
  options.producer_id = 9;
  options.producer_epoch = 1;
  options.base_sequence = 4;
  BatchBuilder builder(options);
  builder.append(1000, std::nullopt, view("hi"), {{"h", view("v")}, {"n", std::nullopt}});
  Bytes batch = builder.build();
  // record: length 15, attributes, timestamp delta, offset delta, key null, value "hi", 2 headers
  const Bytes record = {30, 0, 0, 0, 1, 4, 'h', 'i', 4, 2, 'h', 2, 'v', 2, 'n', 1};
  Bytes expected = {0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 65, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  const Bytes rest = {0, 0, 0, 0, 0, 0, 3, 0xe8, 0, 0, 0, 0, 0, 0, 3, 0xe8, 0,
                      0, 0, 0, 0, 0, 0, 9, 0,    1, 0, 0, 0, 4, 0, 0, 0,    1};
  expected.insert(expected.end(), rest.begin(), rest.end());
  expected.insert(expected.end(), record.begin(), record.end());
  const Result<BatchView> parsed = BatchView::parse(batch);
  REQUIRE(parsed.has_value());
  CHECK(parsed->crc_ok());
  CHECK(parsed->crc() == crc32c(ByteView(expected).subspan(21)));
  store_be<std::uint32_t>(batch.data() + 17, 0);
  CHECK(batch == expected);
}

TEST_CASE("accessors, and records with headers, for every codec") {
  for (const Codec codec : {Codec::none, Codec::gzip, Codec::snappy, Codec::lz4, Codec::zstd}) {
    BatchOptions options;
    options.codec = codec;
    options.base_offset = 100;
    options.producer_id = 7;
    options.producer_epoch = 3;
    options.base_sequence = 2147483646;
    options.transactional = true;
    BatchBuilder builder(options);
    for (int i = 0; i < 500; ++i) {
      builder.append(i == 10 ? 5 : 2000 - i, i % 3 == 0 ? std::nullopt : std::optional(view("k")),
                     i % 7 == 0 ? std::nullopt : std::optional(view("some value")),
                     {{"a", view("1")}, {"b", std::nullopt}});
    }
    CHECK(builder.count() == 500);
    const Bytes bytes = builder.build();
    CHECK(builder.empty());
    const Result<BatchView> batch = BatchView::parse(bytes);
    REQUIRE(batch.has_value());
    CHECK(batch->crc_ok());
    CHECK(batch->codec() == codec);
    CHECK(batch->size() == bytes.size());
    CHECK(batch->last_offset() == 599);
    CHECK(batch->next_offset() == 600);
    CHECK(batch->base_timestamp() == 2000);
    CHECK(batch->max_timestamp() == 2000);
    CHECK(batch->is_transactional());
    CHECK_FALSE(batch->is_control());
    CHECK(batch->last_sequence() == 497);  // 2147483646 + 499 wraps
    Result<RecordReader> reader = RecordReader::open(*batch);
    REQUIRE(reader.has_value());
    RecordReader moved = std::move(*reader);
    Record record;
    for (int i = 0; i < 500; ++i) {
      REQUIRE(moved.next(record) == true);
      CHECK(record.offset == 100 + i);
      CHECK(record.timestamp == (i == 10 ? 5 : 2000 - i));
      CHECK(record.key.has_value() == (i % 3 != 0));
      CHECK(record.value.has_value() == (i % 7 != 0));
      REQUIRE(record.headers.size() == 2);
      CHECK(record.headers[0].key == "a");
      CHECK_FALSE(record.headers[1].value.has_value());
    }
    CHECK(moved.next(record) == false);
    if (codec != Codec::none) CHECK_FALSE(RecordReader::open(*batch, 100).has_value());
  }
}

TEST_CASE("rewriting offset and epoch keeps the checksum, a new timestamp renews it") {
  Bytes bytes = small_batch();
  set_base_offset(bytes, 1LL << 40);
  set_partition_leader_epoch(bytes, 77);
  BatchView batch = *BatchView::parse(bytes);
  CHECK(batch.crc_ok());
  CHECK(batch.base_offset() == 1LL << 40);
  CHECK(batch.partition_leader_epoch() == 77);
  const std::uint32_t before = batch.crc();
  set_log_append_time(bytes, 123456);
  CHECK(batch.crc() != before);
  CHECK(batch.crc_ok());
  CHECK(batch.is_log_append_time());
  CHECK(batch.max_timestamp() == 123456);
  Result<RecordReader> reader = RecordReader::open(batch);
  REQUIRE(reader.has_value());
  Record record;
  REQUIRE(reader->next(record) == true);
  CHECK(record.timestamp == 123456);
  bytes.back() ^= 1;
  CHECK_FALSE(batch.crc_ok());
}

TEST_CASE("a range is walked batch by batch and ends cleanly at a cut") {
  Bytes range;
  const std::vector<int> counts = {1, 5, 2};
  Offset next = 0;
  std::vector<std::size_t> ends;
  for (const int count : counts) {
    BatchOptions options;
    options.base_offset = next;
    const Bytes batch = small_batch(options, count);
    range.insert(range.end(), batch.begin(), batch.end());
    next += count;
    ends.push_back(range.size());
  }
  for (std::size_t size = 0; size <= range.size(); ++size) {
    BatchIterator it(ByteView(range).first(size));
    std::size_t whole = 0;
    while (whole < ends.size() && ends[whole] <= size) ++whole;
    std::size_t seen = 0;
    while (const std::optional<BatchView> batch = it.next()) ++seen;
    CHECK(seen == whole);
    CHECK(it.position() == (whole == 0 ? 0 : ends[whole - 1]));
    CHECK_FALSE(it.error().has_value());
    CHECK(it.partial() == (size != it.position()));
  }
  range[ends[0] + 16] = 1;  // the second batch's magic
  BatchIterator it(range);
  CHECK(it.next().has_value());
  CHECK_FALSE(it.next().has_value());
  REQUIRE(it.error().has_value());
  CHECK(it.error()->text.find("batch magic 1") != std::string::npos);
}

TEST_CASE("headers that lie are refused") {
  const Bytes good = small_batch();
  const auto with = [&](std::size_t at, std::int32_t value) {
    Bytes bytes = good;
    store_be<std::int32_t>(bytes.data() + at, value);
    refresh_crc(bytes);
    return bytes;
  };
  CHECK_FALSE(BatchView::parse(ByteView(good).first(60)).has_value());
  CHECK_FALSE(BatchView::parse(ByteView(good).first(good.size() - 1)).has_value());
  Bytes bytes = good;
  store_be<std::int32_t>(bytes.data() + 8, 48);
  CHECK_FALSE(BatchView::parse(bytes).has_value());
  store_be<std::int32_t>(bytes.data() + 8, -1);
  CHECK_FALSE(BatchView::parse(bytes).has_value());
  CHECK_FALSE(BatchView::parse(with(57, -1)).has_value());
  CHECK_FALSE(BatchView::parse(with(57, 4)).has_value());  // more records than offsets
  CHECK_FALSE(BatchView::parse(with(23, -1)).has_value());
  Bytes far = good;
  set_base_offset(far, std::numeric_limits<Offset>::max() - 1);
  CHECK_FALSE(BatchView::parse(far).has_value());
  // Fewer records than the payload holds: bytes are left over.
  const Bytes fewer = with(57, 2);
  Result<RecordReader> reader = RecordReader::open(*BatchView::parse(fewer));
  REQUIRE(reader.has_value());
  Record record;
  CHECK(reader->next(record) == true);
  CHECK(reader->next(record) == true);
  CHECK_FALSE(reader->next(record).has_value());
}

TEST_CASE("damaged batches never crash the reader, and the checksum sees every flipped bit it covers") {
  Random random(8);
  for (const Codec codec : {Codec::none, Codec::gzip, Codec::snappy, Codec::lz4, Codec::zstd}) {
    BatchOptions options;
    options.codec = codec;
    const Bytes good = small_batch(options, 20);
    for (int i = 0; i < 400; ++i) {
      Bytes bytes = good;
      const std::size_t at = random.below(bytes.size());
      bytes[at] ^= static_cast<std::uint8_t>(1 << random.below(8));
      const Result<BatchView> batch = BatchView::parse(bytes);
      if (!batch) continue;
      if (at >= 17) CHECK_FALSE(batch->crc_ok());
      Result<RecordReader> reader = RecordReader::open(*batch, 1 << 20);
      if (!reader) continue;
      Record record;
      while (true) {
        const Result<bool> more = reader->next(record);
        if (!more || !*more) break;
      }
    }
  }
  CHECK(values_of(*BatchView::parse(small_batch())) == std::vector<std::string>{"value0", "value1", "value2"});
}

TEST_CASE("control batches: golden key and value, and unknown types are left to the reader") {
  const Bytes bytes = build_control_batch(ControlType::commit, 42, 3, 11, 5000);
  const BatchView batch = *BatchView::parse(bytes);
  CHECK(batch.is_control());
  CHECK(batch.is_transactional());
  CHECK(batch.base_sequence() == kNoSequence);
  CHECK(batch.last_sequence() == kNoSequence);
  CHECK(batch.producer_id() == 42);
  CHECK(batch.record_count() == 1);
  RecordReader reader = *RecordReader::open(batch);
  Record record;
  REQUIRE(reader.next(record) == true);
  CHECK(Bytes(record.key->begin(), record.key->end()) == Bytes{0, 0, 0, 1});
  CHECK(Bytes(record.value->begin(), record.value->end()) == Bytes{0, 0, 0, 0, 0, 11});
  const Result<ControlMarker> marker = parse_control_record(record);
  REQUIRE(marker.has_value());
  CHECK(marker->type == 1);
  CHECK(marker->coordinator_epoch == 11);
  const Bytes kraft_key = {0, 0, 0, 2};
  record.key = ByteView(kraft_key);
  record.value.reset();
  CHECK(parse_control_record(record)->type == 2);
  const Bytes short_key = {0, 0, 0};
  record.key = ByteView(short_key);
  CHECK_FALSE(parse_control_record(record).has_value());
  record.key.reset();
  CHECK_FALSE(parse_control_record(record).has_value());
}

TEST_CASE("sequence numbers wrap to 0 after 2147483647") {
  CHECK(next_sequence(0) == 1);
  CHECK(next_sequence(2147483647) == 0);
  CHECK(add_sequence(2147483645, 5) == 2);
  CHECK(add_sequence(2147483647, 2147483647) == 2147483646);
  BatchOptions options;
  options.producer_id = 1;
  options.producer_epoch = 0;
  options.base_sequence = 2147483647;
  CHECK(BatchView::parse(small_batch(options))->last_sequence() == 1);
}
