// Index files on disk, and the checksum decision.
#include "broker/log/log_files.h"

#include "broker/log/segment.h"

namespace ordeal::log {
namespace {

Status write_whole(env::Disk& disk, const std::string& path, ByteView content) {
  auto file = disk.open(path, env::OpenMode::create);
  if (!file) return fail(file.error());
  ORDEAL_TRY((*file)->truncate(0));
  if (!content.empty()) ORDEAL_TRY((*file)->write_at(0, content));
  return (*file)->sync();
}

}  // namespace

Status write_index_files(env::Disk& disk, const std::string& dir, Offset base, ByteView index, ByteView time_index) {
  ORDEAL_TRY(write_whole(disk, dir + "/" + segment_file_name(base, ".index"), index));
  return write_whole(disk, dir + "/" + segment_file_name(base, ".timeindex"), time_index);
}

bool checksum_good(const wire::BatchView& batch, const mutation::Switches& switches) {
  return batch.crc_ok() || switches.active(mutation::Bug::disk_skip_crc);
}

}  // namespace ordeal::log
