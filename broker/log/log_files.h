// Names and writers of the small files beside the segments.
#pragma once

#include <optional>
#include <string>

#include "broker/base/bytes.h"
#include "broker/base/result.h"
#include "broker/base/types.h"
#include "broker/env/disk.h"
#include "broker/log/epoch_history.h"
#include "broker/mutation/mutation.h"
#include "broker/wire/record_batch.h"

namespace ordeal::log {

inline constexpr const char* kEpochFile = "leader-epoch-checkpoint";
inline constexpr const char* kMetadataFile = "partition.metadata";

// Writes and syncs both index files of a sealed segment. Their names reach the disk with the next directory sync; an
// index that a crash left torn or missing is rebuilt.
Status write_index_files(env::Disk& disk, const std::string& dir, Offset base, ByteView index, ByteView time_index);

// Writes <path>.tmp and renames it over `path`; the name is durable with the next sync of the directory. Not `synced`,
// a power cut may leave the file empty or torn under its final name: only the switches of known bugs ask for that.
Status place_file(env::Disk& disk, const std::string& path, ByteView content, bool synced);
// The two side files that recovery trusts below the recovery point: synced before they get their names (E4a, E5).
Status place_epoch_file(env::Disk& disk, const std::string& dir, ByteView content, const mutation::Switches& switches);
Status place_snapshot(env::Disk& disk, const std::string& path, ByteView content, const mutation::Switches& switches);

// The content of `path`; nullopt if it is not there. Unlike exists(), an unreadable file is an error and not absence.
Result<std::optional<Bytes>> read_if_there(env::Disk& disk, const std::string& path);
Status remove_if_there(env::Disk& disk, const std::string& path);

// Rebuilding the epoch history from the batches, oldest first: every epoch counts, the first one too (E4b). True if the
// history changed.
bool note_rebuilt_epoch(EpochHistory& history, const wire::BatchView& batch, Offset start,
                        const mutation::Switches& switches);

// The one place where a batch's checksum is judged: at append, replication and recovery alike (E11).
bool checksum_good(const wire::BatchView& batch, const mutation::Switches& switches);

}  // namespace ordeal::log
