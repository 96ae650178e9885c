// Directory-level files and the life of partition directories; log_dir.h shows the layout.
#include "broker/log/log_dir.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/base/mark.h"
#include "broker/log/checkpoint_file.h"
#include "broker/log/log_files.h"

namespace ordeal::log {
namespace {

constexpr const char* kMetaFile = "meta.properties";
constexpr const char* kCleanMarker = ".kafka_cleanshutdown";
constexpr const char* kRecoveryPoints = "recovery-point-offset-checkpoint";
constexpr const char* kLogStarts = "log-start-offset-checkpoint";
constexpr const char* kHighWatermarks = "replication-offset-checkpoint";
constexpr std::string_view kDeleteSuffix = "-delete";

// "key<separator>value" lines; '#' begins a comment.
std::map<std::string, std::string> parse_lines(std::string_view text, std::string_view separator) {
  std::map<std::string, std::string> values;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t at = line.find(separator);
    if (line.starts_with('#') || at == std::string_view::npos) continue;
    values.emplace(line.substr(0, at), line.substr(at + separator.size()));
  }
  return values;
}

// "<topic>-<partition>"; nullopt for anything else (-delete, -stray, -future, foreign directories).
std::optional<TopicPartition> parse_directory(const std::string& name) {
  const std::size_t dash = name.rfind('-');
  if (dash == std::string::npos || dash == 0) return std::nullopt;
  const auto partition = parse_number(std::string_view(name).substr(dash + 1));
  if (!partition || *partition < 0 || *partition > INT32_MAX) return std::nullopt;
  return TopicPartition{name.substr(0, dash), static_cast<PartitionId>(*partition)};
}

std::string hex(const Uuid& id) {
  std::string text;
  for (const std::uint8_t byte : id.bytes) text += fmt::format("{:02x}", byte);
  return text;
}

Result<std::map<TopicPartition, Offset>> read_offsets(env::Disk& disk, const std::string& path) {
  const auto text = read_if_there(disk, path);
  if (!text) return fail(text.error().at(path));
  if (!*text) return std::map<TopicPartition, Offset>{};
  auto offsets = decode_offsets(**text);
  if (!offsets) return fail(offsets.error().at(path));
  return offsets;
}

// What the text of a clean-shutdown marker says of the broker epoch; -1 if nothing.
BrokerEpoch epoch_in_marker(ByteView text) {
  constexpr std::string_view kField = "\"brokerEpoch\":";
  const std::string_view json = as_text(text);
  const std::size_t at = json.find(kField);
  if (at == std::string_view::npos) return -1;
  const std::string_view rest = json.substr(at + kField.size());
  return parse_number(rest.substr(0, rest.find_first_not_of("-0123456789"))).value_or(-1);
}

}  // namespace

Result<BrokerEpoch> clean_shutdown_epoch(env::Disk& disk, const std::string& path) {
  const std::string file = path + "/" + kCleanMarker;
  const auto text = read_if_there(disk, file);
  if (!text) return fail(text.error().at(file));
  return *text ? epoch_in_marker(**text) : BrokerEpoch{-1};
}

bool has_been_log_directory(env::Disk& disk, const std::string& path) { return disk.exists(path + "/" + kMetaFile); }

Status create_durably(env::Disk& disk, const std::string& path) {
  ORDEAL_TRY(disk.create_directories(path));
  std::string at = path;
  for (auto slash = at.rfind('/'); slash != std::string::npos; slash = at.rfind('/')) {
    const std::string parent = slash == 0 ? "/" : at.substr(0, slash);
    if (auto synced = disk.sync_directory(parent); !synced) {
      if (at == path) return synced;
      break;
    }
    if (slash == 0) break;
    at = parent;
  }
  return {};
}

LogDirectory::LogDirectory(env::Disk& disk, std::string path, LogDirIdentity identity,
                           const mutation::Switches& switches, TraceSink& trace, env::Buggify* buggify)
    : disk_(disk),
      path_(std::move(path)),
      identity_(std::move(identity)),
      switches_(switches),
      trace_(trace),
      buggify_(buggify) {}

Result<std::unique_ptr<LogDirectory>> LogDirectory::open(env::Disk& disk, std::string path, LogDirIdentity identity,
                                                         const mutation::Switches& switches, TraceSink& trace,
                                                         env::Buggify* buggify) {
  std::unique_ptr<LogDirectory> directory(
      new LogDirectory(disk, std::move(path), std::move(identity), switches, trace, buggify));
  ORDEAL_TRY(create_durably(disk, directory->path_));
  ORDEAL_TRY(directory->load_identity());
  // Before anything is loaded: a crash while loading must find no marker (KAFKA-10471).
  ORDEAL_TRY(directory->take_clean_marker());
  struct File {
    const char* name;
    std::map<TopicPartition, Offset>& into;
  };
  for (const File& file : {File{kRecoveryPoints, directory->recovery_points_}, File{kLogStarts, directory->log_starts_},
                           File{kHighWatermarks, directory->high_watermarks_}}) {
    auto offsets = read_offsets(disk, directory->path_ + "/" + file.name);
    if (!offsets) return fail(offsets.error());
    file.into = std::move(*offsets);
  }
  ORDEAL_TRY(directory->sweep());
  ORDEAL_TRY(directory->list_partitions());
  return directory;
}

