// Names and writers of the small files beside the segments.
#pragma once

#include <string>

#include "broker/base/bytes.h"
#include "broker/base/result.h"
#include "broker/base/types.h"
#include "broker/env/disk.h"
#include "broker/mutation/mutation.h"
#include "broker/wire/record_batch.h"

namespace ordeal::log {

inline constexpr const char* kEpochFile = "leader-epoch-checkpoint";
inline constexpr const char* kMetadataFile = "partition.metadata";

// Writes and syncs both index files of a sealed segment. Their names reach the disk with the next directory sync; an
// index that a crash left torn or missing is rebuilt.
Status write_index_files(env::Disk& disk, const std::string& dir, Offset base, ByteView index, ByteView time_index);

// The one place where a batch's checksum is judged: at append, replication and recovery alike (E11).
bool checksum_good(const wire::BatchView& batch, const mutation::Switches& switches);

}  // namespace ordeal::log
