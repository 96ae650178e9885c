// RecordBatch v2: what producers send, what the log stores and what consumers and followers read, byte for byte.
//
// A batch is read in place: BatchView is a bounds-checked window on someone else's bytes. The CRC-32C covers everything
// from the attributes on, so the broker may rewrite base offset and leader epoch freely, but a new timestamp needs a
// new CRC. A view being valid says only that the lengths add up and the magic is 2; call crc_ok() before believing the
// rest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/bytes.h"
#include "broker/base/result.h"
#include "broker/base/types.h"
#include "broker/wire/compression.h"

namespace ordeal::wire {

inline constexpr std::size_t kBatchHeaderSize = 61;
inline constexpr std::size_t kBatchLengthOverhead = 12;  // base offset + batch length: not counted by batch length
inline constexpr std::int8_t kBatchMagic = 2;
inline constexpr std::int32_t kNoSequence = -1;
inline constexpr ProducerEpoch kNoProducerEpoch = -1;

// Bits of the attributes field; the low three are the Codec.
inline constexpr std::int16_t kCodecMask = 0x07;
inline constexpr std::int16_t kLogAppendTimeBit = 0x08;
inline constexpr std::int16_t kTransactionalBit = 0x10;
inline constexpr std::int16_t kControlBit = 0x20;
inline constexpr std::int16_t kDeleteHorizonBit = 0x40;

// Sequence numbers run 0..2147483647 and then 0 again; `by` must not be negative.
std::int32_t add_sequence(std::int32_t sequence, std::int32_t by);
inline std::int32_t next_sequence(std::int32_t sequence) { return add_sequence(sequence, 1); }

// One whole batch inside bytes that must outlive the view.
class BatchView {
 public:
  // The batch that begins at bytes[0]; what follows it is ignored. Errors (Errc::corrupt): fewer bytes than the batch
  // claims, a length too small for the header, a magic other than 2, a negative record count or offset delta.
  static Result<BatchView> parse(ByteView bytes);

  Offset base_offset() const { return load_be<std::int64_t>(at(0)); }
  std::int32_t batch_length() const { return load_be<std::int32_t>(at(8)); }
  LeaderEpoch partition_leader_epoch() const { return load_be<std::int32_t>(at(12)); }
  std::int8_t magic() const { return static_cast<std::int8_t>(*at(16)); }
  std::uint32_t crc() const { return load_be<std::uint32_t>(at(17)); }
  std::int16_t attributes() const { return load_be<std::int16_t>(at(21)); }
  std::int32_t last_offset_delta() const { return load_be<std::int32_t>(at(23)); }
  WallMs base_timestamp() const { return load_be<std::int64_t>(at(27)); }
  WallMs max_timestamp() const { return load_be<std::int64_t>(at(35)); }
  ProducerId producer_id() const { return load_be<std::int64_t>(at(43)); }
  ProducerEpoch producer_epoch() const { return load_be<std::int16_t>(at(51)); }
  std::int32_t base_sequence() const { return load_be<std::int32_t>(at(53)); }
  std::int32_t record_count() const { return load_be<std::int32_t>(at(57)); }

  Offset last_offset() const { return base_offset() + last_offset_delta(); }
  Offset next_offset() const { return last_offset() + 1; }
  // kNoSequence when the batch has none; wraps past 2147483647.
  std::int32_t last_sequence() const {
    return base_sequence() < 0 ? kNoSequence : add_sequence(base_sequence(), last_offset_delta());
  }
  int codec_id() const { return attributes() & kCodecMask; }  // 5..7 name no codec
  Codec codec() const { return static_cast<Codec>(codec_id()); }
  bool is_log_append_time() const { return (attributes() & kLogAppendTimeBit) != 0; }
  bool is_transactional() const { return (attributes() & kTransactionalBit) != 0; }
  bool is_control() const { return (attributes() & kControlBit) != 0; }
  bool has_delete_horizon() const { return (attributes() & kDeleteHorizonBit) != 0; }
  bool has_producer_id() const { return producer_id() != kNoProducerId; }

  std::size_t size() const { return bytes_.size(); }  // of the whole batch, header included
  ByteView bytes() const { return bytes_; }
  ByteView payload() const { return bytes_.subspan(kBatchHeaderSize); }  // the records, compressed if codec() says so
  bool crc_ok() const;

