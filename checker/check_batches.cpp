// What the raw batches of the audited log say by themselves, independent of any client's word.
//
// corrupt-value: a batch whose checksum is wrong. log-epoch-order: a batch under a lower leader epoch than one before
// it. broken-sequence: batches of one (producer id, epoch) whose sequences repeat or leave a gap. Sequences wrap at
// 2^31. A log whose beginning was removed may begin in the middle of a sequence.
#include <map>

#include "checker/checks.h"

namespace ordeal::checker {

void check_batches(const Index& index, std::uint16_t object, Findings& findings) {
  const Partition& partition = index.partitions[object];
  std::map<std::pair<ProducerId, ProducerEpoch>, const history::AuditBatch*> last;
  const history::AuditBatch* before = nullptr;
  const auto pair = [&](Prop prop, const history::AuditBatch* first, const history::AuditBatch& second) {
    Finding finding{prop, Because::matrix, object, second.base_offset, first == nullptr ? -1 : first->base_offset};
    if (prop == Prop::corrupt_value) finding.because = Because::crc;
    findings.add(finding);
  };
  for (const history::AuditBatch& batch : partition.batches) {
    if (before != nullptr && batch.base_offset == before->base_offset) continue;  // read twice by the auditor
    if (!batch.crc_ok) pair(Prop::corrupt_value, nullptr, batch);
    if (before != nullptr && batch.leader_epoch >= 0 && batch.leader_epoch < before->leader_epoch)
      pair(Prop::log_epoch_order, before, batch);
    before = &batch;
    if (batch.producer_id < 0 || batch.control != history::ControlType::data || batch.base_sequence < 0) continue;
    const history::AuditBatch*& previous = last[{batch.producer_id, batch.producer_epoch}];
    if (previous != nullptr) {
      const std::int64_t span = previous->last_offset - previous->base_offset + 1;
      const std::int64_t next = (previous->base_sequence + span) & 0x7FFFFFFF;
      if (batch.base_sequence != next) pair(Prop::broken_sequence, previous, batch);
    }
    previous = &batch;
  }
}

}  // namespace ordeal::checker
