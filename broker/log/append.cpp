// Appending: what a leader accepts from a client, what a follower accepts from its leader.
//
// Order, the same for both: check everything, roll, write, then let the batch count (end, indexes, epochs, producers).
// A batch that fails any check leaves no trace; a write that fails fails the log.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "broker/base/check.h"
#include "broker/log/log_files.h"
#include "broker/log/partition_log.h"
#include "broker/log/segment.h"

namespace ordeal::log {
namespace {

using wire::ErrorCode;

constexpr std::size_t kPrefix = 16;  // base offset, length, leader epoch: outside the checksum, rewritten by the leader
constexpr std::int16_t kKnownCodecs = 4;

AppendError refuse(ErrorCode code, std::string text) { return {code, std::move(text), {}}; }

AppendError storage_error(const Error& error) { return refuse(ErrorCode::kafka_storage_error, error.text); }

ErrorCode code_of(ProducerVerdict verdict) {
  switch (verdict) {
    case ProducerVerdict::stale_epoch:
      return ErrorCode::invalid_producer_epoch;
    case ProducerVerdict::out_of_order:
      return ErrorCode::out_of_order_sequence_number;
    case ProducerVerdict::invalid_txn:
      return ErrorCode::invalid_txn_state;
    case ProducerVerdict::append:
    case ProducerVerdict::duplicate:
      break;
  }
  return ErrorCode::none;
}

// The same records under another codec. Everything in the header but length, codec bits and checksum stays.
Result<Bytes> recompress(const wire::BatchView& batch, wire::Codec codec) {
  constexpr std::size_t kDecompressedMax = 256 << 20;
  auto plain = wire::decompress(batch.codec(), batch.payload(), kDecompressedMax);
  if (!plain) return fail(plain.error());
  const Bytes payload = codec == wire::Codec::none ? std::move(*plain) : wire::compress(codec, *plain);
  const ByteView header = batch.bytes().first(wire::kBatchHeaderSize);
  Bytes result(header.begin(), header.end());
  result.insert(result.end(), payload.begin(), payload.end());
  store_be<std::int32_t>(result.data() + 8, static_cast<std::int32_t>(result.size() - wire::kBatchLengthOverhead));
  const auto attributes =
      static_cast<std::int16_t>((batch.attributes() & ~wire::kCodecMask) | static_cast<std::int16_t>(codec));
  store_be<std::int16_t>(result.data() + 21, attributes);
  wire::refresh_crc(result);
  return result;
}

}  // namespace

// `view` is the caller's bytes, or those of `owned` where the broker had to change what the checksum covers.
struct PartitionLog::Accepted {
  explicit Accepted(const wire::BatchView& batch) : view(batch) {}

  void rewrite(Bytes bytes) {
    owned = std::move(bytes);
    auto parsed = wire::BatchView::parse(owned);
    ORDEAL_CHECK(parsed.has_value(), "a rewritten batch does not parse");
    view = *parsed;
  }
  MutableByteView writable() {
    if (owned.empty()) rewrite(Bytes(view.bytes().begin(), view.bytes().end()));
    return owned;
  }