Status LogDirectory::load_identity() {
  const std::string file = path_ + "/" + kMetaFile;
  const auto found = read_if_there(disk_, file);
  if (!found) return fail(found.error().at(file));
  if (!*found) {
    const std::string text = fmt::format("version=1\ncluster.id={}\nnode.id={}\ndirectory.id={}\n",
                                         identity_.cluster_id, identity_.node_id, identity_.directory_id.to_string());
    return disk_.replace_file(file, as_bytes(text));
  }
  auto values = parse_lines(as_text(**found), "=");
  if (values["cluster.id"] != identity_.cluster_id || values["node.id"] != std::to_string(identity_.node_id)) {
    return fail(Errc::invalid_argument,
                fmt::format("{} belongs to node {} of cluster {}, not to node {} of cluster {}", path_,
                            values["node.id"], values["cluster.id"], identity_.node_id, identity_.cluster_id));
  }
  if (!values.contains("directory.id")) return {};
  if (!Uuid::parse(values["directory.id"], identity_.directory_id)) {
    return fail(Errc::corrupt, fmt::format("{}: directory.id \"{}\"", file, values["directory.id"]));
  }
  return {};
}

Status LogDirectory::take_clean_marker() {
  const std::string file = path_ + "/" + kCleanMarker;
  const auto text = read_if_there(disk_, file);
  if (!text) return fail(text.error().at(file));
  if (!*text) {
    ORDEAL_MARK("log_dir.unclean_start");
    return {};
  }
  clean_ = true;
  previous_broker_epoch_ = epoch_in_marker(**text);
  // Gone for good before anything is loaded, or the next start after a crash would believe it (E2).
  if (switches_.active(mutation::Bug::disk_keep_clean_marker)) {
    marker_left_ = true;
    return {};
  }
  ORDEAL_TRY(disk_.remove(file));
  return disk_.sync_directory(path_);
}

// As the bug has it: the marker goes when all that was found is loaded, by a plain unlink that a power cut may undo.
Status LogDirectory::drop_left_marker() {
  if (!marker_left_ || logs_.size() < found_.size()) return {};
  marker_left_ = false;
  return remove_if_there(disk_, path_ + "/" + kCleanMarker);
}

Status LogDirectory::sweep() {
  const auto entries = disk_.list(path_);
  if (!entries) return fail(entries.error());
  for (const env::DirectoryEntry& entry : *entries) {
    if (entry.is_directory && entry.name.ends_with(kDeleteSuffix)) {
      ORDEAL_TRY(disk_.remove_tree(path_ + "/" + entry.name));
    }
  }
  return {};
}

Status LogDirectory::list_partitions() {
  const auto entries = disk_.list(path_);
  if (!entries) return fail(entries.error());
  for (const env::DirectoryEntry& entry : *entries) {
    const auto partition = entry.is_directory ? parse_directory(entry.name) : std::nullopt;
    if (!partition) continue;
    Found found{*partition, {}};
    const std::string file = path_ + "/" + entry.name + "/" + kMetadataFile;
    // No metadata: the node died while it created the partition, so there is nothing in it yet.
    const auto text = read_if_there(disk_, file);
    if (!text) return fail(text.error().at(file));
    if (*text) {
      const std::string id = parse_lines(as_text(**text), ": ")["topic_id"];
      if (!Uuid::parse(id, found.topic_id)) return fail(Errc::corrupt, fmt::format("{}: topic id \"{}\"", file, id));
    }
    ids_[found.partition] = found.topic_id;
    found_.push_back(found);
  }
  std::ranges::sort(found_, {}, &Found::partition);
  return {};
}

Status LogDirectory::move_aside(const std::string& name) {
  const auto partition = parse_directory(name);
  const Uuid id = partition && ids_.contains(*partition) ? ids_.at(*partition) : Uuid{};
  std::string target;
  do {
    target = fmt::format("{}/{}.{}{}{}", path_, name, hex(id), ++removals_, kDeleteSuffix);
  } while (disk_.exists(target));
  ORDEAL_TRY(disk_.rename(path_ + "/" + name, target));
  return disk_.sync_directory(path_);
}

Status LogDirectory::write_metadata(const std::string& dir, const Uuid& topic_id) {
  const std::string text = fmt::format("version: 0\ntopic_id: {}\n", topic_id.to_string());
  return disk_.replace_file(dir + "/" + kMetadataFile, as_bytes(text));
}

