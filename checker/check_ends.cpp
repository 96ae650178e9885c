// end-offset-regression: ListOffsets(latest) answered less than was already known, by a leader that must have known.
//
// What is known: earlier answers (end, epoch of the answering leader), and under acks=all acknowledged records (offset
// + 1). An answer invoked after such a fact was returned, from a leader of the same or a higher epoch, may not be
// lower. For an acknowledgement "higher" is strict: it may have come from a later leader than the one that appended the
// batch, and the appending one, deposed, need never learn that its record was committed. A leader of a higher epoch
// than the batch's began with the record in its log and must not serve an end below its epoch's start (KIP-207). From
// an older or unknown epoch a lower end is a stale read, and legal.
#include <algorithm>
#include <map>

#include "checker/checks.h"

namespace ordeal::checker {
namespace {

struct Fact {
  std::int64_t end = -1;
  std::uint64_t known_ns = 0;
  std::uint64_t value = history::kNoValue;  // an acknowledged send's, or
  RecordRef answer;                         // an earlier answer's
};

// The highest end known per epoch; kNoEpoch collects what carries none.
using Known = std::map<LeaderEpoch, Fact>;

void learn(Known& known, LeaderEpoch epoch, const Fact& fact) {
  Fact& best = known[epoch];
  if (fact.end > best.end) best = fact;
}

struct Event {
  std::uint64_t at_ns;
  LeaderEpoch epoch;
  Fact fact;
};

void judge(const EndAnswer& answer, const Known& known, std::uint16_t object, Findings& findings) {
  const Fact* proof = nullptr;
  const Fact* stale = nullptr;
  for (const auto& [epoch, fact] : known) {
    if (fact.end <= answer.end) continue;
    const bool comparable = epoch != kNoEpoch && answer.epoch != kNoEpoch && epoch <= answer.epoch;
    const Fact*& best = comparable ? proof : stale;
    if (best == nullptr || fact.end > best->end) best = &fact;
  }
  const Fact* found = proof != nullptr ? proof : stale;
  if (found == nullptr) return;
  Finding finding{Prop::end_offset_regression,
                  proof != nullptr ? Because::matrix : Because::stale_answer,
                  object,
                  answer.end,
                  found->end,
                  found->value,
                  history::kNoValue};
  finding.refs = {found->answer, answer.invoke, answer.ok};
  finding.from_ns = found->known_ns;
  finding.to_ns = answer.end_ns;
  findings.add(finding);
}

// Acknowledged sends that an answer could contradict: those beyond the lowest answer.
void add_acks(const Index& index, const Partition& partition, std::int64_t lowest, std::vector<Event>& events) {
  for (std::size_t at = partition.map.lower_bound(lowest); at < partition.ack.size(); ++at) {
    const std::uint64_t value = partition.ack[at];
    if (value == kEmptySlot || (partition.seen[at] & kSlotAudited) == 0) continue;
    const std::uint64_t packed = partition.slot[at];
    if ((packed & history::kNoValue) != value) continue;
    history::Record epoch_of;
    epoch_of.packed = packed;
    const Send& send = index.sends[value];
    const LeaderEpoch appended = epoch_of.leader_epoch();
    const LeaderEpoch binds_from = appended == kNoEpoch ? kNoEpoch : appended + 1;
    events.push_back({send.end_ns, binds_from, {send.offset + 1, send.end_ns, value, {}}});
  }
}

}  // namespace

void check_ends(const Index& index, std::uint16_t object, Acks acks, Findings& findings) {
  const Partition& partition = index.partitions[object];
  if (partition.ends.empty()) return;
  std::vector<EndAnswer> answers = partition.ends;
  std::ranges::sort(answers, {}, &EndAnswer::invoke_ns);
  std::vector<Event> events;
  for (const EndAnswer& answer : answers)
    events.push_back({answer.end_ns, answer.epoch, {answer.end, answer.end_ns, history::kNoValue, answer.ok}});
  if (acks == Acks::all) add_acks(index, partition, std::ranges::min(answers, {}, &EndAnswer::end).end, events);
  std::ranges::sort(events, {}, &Event::at_ns);
  Known known;
  auto next = events.begin();
  for (const EndAnswer& answer : answers) {
    for (; next != events.end() && next->at_ns < answer.invoke_ns; ++next) learn(known, next->epoch, next->fact);
    judge(answer, known, object, findings);
  }
}

}  // namespace ordeal::checker