  wire::BatchView view;
  Bytes owned;
};

// --- Leader ---

PartitionLog::AppendResult PartitionLog::append_as_leader(ByteView batches, LeaderEpoch epoch, WallMs wall,
                                                          AppendOrigin origin) {
  if (auto usable = check_usable(); !usable) return std::unexpected(storage_error(usable.error()));
  if (epoch < epochs_.latest()) {
    return std::unexpected(refuse(ErrorCode::not_leader_or_follower,
                                  fmt::format("append in epoch {} after epoch {}", epoch, epochs_.latest())));
  }
  auto accepted = accept(batches, wall, origin);
  if (!accepted) return std::unexpected(std::move(accepted.error()));
  const wire::BatchView& first = accepted->front().view;
  if (origin == AppendOrigin::client && first.has_producer_id()) {
    const ProducerDecision decision = producers_.check(first, switches_, log_start_ == 0);
    if (decision.verdict == ProducerVerdict::duplicate) {
      const ProducerBatch& original = decision.original;
      const WallMs time = config_.log_append_time ? original.timestamp : kNoTimestamp;
      return AppendInfo{original.base_offset(), original.last_offset, time, log_start_, true};
    }
    if (decision.verdict != ProducerVerdict::append) {
      return std::unexpected(refuse(code_of(decision.verdict), decision.text));
    }
  }
  return write_accepted(*accepted, epoch, wall);
}

std::expected<std::vector<PartitionLog::Accepted>, AppendError> PartitionLog::accept(ByteView batches, WallMs wall,
                                                                                     AppendOrigin origin) const {
  std::vector<Accepted> accepted;
  wire::BatchIterator it(batches);
  while (const auto batch = it.next()) {
    if (origin == AppendOrigin::client && !accepted.empty()) {
      return std::unexpected(refuse(ErrorCode::invalid_record, "more than one batch for a partition"));
    }
    Accepted candidate(*batch);
    if (auto refused = accept_batch(candidate, wall, origin)) return std::unexpected(std::move(*refused));
    accepted.push_back(std::move(candidate));
  }
  if (it.partial()) return std::unexpected(refuse(ErrorCode::corrupt_message, "the batch is cut short"));
  if (it.error()) {
    // A readable older format is a wrong kind of batch, not damage.
    const bool old_magic = batches.size() - it.position() > kPrefix && batches[it.position() + kPrefix] < 2;
    return std::unexpected(
        refuse(old_magic ? ErrorCode::unsupported_for_message_format : ErrorCode::corrupt_message, it.error()->text));
  }
  if (accepted.empty()) return std::unexpected(refuse(ErrorCode::invalid_record, "no batch"));
  return accepted;
}

std::optional<AppendError> PartitionLog::accept_batch(Accepted& accepted, WallMs wall, AppendOrigin origin) const {
  const wire::BatchView sent = accepted.view;
  if (!checksum_good(sent, switches_)) return refuse(ErrorCode::corrupt_message, "the batch fails its checksum");
  if (sent.record_count() <= 0 || sent.record_count() - 1 != sent.last_offset_delta()) {
    return refuse(ErrorCode::invalid_record,
                  fmt::format("{} records with last offset delta {}", sent.record_count(), sent.last_offset_delta()));
  }
  if (sent.codec_id() > kKnownCodecs) {
    return refuse(ErrorCode::unsupported_compression_type, fmt::format("codec {}", sent.codec_id()));
  }
  if (origin == AppendOrigin::client) {
    if (sent.is_control()) return refuse(ErrorCode::invalid_record, "clients may not write control batches");
    if (sent.has_producer_id() && sent.base_sequence() < 0) {
      return refuse(ErrorCode::invalid_record, fmt::format("producer {} without a sequence", sent.producer_id()));
    }
    if (sent.size() > static_cast<std::size_t>(config_.max_message_bytes)) {
      return refuse(ErrorCode::message_too_large,
                    fmt::format("{} bytes, max.message.bytes is {}", sent.size(), config_.max_message_bytes));
    }
    if (sent.is_log_append_time()) {
      return refuse(ErrorCode::invalid_timestamp, "clients may not mark batches as LogAppendTime");
    }
  }
  if (sent.size() > static_cast<std::size_t>(config_.segment_bytes)) {
    return refuse(ErrorCode::record_list_too_large,
                  fmt::format("{} bytes, segment.bytes is {}", sent.size(), config_.segment_bytes));
  }
  WallMs max_timestamp = sent.max_timestamp();
  if (auto refused = check_records(sent, wall, origin, max_timestamp)) return refused;
  if (config_.compression && sent.codec() != *config_.compression && !sent.is_control()) {
    auto changed = recompress(sent, *config_.compression);
    if (!changed) return refuse(ErrorCode::corrupt_message, changed.error().text);
    accepted.rewrite(std::move(*changed));
  }
  if (config_.log_append_time && !sent.is_control()) {
    wire::set_log_append_time(accepted.writable(), wall);
  } else if (max_timestamp != sent.max_timestamp()) {
    // The time index trusts the header, so the header has to be true.
    const MutableByteView bytes = accepted.writable();
    store_be<std::int64_t>(bytes.data() + 35, max_timestamp);
    wire::refresh_crc(bytes);
  }
  return std::nullopt;
}

// Walks the records: framing, offsets, keys of compacted topics, timestamps. Sets the true maximum of the timestamps.
std::optional<AppendError> PartitionLog::check_records(const wire::BatchView& batch, WallMs wall, AppendOrigin origin,
                                                       WallMs& max_timestamp) const {
  auto reader = wire::RecordReader::open(batch);
  if (!reader) return refuse(ErrorCode::corrupt_message, reader.error().text);
  const bool keys = config_.compacted && !batch.is_control();
  const bool times = !config_.log_append_time && origin == AppendOrigin::client;
  const WallMs oldest = config_.timestamp_before_max_ms >= wall ? std::numeric_limits<WallMs>::min()
                                                                : wall - config_.timestamp_before_max_ms;
  const WallMs newest = config_.timestamp_after_max_ms > std::numeric_limits<WallMs>::max() - wall
                            ? std::numeric_limits<WallMs>::max()
                            : wall + config_.timestamp_after_max_ms;
  AppendError bad;
  wire::Record record;
  max_timestamp = kNoTimestamp;
  for (std::int32_t index = 0;; ++index) {
    const auto more = reader->next(record);
    if (!more) return refuse(ErrorCode::corrupt_message, more.error().text);
    if (!*more) break;
    max_timestamp = std::max(max_timestamp, record.timestamp);
    if (record.offset != batch.base_offset() + index) {
      return refuse(ErrorCode::invalid_record,
                    fmt::format("record {} has offset delta {}", index, record.offset - batch.base_offset()));
    }
    if (keys && !record.key) {
      bad.code = ErrorCode::invalid_record;
      bad.text = "a compacted topic takes no record without a key";
      bad.records.emplace_back(index, bad.text);
    } else if (times && record.timestamp != kNoTimestamp && (record.timestamp < oldest || record.timestamp > newest)) {
      if (bad.records.empty()) bad.code = ErrorCode::invalid_timestamp;
      if (bad.records.empty()) bad.text = "timestamps outside message.timestamp.before.max.ms / after.max.ms";
      bad.records.emplace_back(index,
                               fmt::format("timestamp {} is not within [{}, {}]", record.timestamp, oldest, newest));
    }
  }
  if (bad.records.empty()) return std::nullopt;
  return bad;
}

PartitionLog::AppendResult PartitionLog::write_accepted(std::vector<Accepted>& batches, LeaderEpoch epoch,
                                                        WallMs wall) {
  AppendInfo info;
  info.base_offset = log_end_;
  info.log_start = log_start_;
  if (config_.log_append_time) info.log_append_time = wall;
  for (Accepted& accepted : batches) {
    const wire::BatchView& batch = accepted.view;
    const Offset base = log_end_;
    BatchFacts facts = facts_of(batch);
    facts.base = base;
    facts.last = base + batch.last_offset_delta();
    facts.epoch = epoch;
    if (must_roll(facts, wall)) {
      auto rolled = roll(log_end_, wall);
      if (!rolled) return std::unexpected(storage_error(rolled.error()));
    }

    std::array<std::uint8_t, kPrefix> prefix;
    store_be<std::int64_t>(prefix.data(), base);
    store_be<std::int32_t>(prefix.data() + 8, batch.batch_length());
    store_be<std::int32_t>(prefix.data() + 12, epoch);
    const std::array<ByteView, 2> parts{ByteView(prefix), batch.bytes().subspan(kPrefix)};
    if (auto written = active().write(parts); !written) {
      const Status failed = fail_log(written.error());
      return std::unexpected(storage_error(failed.error()));
    }
    active().note(facts, config_.index_interval_bytes);
    log_end_ = facts.last + 1;
    if (epochs_.assign(epoch, base)) epochs_dirty_ = true;
    producers_.update(batch, base, wall);
    info.last_offset = facts.last;
  }
  return info;
}

// --- Follower ---

Status PartitionLog::check_continues(const wire::BatchView& batch, Offset expected, LeaderEpoch latest) const {
  if (!checksum_good(batch, switches_)) {
    return fail(Errc::corrupt,
                fmt::format("{}: batch at offset {} fails its checksum", partition_.to_string(), batch.base_offset()));
  }
  const bool gap_legal = config_.compacted && batch.base_offset() > expected;
  if (batch.base_offset() != expected && !gap_legal) {
    return fail(Errc::out_of_range, fmt::format("{}: batch at offset {} came where {} was expected",
                                                partition_.to_string(), batch.base_offset(), expected));
  }
  if (batch.partition_leader_epoch() < latest) {
    return fail(Errc::corrupt, fmt::format("{}: batch at offset {} has epoch {} after epoch {}", partition_.to_string(),
                                           batch.base_offset(), batch.partition_leader_epoch(), latest));
  }
  return {};
}

Result<PartitionLog::FollowerAppend> PartitionLog::append_as_follower(ByteView bytes, WallMs wall) {
  ORDEAL_TRY(check_usable());
  FollowerAppend result;
  std::vector<wire::BatchView> run;  // consecutive batches that go into one segment with one write
  std::size_t run_begin = 0;
  std::size_t run_bytes = 0;
  Offset expected = log_end_;
  LeaderEpoch latest = epochs_.latest();
  wire::BatchIterator it(bytes);
  Status bad;
  while (const auto batch = it.next()) {
    bad = check_continues(*batch, expected, latest);
    if (!bad) break;
    BatchFacts facts = facts_of(*batch);
    facts.size += static_cast<std::uint32_t>(run_bytes);
    if (must_roll(facts, wall)) {
      ORDEAL_TRY(write_run(bytes.subspan(run_begin, run_bytes), run, wall));
      run.clear();
      run_begin += run_bytes;
      run_bytes = 0;
      ORDEAL_TRY(roll(log_end_, wall));
    }
    run.push_back(*batch);
    run_bytes += batch->size();
    expected = batch->next_offset();
    latest = std::max(latest, batch->partition_leader_epoch());
    if (result.base_offset == kNoOffset) result.base_offset = batch->base_offset();
  }
  ORDEAL_TRY(write_run(bytes.subspan(run_begin, run_bytes), run, wall));
  if (!bad) return fail(bad.error());
  if (it.error()) return fail(it.error()->at(partition_.to_string()));
  result.log_end = log_end_;
  result.bytes = it.position();
  return result;
}

Status PartitionLog::write_run(ByteView bytes, const std::vector<wire::BatchView>& batches, WallMs wall) {
  if (batches.empty()) return {};
  if (auto written = active().write(std::span<const ByteView>(&bytes, 1)); !written) return fail_log(written.error());
  for (const wire::BatchView& batch : batches) {
    active().note(facts_of(batch), config_.index_interval_bytes);
    log_end_ = batch.next_offset();
    if (epochs_.assign(batch.partition_leader_epoch(), batch.base_offset())) epochs_dirty_ = true;
    producers_.update(batch, batch.base_offset(), wall);
  }
  return {};
}

}  // namespace ordeal::log
