// Reads history files: maps them, verifies every checksum, and keeps the records where they are.
//
// Damage and unfinished writing are told apart. A file that simply stops (the writer was killed, the disk was full)
// has a torn tail: the rest is used, and a note says how much was left out. Bytes that are there but wrong are
// damage: an error that names the file and the byte, because a verdict over them would be worth nothing.
#pragma once

#include <string>
#include <vector>

#include "broker/base/bytes.h"
#include "broker/base/result.h"
#include "workloads/history/history.h"

namespace ordeal::history {

// One file. Errors: not_found, io, corrupt ("history/p0.ohist at byte 4096: ..."), unsupported (newer schema).
Result<FileView> read_file(const std::string& path);

// The same for bytes already in memory (the fuzzer, tests); `bytes` must outlive the view. 8-byte aligned.
Result<FileView> read_bytes(std::string name, ByteView bytes);

// Several files as one history. Checks that run ids agree and writer names differ (invalid_argument otherwise).
Result<History> read_files(const std::vector<std::string>& paths);

// Every *.ohist of a folder, by name. not_found when there is none.
Result<History> read_folder(const std::string& folder);

// Joins views (for instance of in-memory recorders) with the same checks as read_files().
Result<History> join(std::vector<FileView> files);

}  // namespace ordeal::history
