// A history in memory: what the recorder writes, the reader returns and the checker judges.
//
// The records may live in a mapped file or in vectors (the simulator); a FileView does not say which. Plain structs
// mirror history.proto so that only the codec sees Protobuf. Views are valid while the History (or a copy of the
// FileView, which shares ownership) lives.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "broker/base/types.h"
#include "workloads/history/record.h"

namespace ordeal::history {

inline constexpr std::uint32_t kSchema = 1;
inline constexpr std::uint16_t kDetailOverflow = 0xFFFF;  // the writer had more distinct details than ids

struct Header {
  std::uint32_t schema = kSchema;
  std::string run_id;
  std::string writer;       // unique within the run
  std::string client_kind;  // "librdkafka", "native", "import", ...
  std::string client_version;
  std::map<std::string, std::int32_t> protocol_versions;  // API name -> highest version spoken
  std::vector<TopicPartition> objects;        // Record.object is an index here; the same table in every file is fastest
  std::map<std::string, std::string> config;  // effective client settings under Kafka's names
  std::uint64_t value_first = 0;   // this writer sends ids first, first + stride, ... (dense over all writers)
  std::uint64_t value_stride = 0;  // 0: sends nothing
};

struct ErrorDetail {
  std::string class_name;  // stable: "REQUEST_TIMED_OUT"
  std::int32_t code = 0;   // Kafka's error code, or the client's own
  std::string text;
  bool retriable = false;
  std::string message_status;  // "not_persisted", "possibly_persisted", "persisted", "" if unknown
  auto operator<=>(const ErrorDetail&) const = default;
};

struct ForeignPayload {
  std::string reason;  // foreign_reason_name() of payload.h
  std::uint32_t size = 0;
  std::string head;  // first 64 bytes at most, raw
  auto operator<=>(const ForeignPayload&) const = default;
};

enum class ControlType : std::uint8_t { data = 0, abort = 1, commit = 2, other = 3 };

// One batch as the auditor read it, raw, from the log.
struct AuditBatch {
  std::uint16_t object = 0;
  Offset base_offset = 0;
  Offset last_offset = 0;
  LeaderEpoch leader_epoch = kNoEpoch;
  ProducerId producer_id = kNoProducerId;
  ProducerEpoch producer_epoch = -1;
  std::int32_t base_sequence = -1;
  std::uint32_t record_count = 0;
  ControlType control = ControlType::data;
  bool crc_ok = true;
  auto operator<=>(const AuditBatch&) const = default;
};

// A producer began a new epoch or id. The checker uses it to tell whose fault a copy under a new epoch is: a client
// that was told OUT_OF_ORDER_SEQUENCE (45) or UNKNOWN_PRODUCER_ID (59) for a batch the log holds was told wrongly.
struct ProducerReset {
  std::uint16_t process = 0;
  std::uint64_t time_ns = 0;
  ProducerId old_producer_id = kNoProducerId;
  ProducerEpoch old_producer_epoch = -1;
  ProducerId new_producer_id = kNoProducerId;
  ProducerEpoch new_producer_epoch = -1;
  std::int32_t cause_code = 0;
  std::uint16_t cause_object = kNoObject;  // the partition that answered it
  std::int32_t cause_sequence = -1;        // base sequence of the batch it refused
  NodeId cause_node = kNoNode;             // the broker that said so
  auto operator<=>(const ProducerReset&) const = default;
};

struct Side {
  std::map<std::uint16_t, ErrorDetail> errors;      // by Record.detail
  std::map<std::uint16_t, ForeignPayload> foreign;  // by Record.detail
  std::vector<AuditBatch> batches;
  std::vector<ProducerReset> resets;
  std::vector<std::string> notes;
};

// One writer's part of a history.
struct FileView {
  std::string name;  // path, or "memory:<writer>"
  Header header;
  std::vector<std::span<const Record>> blocks;  // in the order written
  Side side;
  bool closed = false;                  // the writer ended it; otherwise records may be missing at the end (info)
  std::uint64_t torn_bytes = 0;         // bytes of an unfinished block at the end that were left out
  std::shared_ptr<const void> storage;  // keeps the blocks' memory alive

  std::uint64_t records() const {
    std::uint64_t total = 0;
    for (const auto& block : blocks) total += block.size();
    return total;
  }
};

struct History {
  std::vector<FileView> files;
  std::vector<std::string> notes;  // in words: torn tails, writers that did not close

  std::uint64_t records() const {
    std::uint64_t total = 0;
    for (const FileView& file : files) total += file.records();
    return total;
  }
};

const char* function_name(Function function);  // "send", "list_end", ...
const char* type_name(Type type);              // "invoke", "ok", "fail", "info"

}  // namespace ordeal::history
