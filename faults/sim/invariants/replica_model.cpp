#include "faults/sim/invariants/replica_model.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace ordeal::sim {
namespace {

bool is_segment(const std::string& path) { return path.ends_with(".log"); }

// The base offset in a segment's name.
Offset base_of(const std::string& path) {
  Offset base = 0;
  const std::size_t from = path.rfind('/') + 1;
  std::from_chars(path.data() + from, path.data() + path.size(), base);
  return base;
}

}  // namespace

// ---- one replica

Offset ReplicaModel::synced_end() const {
  const auto first = std::ranges::find_if(batches_, [](const Placed& placed) { return !placed.synced; });
  if (first == batches_.begin()) return start();
  return std::prev(first)->id.last_offset + 1;
}

std::size_t ReplicaModel::find(Offset offset) const {
  const auto found = std::ranges::lower_bound(batches_, offset, {}, [](const Placed& p) { return p.id.last_offset; });
  return static_cast<std::size_t>(found - batches_.begin());
}

void ReplicaModel::cut(std::size_t index) {
  if (index >= batches_.size()) return;
  valid_below_ = std::min(valid_below_, batches_[index].id.base_offset);
  batches_.resize(index);
}

// ---- all of them

void ReplicaModels::attach(NodeId node) {
  if (nodes_.contains(node)) return;
  nodes_[node];
  rescan_all(node);
  world_.disk(node).watch([this, node](DiskChange change, const std::string& path, std::uint64_t offset) {
    observe(node, change, path, offset);
  });
}

const ReplicaModel* ReplicaModels::find(NodeId node, const TopicPartition& at) const {
  const auto of_node = nodes_.find(node);
  if (of_node == nodes_.end()) return nullptr;
  const auto found = of_node->second.find(at);
  return found == of_node->second.end() ? nullptr : &found->second;
}

ReplicaModel* ReplicaModels::find(NodeId node, const TopicPartition& at) {
  return const_cast<ReplicaModel*>(std::as_const(*this).find(node, at));
}

std::map<NodeId, const ReplicaModel*> ReplicaModels::of(const TopicPartition& at) const {
  std::map<NodeId, const ReplicaModel*> all;
  for (const auto& [node, replicas] : nodes_)
    if (const auto found = replicas.find(at); found != replicas.end()) all.emplace(node, &found->second);
  return all;
}

std::vector<TopicPartition> ReplicaModels::on(NodeId node) const {
  std::vector<TopicPartition> all;
  const auto of_node = nodes_.find(node);
  if (of_node == nodes_.end()) return all;
  for (const auto& [at, model] : of_node->second) all.push_back(at);
  return all;
}

std::map<NodeId, ReplicaFiles> ReplicaModels::read(const TopicPartition& at) const {
  std::map<NodeId, ReplicaFiles> all;
  for (const auto& [node, replicas] : nodes_) {
    ReplicaFiles files = read_replica(world_.disk(node), log_dir_, at);
    if (files.exists) all.emplace(node, std::move(files));
  }
  return all;
}

// <log dir>/<topic>-<partition>/<file>; other paths (metadata, deleted topics under other names) are none of ours.
std::optional<TopicPartition> ReplicaModels::partition_of(const std::string& path) const {
  if (!path.starts_with(log_dir_ + "/")) return std::nullopt;
  const std::size_t from = log_dir_.size() + 1;
  const std::string folder = path.substr(from, path.find('/', from) - from);
  const std::size_t dash = folder.rfind('-');
  if (dash == std::string::npos || dash == 0) return std::nullopt;
  PartitionId number = 0;
  const auto [end, error] = std::from_chars(folder.data() + dash + 1, folder.data() + folder.size(), number);
  if (error != std::errc() || end != folder.data() + folder.size()) return std::nullopt;
  return TopicPartition{folder.substr(0, dash), number};
}

