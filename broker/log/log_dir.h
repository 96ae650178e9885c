// One log.dirs entry: the partitions' directories and the checkpoint files beside them, as Kafka lays them out.
//
//   <dir>/meta.properties                     whose directory this is
//   <dir>/.kafka_cleanshutdown                present only between a clean stop and the next start
//   <dir>/recovery-point-offset-checkpoint    below this every partition is flushed
//   <dir>/log-start-offset-checkpoint
//   <dir>/replication-offset-checkpoint       high watermarks
//   <dir>/<topic>-<partition>/partition.metadata and the log's own files
//   <dir>/<topic>-<partition>.<hex>-delete    a deleted partition, swept later
//
// Same threading rule as PartitionLog: owned by one run queue, [slow] calls may run elsewhere if nothing else uses the
// object meanwhile; the prepare_* calls return self-contained jobs that may run anywhere.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/base/result.h"
#include "broker/base/trace.h"
#include "broker/base/types.h"
#include "broker/env/disk.h"
#include "broker/log/partition_log.h"

namespace ordeal::log {

struct LogDirIdentity {
  std::string cluster_id;
  NodeId node_id = kNoNode;
  Uuid directory_id;  // written when the directory is new; a later start reads what stands there
};

// Creates the directory and what is missing above it, each name synced in its parent: a power cut must not take away
// the directory with everything that was flushed inside it. Names that stand already may be just as fresh, so they are
// synced too, as far up as this process may look.
Status create_durably(env::Disk& disk, const std::string& path);

// [slow] Broker epoch of the clean stop that `path` is the log directory of, for the registration that comes before the
// directory is opened (KIP-966). -1: never used, stopped uncleanly, or stopped by a broker that wrote no epoch. Looks
// only; LogDirectory::open takes the marker. A node that dies in between shows the same epoch again, which by then is
// not its last one: the controller sees an unclean stop, as it should.
Result<BrokerEpoch> clean_shutdown_epoch(env::Disk& disk, const std::string& path);
// [slow] Whether `path` has been opened as a log directory before. A node whose directory is gone must not claim that
// its log still holds what was flushed.
bool has_been_log_directory(env::Disk& disk, const std::string& path);

class LogDirectory {
 public:
  struct Found {
    TopicPartition partition;
    Uuid topic_id;
  };
  // Writes one text file atomically; made on the run queue, run anywhere.
  using Job = std::function<Status()>;

  // [slow] Creates or checks meta.properties (Errc::invalid_argument if it names another cluster or node), reads and
  // DELETES the clean-shutdown marker before anything else is loaded, reads the checkpoints, sweeps -delete
  // directories, and lists the partitions found. No log is opened yet.
  static Result<std::unique_ptr<LogDirectory>> open(env::Disk& disk, std::string path, LogDirIdentity identity,
                                                    const mutation::Switches& switches, TraceSink& trace,
                                                    env::Buggify* buggify = nullptr);

  const std::string& path() const { return path_; }
  const Uuid& directory_id() const { return identity_.directory_id; }
  bool was_clean() const { return clean_; }
  // Broker epoch that the clean-shutdown marker carried (KIP-966); -1 if there was none.
  BrokerEpoch previous_broker_epoch() const { return previous_broker_epoch_; }
  const std::vector<Found>& found() const { return found_; }  // at open, sorted

  // [slow] Opens the partition's log, creating it if need be. A directory of the same name with another topic id is a
  // deleted and re-created topic: it is moved aside as -delete and the log starts empty. The pointer stays good until
  // remove() or close. An already open log is returned as it is.
  Result<PartitionLog*> open_log(const TopicPartition& partition, const Uuid& topic_id, LogConfig config, WallMs now);
  PartitionLog* find(const TopicPartition& partition);
  std::optional<Uuid> topic_id(const TopicPartition& partition) const;
  const std::map<TopicPartition, std::unique_ptr<PartitionLog>>& logs() const { return logs_; }

  // [slow] Closes and renames the directory to <name>.<hex>-delete (durably); sweep() removes the bytes.
  Status remove(const TopicPartition& partition);
  // [slow] Removes every -delete directory.
  Status sweep();

  // High watermark as of the last checkpoint; 0 if unknown.
  Offset checkpointed_high_watermark(const TopicPartition& partition) const;

  // Checkpoints: content is captured now, the job writes and syncs it.
  Job prepare_recovery_points();  // every open log's flushed_end, and what is known of the others
  Job prepare_log_starts();
  Job prepare_high_watermarks(const std::map<TopicPartition, Offset>& high_watermarks);

  // [slow] Closes every log cleanly, writes the checkpoints, then the clean-shutdown marker, last.
  Status close_clean(const std::map<TopicPartition, Offset>& high_watermarks, BrokerEpoch broker_epoch);

 private:
  LogDirectory(env::Disk& disk, std::string path, LogDirIdentity identity, const mutation::Switches& switches,
               TraceSink& trace, env::Buggify* buggify);
  Status load_identity();
  Status take_clean_marker();
  Status drop_left_marker();
  Status list_partitions();
  Status move_aside(const std::string& name);
  Status write_metadata(const std::string& dir, const Uuid& topic_id);

  env::Disk& disk_;
  const std::string path_;
  LogDirIdentity identity_;
  const mutation::Switches& switches_;
  TraceSink& trace_;
  env::Buggify* const buggify_;
  bool clean_ = false;
  bool marker_left_ = false;  // only by the bug that leaves it
  BrokerEpoch previous_broker_epoch_ = -1;
  std::vector<Found> found_;
  std::map<TopicPartition, Uuid> ids_;  // of every partition directory that stands
  std::map<TopicPartition, std::unique_ptr<PartitionLog>> logs_;
  std::map<TopicPartition, Offset> recovery_points_;
  std::map<TopicPartition, Offset> log_starts_;
  std::map<TopicPartition, Offset> high_watermarks_;
  std::uint64_t removals_ = 0;
};

}  // namespace ordeal::log
