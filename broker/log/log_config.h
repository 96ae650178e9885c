// Settings of one partition's log: the topic configs of Kafka that concern storage, already parsed and defaulted.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>

#include "broker/base/types.h"
#include "broker/wire/compression.h"

namespace ordeal::log {

struct LogConfig {
  std::int64_t segment_bytes = 1LL << 30;              // segment.bytes
  std::int64_t segment_ms = 7LL * 24 * 3600 * 1000;    // segment.ms, against record timestamps as Kafka does
  std::int32_t index_interval_bytes = 4096;            // index.interval.bytes
  std::int32_t segment_index_bytes = 10 << 20;         // segment.index.bytes: a full index rolls the segment
  std::int64_t retention_ms = 7LL * 24 * 3600 * 1000;  // retention.ms, -1 for none
  std::int64_t retention_bytes = -1;                   // retention.bytes, -1 for none
  std::int32_t max_message_bytes = 1048588;            // max.message.bytes, of a whole batch as sent
  bool log_append_time = false;                        // message.timestamp.type=LogAppendTime
  std::int64_t timestamp_before_max_ms = std::numeric_limits<std::int64_t>::max();  // message.timestamp.before.max.ms
  std::int64_t timestamp_after_max_ms = 3600 * 1000;                                // message.timestamp.after.max.ms
  std::optional<wire::Codec> compression;  // compression.type; nullopt = producer (keep as sent)
  bool delete_old = true;                  // cleanup.policy contains delete
  bool compacted = false;                  // cleanup.policy contains compact: keys demanded, gaps legal
  std::int64_t producer_id_expiration_ms = 24LL * 3600 * 1000;  // producer.id.expiration.ms
  bool preallocate = false;                                     // reserve segment_bytes when a segment is created
};

}  // namespace ordeal::log
