#include "faults/sim/invariants/replica_files.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/base/bytes.h"

namespace ordeal::sim {
namespace {

// Kafka's record batch, format 2: where the fields stand.
constexpr std::size_t kLength = 8;
constexpr std::size_t kEpoch = 12;
constexpr std::size_t kMagic = 16;
constexpr std::size_t kCrc = 17;
constexpr std::size_t kAttributes = 21;
constexpr std::size_t kLastDelta = 23;
constexpr std::size_t kHeader = 61;

}  // namespace

bool read_batch(ByteView bytes, std::size_t& at, BatchId& out) {
  if (bytes.size() - at < kHeader) return false;
  const std::uint8_t* batch = bytes.data() + at;
  const auto length = load_be<std::int32_t>(batch + kLength);
  const std::size_t total = 12 + static_cast<std::size_t>(std::max(length, 0));
  if (batch[kMagic] != 2 || total < kHeader || total > bytes.size() - at) return false;
  out.base_offset = load_be<std::int64_t>(batch);
  out.last_offset = out.base_offset + load_be<std::int32_t>(batch + kLastDelta);
  out.leader_epoch = load_be<std::int32_t>(batch + kEpoch);
  out.crc = load_be<std::uint32_t>(batch + kCrc);
  out.crc_good = crc32c(bytes.subspan(at + kAttributes, total - kAttributes)) == out.crc;
  at += total;
  return true;
}

namespace {

bool all_zero(ByteView bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

std::string BatchId::to_string() const {
  return fmt::format("[{}..{} epoch {} crc {:08x}{}]", base_offset, last_offset, leader_epoch, crc,
                     crc_good ? "" : " BAD");
}

ReplicaFiles read_replica(const SimDisk& disk, const std::string& log_dir, const TopicPartition& partition) {
  ReplicaFiles replica;
  // Sorted, and the names of segments sort by their base offset.
  for (const std::string& path : disk.files_under(log_dir + "/" + partition.to_string())) {
    if (!path.ends_with(".log")) continue;
    replica.exists = true;
    const Bytes* content = disk.peek(path);
    std::size_t at = 0;
    BatchId batch;
    while (at < content->size() && read_batch(*content, at, batch)) replica.batches.push_back(batch);
    if (at < content->size() && !all_zero(ByteView(*content).subspan(at))) break;
  }
  return replica;
}

}  // namespace ordeal::sim
