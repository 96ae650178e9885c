// RecordBatch v2: offsets of the header fields are the format itself and are written out in record_batch.h's accessors.
#include "broker/wire/record_batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "broker/base/check.h"
#include "broker/wire/codec.h"

namespace ordeal::wire {
namespace {

constexpr std::size_t kCrcAt = 17;
constexpr std::size_t kAttributesAt = 21;
constexpr std::size_t kMaxTimestampAt = 35;
constexpr std::size_t kRecordMin = 7;  // length, attributes, two deltas, two lengths, header count: a byte each

std::size_t whole_size(ByteView batch) {
  return kBatchLengthOverhead + static_cast<std::size_t>(load_be<std::int32_t>(batch.data() + 8));
}

std::optional<ByteView> nullable_field(Reader& reader, const char* name) {
  const std::int32_t length = reader.varint();
  if (!reader.ok() || length == -1) return std::nullopt;
  if (length < 0) {
    reader.fail(fmt::format("{} length {}", name, length));
    return std::nullopt;
  }
  const ByteView part = reader.take(static_cast<std::size_t>(length));
  if (!reader.ok()) return std::nullopt;
  return part;
}

void read_headers(Reader& reader, std::vector<RecordHeader>& headers) {
  const std::int32_t count = reader.varint();
  if (!reader.ok()) return;
  if (count < 0 || static_cast<std::size_t>(count) > reader.remaining()) {
    reader.fail(fmt::format("{} headers in {} bytes", count, reader.remaining()));
    return;
  }
  for (std::int32_t i = 0; i < count && reader.ok(); ++i) {
    const std::optional<ByteView> key = nullable_field(reader, "header key");
    const std::optional<ByteView> value = nullable_field(reader, "header value");
    if (reader.ok() && !key) reader.fail("null header key");
    if (reader.ok()) headers.push_back({as_text(*key), value});
  }
}

}  // namespace

std::int32_t add_sequence(std::int32_t sequence, std::int32_t by) {
  ORDEAL_CHECK(sequence >= 0 && by >= 0, "sequence {} by {}", sequence, by);
  const std::int64_t sum = std::int64_t{sequence} + by;
  constexpr std::int64_t kSequences = std::int64_t{std::numeric_limits<std::int32_t>::max()} + 1;
  return static_cast<std::int32_t>(sum % kSequences);
}

Result<BatchView> BatchView::parse(ByteView bytes) {
  if (bytes.size() < kBatchHeaderSize) {
    return fail(Errc::corrupt, fmt::format("batch header needs {} bytes, {} left", kBatchHeaderSize, bytes.size()));
  }
  const auto length = load_be<std::int32_t>(bytes.data() + 8);
  if (length < static_cast<std::int32_t>(kBatchHeaderSize - kBatchLengthOverhead)) {
    return fail(Errc::corrupt, fmt::format("batch length {} is below its own header", length));
  }
  const std::size_t size = kBatchLengthOverhead + static_cast<std::size_t>(length);
  if (size > bytes.size()) {
    return fail(Errc::corrupt, fmt::format("batch of {} bytes, {} left", size, bytes.size()));
  }
  const BatchView batch(bytes.first(size));
  if (batch.magic() != kBatchMagic) return fail(Errc::corrupt, fmt::format("batch magic {}", int{batch.magic()}));
  if (batch.record_count() < 0) return fail(Errc::corrupt, fmt::format("{} records in batch", batch.record_count()));
  if (batch.last_offset_delta() < 0) {
    return fail(Errc::corrupt, fmt::format("last offset delta {}", batch.last_offset_delta()));
  }
  // Compaction may leave a batch with no or fewer records than offsets, never with more.
  if (batch.record_count() > std::int64_t{batch.last_offset_delta()} + 1) {
    return fail(Errc::corrupt, fmt::format("{} records over {} offsets", batch.record_count(),
                                           std::int64_t{batch.last_offset_delta()} + 1));
  }
  if (batch.base_offset() > std::numeric_limits<Offset>::max() - batch.last_offset_delta() - 1) {
    return fail(Errc::corrupt, fmt::format("base offset {} overflows", batch.base_offset()));
  }
  return batch;
}

bool BatchView::crc_ok() const { return crc32c(bytes_.subspan(kAttributesAt)) == crc(); }

void set_base_offset(MutableByteView batch, Offset offset) { store_be<std::int64_t>(batch.data(), offset); }

void set_partition_leader_epoch(MutableByteView batch, LeaderEpoch epoch) {
  store_be<std::int32_t>(batch.data() + 12, epoch);
}

void refresh_crc(MutableByteView batch) {
  const std::size_t size = whole_size(batch);
  store_be<std::uint32_t>(batch.data() + kCrcAt, crc32c(batch.subspan(kAttributesAt, size - kAttributesAt)));
}

void set_log_append_time(MutableByteView batch, WallMs now) {
  const auto attributes = load_be<std::int16_t>(batch.data() + kAttributesAt);
  store_be<std::int16_t>(batch.data() + kAttributesAt, static_cast<std::int16_t>(attributes | kLogAppendTimeBit));
  store_be<std::int64_t>(batch.data() + kMaxTimestampAt, now);
  refresh_crc(batch);
}

std::optional<BatchView> BatchIterator::next() {
  if (error_ || partial_) return std::nullopt;
  const ByteView left = range_.subspan(position_);
  if (left.empty()) return std::nullopt;
  if (left.size() < kBatchHeaderSize) {
    partial_ = true;
    return std::nullopt;
  }
  const auto length = load_be<std::int32_t>(left.data() + 8);
  // Only a length that could be true makes a short range "partial"; everything else is damage.
  if (length >= static_cast<std::int32_t>(kBatchHeaderSize - kBatchLengthOverhead) &&
      static_cast<std::int8_t>(left[16]) == kBatchMagic &&
      kBatchLengthOverhead + static_cast<std::size_t>(length) > left.size()) {
    partial_ = true;
    return std::nullopt;
  }
  Result<BatchView> batch = BatchView::parse(left);
  if (!batch) {
    error_ = batch.error().at(fmt::format("byte {}", position_));
    return std::nullopt;
  }
  position_ += batch->size();
  return *batch;
}

Result<RecordReader> RecordReader::open(const BatchView& batch, std::size_t decompressed_max) {
  RecordReader reader;
  reader.bytes_ = batch.payload();
  reader.left_ = batch.record_count();
  reader.base_offset_ = batch.base_offset();
  reader.base_timestamp_ = batch.base_timestamp();
  if (batch.is_log_append_time()) reader.append_time_ = batch.max_timestamp();
  if (batch.codec_id() != 0) {
    Result<Bytes> plain = decompress(batch.codec(), batch.payload(), decompressed_max);
    if (!plain) return fail(std::move(plain).error());
    reader.decompressed_ = std::move(*plain);
    reader.bytes_ = reader.decompressed_;
  }
  if (static_cast<std::size_t>(reader.left_) * kRecordMin > reader.bytes_.size()) {
    return fail(Errc::corrupt, fmt::format("{} records in {} bytes", reader.left_, reader.bytes_.size()));
  }
  return reader;
}

Result<bool> RecordReader::next(Record& record) {
  if (left_ == 0) {
    if (position_ == bytes_.size()) return false;
    return fail(Errc::corrupt, fmt::format("{} bytes after the last record", bytes_.size() - position_));
  }
  Reader outer(bytes_.subspan(position_));
  const std::int32_t length = outer.varint();
  if (outer.ok() && length < 0) outer.fail(fmt::format("record length {}", length));
  const ByteView body = outer.take(outer.ok() ? static_cast<std::size_t>(length) : 0);
  if (!outer.ok()) {
    return fail(Errc::corrupt, fmt::format("record at byte {}: {}", position_, outer.failure()));
  }
  Reader reader(body);
  reader.integer<std::int8_t>();  // record attributes: unused
  const std::int64_t timestamp_delta = reader.varlong();
  const std::int32_t offset_delta = reader.varint();
  record.key = nullable_field(reader, "key");
  record.value = nullable_field(reader, "value");
  record.headers.clear();
  read_headers(reader, record.headers);
  if (reader.ok() && offset_delta < 0) reader.fail(fmt::format("offset delta {}", offset_delta));
  if (reader.ok() && reader.remaining() != 0) reader.fail(fmt::format("{} bytes left over", reader.remaining()));
  if (!reader.ok()) return fail(Errc::corrupt, fmt::format("record at byte {}: {}", position_, reader.failure()));
  record.offset = base_offset_ + offset_delta;
  // Unsigned on purpose: the delta is the sender's claim, and a wild one must not be undefined behaviour.
  record.timestamp = append_time_ ? *append_time_
                                  : static_cast<WallMs>(static_cast<std::uint64_t>(base_timestamp_) +
                                                        static_cast<std::uint64_t>(timestamp_delta));
  position_ += outer.position();
  --left_;
  return true;
}

void BatchBuilder::append(WallMs timestamp, std::optional<ByteView> key, std::optional<ByteView> value,
                          const std::vector<RecordHeader>& headers) {
  if (count_ == 0) base_timestamp_ = timestamp;
  max_timestamp_ = std::max(max_timestamp_, timestamp);
  Bytes body;
  body.reserve(32 + (key ? key->size() : 0) + (value ? value->size() : 0));
  Writer writer(body);
  const auto nullable = [&writer](const std::optional<ByteView>& field) {
    writer.varint(field ? static_cast<std::int32_t>(field->size()) : -1);
    if (field) writer.raw(*field);
  };
  writer.integer(std::int8_t{0});
  writer.varlong(timestamp - base_timestamp_);
  writer.varint(count_);
  nullable(key);
  nullable(value);
  writer.varint(static_cast<std::int32_t>(headers.size()));
  for (const RecordHeader& header : headers) {
    nullable(as_bytes(header.key));
    nullable(header.value);
  }
  Writer out(records_);
  out.varint(static_cast<std::int32_t>(body.size()));
  out.raw(body);
  ++count_;
}

Bytes BatchBuilder::build() {
  ORDEAL_CHECK(count_ > 0, "a batch needs a record");
  std::int16_t attributes = static_cast<std::int16_t>(options_.codec);
  if (options_.transactional) attributes |= kTransactionalBit;
  if (options_.control) attributes |= kControlBit;
  const Bytes payload = options_.codec == Codec::none ? std::move(records_) : compress(options_.codec, records_);
  Bytes batch;
  batch.reserve(kBatchHeaderSize + payload.size());
  Writer out(batch);
  out.integer<std::int64_t>(options_.base_offset);
  out.integer<std::int32_t>(static_cast<std::int32_t>(kBatchHeaderSize - kBatchLengthOverhead + payload.size()));
  out.integer<std::int32_t>(options_.partition_leader_epoch);
  out.integer<std::int8_t>(kBatchMagic);
  out.integer<std::uint32_t>(0);  // the crc, once the rest stands
  out.integer<std::int16_t>(attributes);
  out.integer<std::int32_t>(count_ - 1);
  out.integer<std::int64_t>(base_timestamp_);
  out.integer<std::int64_t>(max_timestamp_);
  out.integer<std::int64_t>(options_.producer_id);
  out.integer<std::int16_t>(options_.producer_epoch);
  out.integer<std::int32_t>(options_.base_sequence);
  out.integer<std::int32_t>(count_);
  out.raw(payload);
  refresh_crc(batch);
  records_.clear();
  count_ = 0;
  max_timestamp_ = kNoTimestamp;
  return batch;
}

Bytes build_control_batch(ControlType type, ProducerId producer_id, ProducerEpoch producer_epoch,
                          std::int32_t coordinator_epoch, WallMs timestamp) {
  Bytes key;
  Writer key_out(key);
  key_out.integer<std::int16_t>(0);
  key_out.integer<std::int16_t>(static_cast<std::int16_t>(type));
  Bytes value;
  Writer value_out(value);
  value_out.integer<std::int16_t>(0);
  value_out.integer<std::int32_t>(coordinator_epoch);
  BatchOptions options;
  options.producer_id = producer_id;
  options.producer_epoch = producer_epoch;
  options.transactional = true;
  options.control = true;
  BatchBuilder builder(options);
  builder.append(timestamp, ByteView(key), ByteView(value));
  return builder.build();
}

Result<ControlMarker> parse_control_record(const Record& record) {
  if (!record.key) return fail(Errc::corrupt, "control record without a key");
  Reader key(*record.key);
  const auto version = key.integer<std::int16_t>();
  ControlMarker marker;
  marker.type = key.integer<std::int16_t>();
  if (!key.ok() || version < 0) return fail(Errc::corrupt, "control record key is damaged");
  const bool is_marker = marker.type == static_cast<std::int16_t>(ControlType::abort) ||
                         marker.type == static_cast<std::int16_t>(ControlType::commit);
  if (!is_marker) return marker;
  if (!record.value) return fail(Errc::corrupt, "transaction marker without a value");
  Reader value(*record.value);
  const auto value_version = value.integer<std::int16_t>();
  marker.coordinator_epoch = value.integer<std::int32_t>();
  if (!value.ok() || value_version < 0) return fail(Errc::corrupt, "transaction marker value is damaged");
  return marker;
}

}  // namespace ordeal::wire
