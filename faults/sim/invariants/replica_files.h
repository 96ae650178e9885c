// Reads the batches of one replica straight from the segment files of a simulated disk, without the broker's code.
#pragma once

#include <string>
#include <vector>

#include "broker/base/types.h"
#include "faults/sim/sim_disk.h"

namespace ordeal::sim {

// The identity of one record batch: what LogMatching compares. The checksum covers everything from the attributes on.
struct BatchId {
  Offset base_offset = 0;
  Offset last_offset = 0;
  LeaderEpoch leader_epoch = kNoEpoch;
  std::uint32_t crc = 0;
  bool crc_good = false;
  auto operator<=>(const BatchId&) const = default;
  std::string to_string() const;
};

struct ReplicaFiles {
  bool exists = false;
  std::vector<BatchId> batches;  // in file order, up to the first bytes that are no batch
};

// The batch at byte `at`, which moves past it; false at the first bytes that are no whole batch.
bool read_batch(ByteView bytes, std::size_t& at, BatchId& out);

// `log_dir`/<topic>-<partition>/*.log as the running process sees them (the cache), a torn or zero tail included.
ReplicaFiles read_replica(const SimDisk& disk, const std::string& log_dir, const TopicPartition& partition);

}  // namespace ordeal::sim