Result<PartitionLog*> LogDirectory::open_log(const TopicPartition& partition, const Uuid& topic_id, LogConfig config,
                                             WallMs now) {
  const auto known = ids_.find(partition);
  if (known != ids_.end() && known->second != topic_id && !known->second.is_zero()) {
    ORDEAL_TRY(remove(partition));
  } else if (PartitionLog* open = find(partition)) {
    return open;
  }
  const std::string dir = path_ + "/" + partition.to_string();
  const bool existed = ids_.contains(partition);
  if (!existed || ids_.at(partition).is_zero()) {
    // The name is durable before the log exists: a flushed record must never stand in a directory that a crash forgets.
    ORDEAL_TRY(disk_.create_directories(dir));
    ORDEAL_TRY(write_metadata(dir, topic_id));
    ORDEAL_TRY(disk_.sync_directory(path_));
    ids_[partition] = topic_id;
  }
  OpenHints hints;
  hints.clean_shutdown = clean_ || !existed;
  if (const auto at = recovery_points_.find(partition); at != recovery_points_.end()) hints.recovery_point = at->second;
  if (const auto at = log_starts_.find(partition); at != log_starts_.end()) hints.log_start = at->second;
  auto log = PartitionLog::open(disk_, dir, partition, std::move(config), hints, switches_, trace_, now, buggify_);
  if (!log) return fail(log.error());
  PartitionLog* opened = logs_.emplace(partition, std::move(*log)).first->second.get();
  ORDEAL_TRY(drop_left_marker());
  return opened;
}

PartitionLog* LogDirectory::find(const TopicPartition& partition) {
  const auto found = logs_.find(partition);
  return found == logs_.end() ? nullptr : found->second.get();
}

std::optional<Uuid> LogDirectory::topic_id(const TopicPartition& partition) const {
  const auto found = ids_.find(partition);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

Status LogDirectory::remove(const TopicPartition& partition) {
  if (!ids_.contains(partition)) return fail(Errc::not_found, partition.to_string() + " is not in " + path_);
  logs_.erase(partition);
  ORDEAL_TRY(move_aside(partition.to_string()));
  ids_.erase(partition);
  recovery_points_.erase(partition);
  log_starts_.erase(partition);
  high_watermarks_.erase(partition);
  return {};
}

Offset LogDirectory::checkpointed_high_watermark(const TopicPartition& partition) const {
  const auto found = high_watermarks_.find(partition);
  return found == high_watermarks_.end() ? 0 : found->second;
}

LogDirectory::Job LogDirectory::prepare_recovery_points() {
  for (const auto& [partition, log] : logs_) recovery_points_[partition] = log->flushed_end();
  return [&disk = disk_, file = path_ + "/" + kRecoveryPoints, content = encode_offsets(recovery_points_)] {
    return disk.replace_file(file, content);
  };
}

LogDirectory::Job LogDirectory::prepare_log_starts() {
  for (const auto& [partition, log] : logs_) log_starts_[partition] = log->log_start();
  return [&disk = disk_, file = path_ + "/" + kLogStarts, content = encode_offsets(log_starts_)] {
    return disk.replace_file(file, content);
  };
}

LogDirectory::Job LogDirectory::prepare_high_watermarks(const std::map<TopicPartition, Offset>& high_watermarks) {
  for (const auto& [partition, offset] : high_watermarks) {
    if (ids_.contains(partition)) high_watermarks_[partition] = offset;
  }
  return [&disk = disk_, file = path_ + "/" + kHighWatermarks, content = encode_offsets(high_watermarks_)] {
    return disk.replace_file(file, content);
  };
}

Status LogDirectory::close_clean(const std::map<TopicPartition, Offset>& high_watermarks, BrokerEpoch broker_epoch) {
  Status result;
  for (const auto& [partition, log] : logs_) {
    if (auto closed = log->close_clean(); !closed && result) result = fail(closed.error());
  }
  ORDEAL_TRY(result);
  ORDEAL_TRY(prepare_recovery_points()());
  ORDEAL_TRY(prepare_log_starts()());
  ORDEAL_TRY(prepare_high_watermarks(high_watermarks)());
  // A partition that was found after an unclean stop and never opened still needs its recovery at the next start.
  const bool unrecovered = !clean_ && std::ranges::any_of(found_, [this](const Found& found) {
    return ids_.contains(found.partition) && !logs_.contains(found.partition);
  });
  if (unrecovered) {
    ORDEAL_MARK("log_dir.stopped_unrecovered");
    return {};
  }
  const std::string marker = fmt::format("{{\"version\":0,\"brokerEpoch\":{}}}", broker_epoch);
  return disk_.replace_file(path_ + "/" + kCleanMarker, as_bytes(marker));
}

}  // namespace ordeal::log
