// What became of each send.
//
// lost-write: acknowledged, and not in the audited log, where the audit decides: the acknowledged offset lies in what
// the auditor read completely, or the drain reached its proven end and began after the acknowledgement. Offsets below
// the log start were removed by retention and are nobody's loss.
// unseen: acknowledged, not found, and the audit did not come far enough to decide. Unknown, never a violation.
// inconsistent-offsets: under acks=all an acknowledgement names an offset below the high watermark, so the record found
// elsewhere, or two acknowledgements for one offset, contradict it.
// duplicate: the broker's last word on a send was OUT_OF_ORDER_SEQUENCE although the log holds the record: it refused
// to recognise a batch it had. That is the broker's doing unless the batch it refused was another one (a client that
// gave up some of it), or a deposed leader may have said so, whose log does lack something: clients that do not compare
// leader epochs go back to such leaders.
#include <algorithm>

#include "checker/checks.h"

namespace ordeal::checker {

void place_acks(Index& index, Acks acks, Findings& findings) {
  for (std::uint64_t value = 0; value < index.sends.size(); ++value) {
    const Send& send = index.sends[value];
    if (send.state != Sent::ok || send.offset < 0) continue;
    Partition& partition = index.partitions[send.object];
    const std::size_t at = partition.map.find(send.offset);
    std::uint64_t& ack = partition.ack[at];
    if (ack == kEmptySlot) {
      ack = value;
      continue;
    }
    if (acks == Acks::all) {
      Finding finding{Prop::inconsistent_offsets, Because::matrix, send.object, send.offset, send.offset, ack, value};
      findings.add(finding);
    }
    // Of several claims the one that stands takes part in the order checks.
    if ((partition.slot[at] & history::kNoValue) == value) ack = value;
  }
}

namespace {

void check_missing(const Partition& partition, std::uint64_t value, const Send& send, Findings& findings) {
  Finding finding{Prop::lost_write, Because::matrix, send.object, send.offset, -1, value, history::kNoValue};
  finding.from_ns = send.invoke_ns;
  finding.to_ns = send.end_ns;
  if (partition.removed(send.offset)) return;
  const bool before_drain = partition.drained && send.end_ns < partition.audit_began_ns;
  const bool decided =
      send.offset >= 0 ? partition.decides(send.offset) || before_drain : before_drain && partition.log_start == 0;
  if (decided) return findings.add(finding);
  finding.prop = Prop::unseen;
  finding.because = Because::not_drained;
  findings.add(finding);
}

// The record is in the log, but is it where the acknowledgement said?
void check_moved(const Partition& partition, std::uint64_t value, const Send& send, Findings& findings) {
  if (send.offset < 0 || !partition.decides(send.offset)) return;
  const std::uint64_t packed = partition.value_at(send.offset);
  const std::uint64_t there = packed == kEmptySlot ? history::kNoValue : packed & history::kNoValue;
  if (there == value) return;
  Finding finding{Prop::inconsistent_offsets, Because::matrix, send.object, send.offset, -1, value, there};
  findings.add(finding);
}

Send* sender_at(Index& index, std::size_t object, std::int64_t offset) {
  const Partition& partition = index.partitions[object];
  const std::uint64_t packed = partition.value_at(offset);
  const std::uint64_t value = packed & history::kNoValue;
  if (packed == kEmptySlot || value >= index.sends.size()) return nullptr;
  Send& send = index.sends[value];
  return send.object == object && send.state != Sent::never ? &send : nullptr;
}

// A broker knows a repeated batch by its first and last sequence. When the client gives up some of a batch (its time is
// over) and sends the rest again, that is another batch, which every broker refuses as out of order. So a refusal
// speaks of the held batch only if both its ends were told the same.
void mark_other_batches(Index& index) {
  if (std::ranges::none_of(index.sends, [](const Send& send) { return (send.flags & kOutOfOrder) != 0; })) return;
  for (std::size_t object = 0; object < index.partitions.size(); ++object) {
    for (const history::AuditBatch& batch : index.partitions[object].batches) {
      const Send* first = sender_at(index, object, batch.base_offset);
      const Send* last = sender_at(index, object, batch.last_offset);
      const auto refused = [](const Send* send) { return send == nullptr || (send->flags & kOutOfOrder) != 0; };
      if (refused(first) && refused(last)) continue;
      for (std::int64_t offset = batch.base_offset; offset <= batch.last_offset; ++offset) {
        if (Send* send = sender_at(index, object, offset)) send->flags |= kOtherBatch;
      }
    }
  }
}

}  // namespace

void check_sends(Index& index, Acks acks, Findings& findings) {
  Counts& counts = index.counts;
  mark_other_batches(index);
  for (std::uint64_t value = 0; value < index.sends.size(); ++value) {
    const Send& send = index.sends[value];
    if (send.state == Sent::never) continue;
    const Partition& partition = index.partitions[send.object];
    const bool audited = (send.flags & kAudited) != 0;
    if (audited && (send.flags & kOutOfOrder) != 0 && send.state != Sent::ok) {
      const bool deposed = send.end_ns >= partition.leader_moved_ns;
      const bool other = (send.flags & kOtherBatch) != 0;
      const Because because = other     ? Because::client_sequence
                              : deposed ? Because::stale_refusal
                                        : Because::refused_held;
      Finding finding{Prop::duplicate, because, send.object, -1, -1, value, history::kNoValue};
      findings.add(finding);
    }
    switch (send.state) {
      case Sent::never:
        break;
      case Sent::fail:
        ++counts.sends_fail;
        break;
      case Sent::open:
        ++counts.sends_info;
        if (audited)
          ++counts.info_landed;
        else if (partition.drained)
          ++counts.info_absent;
        break;
      case Sent::ok:
        ++counts.sends_ok;
        if (!audited)
          check_missing(partition, value, send, findings);
        else if (acks == Acks::all)
          check_moved(partition, value, send, findings);
        break;
    }
  }
}

}  // namespace ordeal::checker
