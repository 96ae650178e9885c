// poll-skip: a consumer went from one offset to a later one although something committed stands between.
//
// It was served the later offset, so everything below was committed and readable then: no timing is needed. What
// counts as standing between is what the auditor or another consumer found; gaps that nobody filled are control
// batches or aborted records. Offsets below the audited log start may have been removed meanwhile and prove nothing.
#include "checker/checks.h"

namespace ordeal::checker {

void check_polls(const Index& index, Findings& findings) {
  for (const Jump& jump : index.jumps) {
    const Partition& partition = index.partitions[jump.object];
    const std::int64_t from = std::max(jump.from + 1, partition.log_start);
    for (std::size_t at = partition.map.lower_bound(from); at < partition.slot.size(); ++at) {
      const std::int64_t offset = partition.map.offset_at(at);
      if (offset >= jump.to) break;
      if (partition.slot[at] == kEmptySlot) continue;
      Finding finding{jump.same_poll ? Prop::int_poll_skip : Prop::poll_skip,
                      Because::matrix,
                      jump.object,
                      offset,
                      jump.to,
                      partition.slot[at] & history::kNoValue,
                      history::kNoValue};
      finding.refs = {jump.before, jump.after, {}};
      finding.to_ns = jump.time_ns;
      findings.add(finding);
      break;
    }
  }
}

}  // namespace ordeal::checker