 private:
  explicit BatchView(ByteView whole) : bytes_(whole) {}
  const std::uint8_t* at(std::size_t offset) const { return bytes_.data() + offset; }
  ByteView bytes_;
};

// Rewriting in place. `batch` begins with a batch that BatchView::parse accepts.
void set_base_offset(MutableByteView batch, Offset offset);
void set_partition_leader_epoch(MutableByteView batch, LeaderEpoch epoch);
// Marks the batch LogAppendTime with that max timestamp and recomputes the CRC. Record deltas keep their meaning only
// for CreateTime batches: readers of a LogAppendTime batch take max_timestamp for every record.
void set_log_append_time(MutableByteView batch, WallMs now);
void refresh_crc(MutableByteView batch);

// Walks the batches of a byte range (a Produce payload, a Fetch payload, a segment read).
//   while (auto batch = it.next()) ...
//   it.error()   -> bytes that are no batch (magic, lengths): stop trusting what follows
//   it.partial() -> the range ended inside a batch: normal in Fetch responses and torn tails
class BatchIterator {
 public:
  explicit BatchIterator(ByteView range) : range_(range) {}
  std::optional<BatchView> next();
  std::size_t position() const { return position_; }  // bytes consumed by whole batches
  bool partial() const { return partial_; }
  const std::optional<Error>& error() const { return error_; }
  bool clean() const { return !partial_ && !error_; }

 private:
  ByteView range_;
  std::size_t position_ = 0;
  bool partial_ = false;
  std::optional<Error> error_;
};

struct RecordHeader {
  std::string_view key;
  std::optional<ByteView> value;
};

// Views point into the batch, or into the reader's decompressed copy.
struct Record {
  Offset offset = 0;
  WallMs timestamp = kNoTimestamp;
  std::optional<ByteView> key;
  std::optional<ByteView> value;
  std::vector<RecordHeader> headers;
};

// The records of one batch, in order. Keeps the decompressed bytes; must outlive the Records it fills.
class RecordReader {
 public:
  // Decompresses if need be; more than `decompressed_max` bytes is an error. Does not check the CRC.
  static Result<RecordReader> open(const BatchView& batch, std::size_t decompressed_max = 256 << 20);
  // Fills `record` and returns true; false after the last one. An error ends the walk: damaged fields, fewer records
  // than the header counts, or bytes left over after the last one.
  Result<bool> next(Record& record);

 private:
  RecordReader() = default;
  Bytes decompressed_;  // moving a vector keeps its storage, so views_ stays good when the reader is moved
  ByteView bytes_;
  std::size_t position_ = 0;
  std::int32_t left_ = 0;
  Offset base_offset_ = 0;
  WallMs base_timestamp_ = 0;
  std::optional<WallMs> append_time_;
};

struct BatchOptions {
  Offset base_offset = 0;
  LeaderEpoch partition_leader_epoch = kNoEpoch;
  Codec codec = Codec::none;
  ProducerId producer_id = kNoProducerId;
  ProducerEpoch producer_epoch = kNoProducerEpoch;
  std::int32_t base_sequence = kNoSequence;
  bool transactional = false;
  bool control = false;
};

// Builds one batch. Offsets are consecutive from base_offset.
class BatchBuilder {
 public:
  explicit BatchBuilder(BatchOptions options = {}) : options_(options) {}
  void append(WallMs timestamp, std::optional<ByteView> key, std::optional<ByteView> value,
              const std::vector<RecordHeader>& headers = {});
  std::int32_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  std::size_t uncompressed_size() const { return kBatchHeaderSize + records_.size(); }
  BatchOptions& options() { return options_; }
  // The batch with its CRC. The builder must hold at least one record; it is left empty, ready for the next batch.
  Bytes build();

 private:
  BatchOptions options_;
  Bytes records_;
  std::int32_t count_ = 0;
  WallMs base_timestamp_ = 0;
  WallMs max_timestamp_ = kNoTimestamp;
};

// Transaction markers. Types other than these two belong to KRaft and are to be ignored by readers.
enum class ControlType : std::int16_t { abort = 0, commit = 1 };

struct ControlMarker {
  std::int16_t type = 0;  // a ControlType, or an unknown one to be ignored
  std::int32_t coordinator_epoch = -1;
};

Bytes build_control_batch(ControlType type, ProducerId producer_id, ProducerEpoch producer_epoch,
                          std::int32_t coordinator_epoch, WallMs timestamp);
Result<ControlMarker> parse_control_record(const Record& record);

}  // namespace ordeal::wire
