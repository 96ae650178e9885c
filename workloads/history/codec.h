// The bytes of a history file, shared by writer and reader. docs/formats/history.md is the prose.
//
// Header and every block start at a multiple of 32 bytes, so records are aligned in a mapped file. Each block header
// carries its own checksum, which is what lets the reader say "the file stops here" (torn) and never mistake it for
// "these bytes are wrong" (damage).
#pragma once

#include <array>
#include <cstdint>

#include "broker/base/bytes.h"
#include "broker/base/result.h"
#include "workloads/history/history.h"

namespace ordeal::history::codec {

inline constexpr std::array<std::uint8_t, 8> kFileMagic{'O', 'R', 'D', 'H', 'I', 'S', 'T', 1};
inline constexpr std::size_t kAlign = 32;
inline constexpr std::size_t kFilePrefix = 16;            // magic, length, crc
inline constexpr std::uint32_t kBlockMagic = 0x314B424F;  // "OBK1"
inline constexpr std::uint32_t kFlagLast = 1;
inline constexpr std::uint32_t kMaxBlockRecords = 1U << 20;
inline constexpr std::uint32_t kMaxSideBytes = 256U << 20;

// Little-endian in the file, as on every machine this runs on.
struct BlockHeader {
  std::uint32_t magic = kBlockMagic;
  std::uint32_t header_crc = 0;  // over the rest of this struct
  std::uint32_t sequence = 0;    // 0, 1, 2, ... within the file
  std::uint32_t record_count = 0;
  std::uint32_t side_bytes = 0;
  std::uint32_t body_crc = 0;  // over records and side bytes
  std::uint32_t flags = 0;
  std::uint32_t zero = 0;

  std::uint32_t compute_crc() const {
    return crc32c({reinterpret_cast<const std::uint8_t*>(this) + 8, sizeof(BlockHeader) - 8});
  }
  std::size_t body_bytes() const { return record_count * sizeof(Record) + side_bytes; }
};
static_assert(sizeof(BlockHeader) == 32);

inline std::size_t padded(std::size_t size) { return (size + kAlign - 1) / kAlign * kAlign; }

Bytes encode_file_header(const Header& header);
Result<Header> decode_header(ByteView proto_bytes);

// What a recorder collected beside the records since the last block.
struct SideBatch {
  std::vector<std::pair<std::uint16_t, ErrorDetail>> errors;
  std::vector<std::pair<std::uint16_t, ForeignPayload>> foreign;
  std::vector<AuditBatch> batches;
  std::vector<ProducerReset> resets;
  std::vector<std::string> notes;

  bool empty() const { return errors.empty() && foreign.empty() && batches.empty() && resets.empty() && notes.empty(); }
};
Bytes encode_side(const SideBatch& side);
Status decode_side(ByteView bytes, Side& into);  // adds; checks ids and ranges
void add_side(SideBatch&& batch, Side& into);

// nullptr, or what is wrong with this record of a file with `objects` topic-partitions.
const char* record_problem(const Record& record, std::size_t objects);

}  // namespace ordeal::history::codec
