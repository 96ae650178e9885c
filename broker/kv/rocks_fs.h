// RocksDB's file system over env::Disk, so that one crash model rules the metadata store and the logs alike.
//
// Every call maps to at most a few Disk calls made in the caller's thread; nothing is buffered or cached here.
// Errors of the disk come back as plain, non-retryable IOErrors: subcodes such as NoSpace would make RocksDB start
// recovery threads of its own, which a deterministic world cannot have.
// Only rocks_store.cpp includes this: RocksDB's headers are heavy.
#pragma once

#include <rocksdb/file_system.h>

#include <memory>

#include "broker/env/disk.h"

namespace ordeal::kv {

std::shared_ptr<rocksdb::FileSystem> make_rocks_fs(env::Disk& disk);

}  // namespace ordeal::kv
