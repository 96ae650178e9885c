#include "faults/sim/invariants/storage.h"

#include <fmt/format.h>

namespace ordeal::sim {

void StorageInvariants::disturbed(NodeId node, DiskChange change) {
  for (const TopicPartition& at : models_.on(node)) {
    const ReplicaModel* model = models_.find(node, at);
    Written& written = written_[{node, at}];
    if (change != DiskChange::power_cut) {
      written.trusted = false;
      continue;
    }
    // A second cut before the log was recovered finds what the first one left; what that had to leave still counts.
    if (!written.batches.empty()) continue;
    for (std::size_t i = 0; i < model->size(); ++i) written.batches.push_back(model->batch(i));
    written.synced_end = model->synced_end();
    written.cut_unsynced = model->cut_unsynced();
  }
}

void StorageInvariants::observe(const TraceEvent& event) {
  if (event.kind == "log.index_past_target") index_within_target(event);
  if (event.kind == "log.retention") retention_below_high_watermark(event);
  // Recovery is over, of logs that needed none as well: from here on more is written.
  if (event.kind == "broker.registered")
    std::erase_if(written_, [&](const auto& entry) { return entry.first.first == event.node; });
  const auto topic = event.text("topic");
  const auto partition = event.number("partition");
  if (event.kind == "log.recovered" && topic && partition)
    crash_prefix(event, {*topic, static_cast<PartitionId>(*partition)});
}

// CrashPrefix [38]: after a power cut a recovered log is a prefix of what was written, and holds all that was synced.
void StorageInvariants::crash_prefix(const TraceEvent& event, const TopicPartition& at) {
  const auto found = written_.find({event.node, at});
  if (found == written_.end()) return;
  const Written written = std::move(found->second);
  written_.erase(found);
  const ReplicaModel* model = models_.find(event.node, at);
  if (!written.trusted || model == nullptr || written.batches.empty()) return;
  if (event.number("end").value_or(model->end()) < written.synced_end)
    breaches_.report("CrashPrefix",
                     fmt::format("{}: node {} recovered its log up to {}, but had synced it up to {}", at.to_string(),
                                 event.node, event.number("end").value_or(model->end()), written.synced_end));
  std::size_t before = 0;
  // What retention had deleted may be there again: the names need no sync for that to be legal.
  for (std::size_t i = model->find(written.batches.front().base_offset); i < model->size(); ++i, ++before) {
    while (before < written.batches.size() && written.batches[before].last_offset < model->start()) ++before;
    if (before < written.batches.size() && model->batch(i) == written.batches[before]) continue;
    if (written.cut_unsynced) return;  // what had been cut away came back: the cut itself was not synced
    breaches_.report("CrashPrefix",
                     fmt::format("{}: node {} recovered {}, where {} was written", at.to_string(), event.node,
                                 model->batch(i).to_string(),
                                 before < written.batches.size() ? written.batches[before].to_string() : "nothing"));
    return;
  }
}

// [39] An index entry at or below the wanted offset leads to a position at or before it.
void StorageInvariants::index_within_target(const TraceEvent& event) {
  breaches_.report("IndexWithinTarget",
                   fmt::format("{}-{}: node {} looked up {} and its index led to {}", event.text("topic").value_or("?"),
                               event.number("partition").value_or(-1), event.node, event.number("target").value_or(-1),
                               event.number("found").value_or(-1)));
}

// [39] Retention takes nothing at or above the HW.
void StorageInvariants::retention_below_high_watermark(const TraceEvent& event) {
  const Offset to = event.number("to").value_or(0);
  const Offset hw = event.number("hw").value_or(to);
  if (to > hw)
    breaches_.report("OffsetsOrdered", fmt::format("{}-{}: node {} moved its log start to {}, past the HW {}",
                                                   event.text("topic").value_or("?"),
                                                   event.number("partition").value_or(-1), event.node, to, hw));
}

}  // namespace ordeal::sim
