// Index files on disk, and the checksum decision.
#include "broker/log/log_files.h"

#include <utility>

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

Status place_file(env::Disk& disk, const std::string& path, ByteView content, bool synced) {
  const std::string temporary = path + ".tmp";
  {
    auto file = disk.open(temporary, env::OpenMode::create);
    if (!file) return fail(file.error());
    ORDEAL_TRY((*file)->truncate(0));
    if (!content.empty()) ORDEAL_TRY((*file)->write_at(0, content));
    if (synced) ORDEAL_TRY((*file)->sync());
  }
  return disk.rename(temporary, path);
}

Status place_epoch_file(env::Disk& disk, const std::string& dir, ByteView content, const mutation::Switches& switches) {
  const bool synced = !switches.active(mutation::Bug::disk_epoch_ckpt_unsynced);
  return place_file(disk, dir + "/" + kEpochFile, content, synced);
}

Status place_snapshot(env::Disk& disk, const std::string& path, ByteView content, const mutation::Switches& switches) {
  const bool synced = !switches.active(mutation::Bug::disk_producer_snapshot_unsynced);
  return place_file(disk, path, content, synced);
}

Result<std::optional<Bytes>> read_if_there(env::Disk& disk, const std::string& path) {
  auto content = disk.read_file(path);
  if (content) return std::optional<Bytes>(std::move(*content));
  if (content.error().code == Errc::not_found) return std::nullopt;
  return fail(content.error());
}

Status remove_if_there(env::Disk& disk, const std::string& path) {
  Status removed = disk.remove(path);
  if (!removed && removed.error().code == Errc::not_found) return {};
  return removed;
}

bool note_rebuilt_epoch(EpochHistory& history, const wire::BatchView& batch, Offset start,
                        const mutation::Switches& switches) {
  const LeaderEpoch epoch = batch.partition_leader_epoch();
  if (epoch == 0 && history.latest() < 0 && switches.active(mutation::Bug::disk_epoch0_skipped)) return false;
  return history.assign(epoch, start);
}

bool checksum_good(const wire::BatchView& batch, const mutation::Switches& switches) {
  return batch.crc_ok() || switches.active(mutation::Bug::disk_skip_crc);
}

}  // namespace ordeal::log