void ReplicaModels::observe(NodeId node, DiskChange change, const std::string& path, std::uint64_t offset) {
  const bool whole = change == DiskChange::power_cut || change == DiskChange::wipe;
  if ((whole || change == DiskChange::rot) && disturbed_) disturbed_(node, change);
  if (change == DiskChange::wipe)
    for (auto& [at, model] : nodes_[node]) model.deleted_to_ = 0;
  if (whole) {
    rescan_all(node);
    return;
  }
  const auto at = partition_of(path);
  if (!at) return;
  if (change == DiskChange::names) {  // created, renamed or removed: a segment, its folder, or a side file
    if (is_segment(path) || path.find('/', log_dir_.size() + 1) == std::string::npos || path.ends_with(".deleted"))
      rescan(node, *at, nodes_[node][*at], false);
    return;
  }
  if (!is_segment(path)) return;
  ReplicaModel& model = nodes_[node][*at];
  if (change == DiskChange::sync)
    mark_synced(model, path);
  else
    read_on(node, model, path, offset);
}

// Bytes from `from` on have changed: what was read from there on is void, and what stands there now is read.
void ReplicaModels::read_on(NodeId node, ReplicaModel& model, const std::string& path, std::uint64_t from) {
  const Bytes* content = world_.disk(node).peek(path);
  if (content == nullptr) return;  // a file without a name any more
  auto& batches = model.batches_;
  std::size_t keep = batches.size();
  while (keep > 0 && batches[keep - 1].file > path) --keep;
  const std::size_t after = keep;  // batches of later segments: only a truncation of an earlier one meets them
  while (keep > 0 && batches[keep - 1].file == path && batches[keep - 1].end_in_file > from) --keep;
  std::vector<ReplicaModel::Placed> later(batches.begin() + static_cast<std::ptrdiff_t>(after), batches.end());
  if (keep < after) {
    model.cut(keep);
    model.cut_unsynced_ = true;
  }
  batches.resize(keep);
  std::size_t at = keep > 0 && batches[keep - 1].file == path ? batches[keep - 1].end_in_file : 0;
  BatchId id;
  while (at < content->size() && read_batch(*content, at, id)) batches.push_back({id, path, at, false});
  batches.insert(batches.end(), later.begin(), later.end());
}

void ReplicaModels::mark_synced(ReplicaModel& model, const std::string& path) {
  model.cut_unsynced_ = false;
  for (std::size_t i = model.batches_.size(); i-- > 0;) {
    ReplicaModel::Placed& placed = model.batches_[i];
    if (placed.file < path || (placed.file == path && placed.synced)) break;
    if (placed.file == path) placed.synced = true;
  }
}

void ReplicaModels::rescan(NodeId node, const TopicPartition& at, ReplicaModel& model, bool synced) {
  const std::vector<ReplicaModel::Placed> before = std::exchange(model.batches_, {});
  model.empty_at_ = 0;
  std::optional<std::string> first;
  const SimDisk& disk = world_.disk(node);
  for (const std::string& path : disk.files_under(log_dir_ + "/" + at.to_string())) {
    if (!is_segment(path)) continue;
    if (!first) first = path;
    model.empty_at_ = base_of(path);
    const Bytes* content = disk.peek(path);
    std::size_t position = 0;
    BatchId id;
    while (position < content->size() && read_batch(*content, position, id))
      model.batches_.push_back({id, path, position, synced});
  }
  // A crash deletes nothing: what it leaves out is lost. Otherwise the log begins where its first segment does.
  if (!synced && first) model.deleted_to_ = base_of(*first);
  // What was there before and still is keeps its standing; the first difference is damage.
  std::size_t old = 0;
  for (ReplicaModel::Placed& placed : model.batches_) {
    while (old < before.size() && before[old].id.base_offset < placed.id.base_offset) ++old;
    if (old < before.size() && before[old].id == placed.id) placed.synced = placed.synced || before[old].synced;
  }
  for (const ReplicaModel::Placed& gone : before) {
    const std::size_t now = model.find(gone.id.base_offset);
    if (gone.id.last_offset < model.deleted_to_ || (now < model.size() && model.batch(now) == gone.id)) continue;
    model.valid_below_ = std::min(model.valid_below_, gone.id.base_offset);
    break;
  }
}

void ReplicaModels::rescan_all(NodeId node) {
  OfNode& replicas = nodes_[node];
  for (const std::string& path : world_.disk(node).files_under(log_dir_))
    if (const auto at = partition_of(path)) replicas[*at];
  for (auto& [at, model] : replicas) rescan(node, at, model, true);
}

}  // namespace ordeal::sim
