// Orders between acknowledged sends that stand where their acknowledgements say.
//
// real-time-order: an append acknowledged before another began has the lower offset (the linearizable part of a
// partition log). Sweep from the highest offset down with the earliest end met so far: an append that began after it
// is the violation, and the pair is the witness. Equal times are concurrent.
// nonmonotonic-send: one process' sends to one partition have rising offsets in the order it invoked them; `int-` when
// the two were in flight together. Unknown sends (info) are left out: a late attempt of theirs may land anywhere.
#include <unordered_map>

#include "checker/checks.h"

namespace ordeal::checker {

void check_real_time(const Index& index, std::uint16_t object, Findings& findings) {
  const Partition& partition = index.partitions[object];
  std::uint64_t earliest_end = UINT64_MAX;
  std::uint64_t earliest = history::kNoValue;
  for (std::size_t at = partition.ack.size(); at-- > 0;) {
    if (at >= kPrefetch) index.prefetch_send(partition.ack[at - kPrefetch]);
    const std::uint64_t value = partition.ack[at];
    if (value == kEmptySlot) continue;
    const std::uint64_t there = partition.slot[at];
    if (there != kEmptySlot && (there & history::kNoValue) != value) continue;
    const Send& send = index.sends[value];
    if (send.invoke_ns > earliest_end) {
      Finding finding{Prop::real_time_order,        Because::matrix, object,  send.offset,
                      index.sends[earliest].offset, value,           earliest};
      finding.from_ns = earliest_end;
      finding.to_ns = send.end_ns;
      findings.add(finding);
    }
    if (send.end_ns < earliest_end) {
      earliest_end = send.end_ns;
      earliest = value;
    }
  }
}

namespace {

struct Highest {
  std::int64_t offset = -1;
  std::uint64_t value = 0;
};

class Order {
 public:
  Order(const Index& index, Findings& findings) : index_(index), findings_(findings) {}

  void next(std::uint64_t value) {
    const Send& send = index_.sends[value];
    if (send.state != Sent::ok || !stands(index_.partitions[send.object], value, send)) return;
    Highest& highest = row(send);
    if (send.offset > highest.offset) {
      highest = {send.offset, value};
      return;
    }
    const Send& before = index_.sends[highest.value];
    const bool together = before.end_ns >= send.invoke_ns;
    Finding finding{together ? Prop::int_nonmonotonic_send : Prop::nonmonotonic_send,
                    Because::matrix,
                    send.object,
                    send.offset,
                    highest.offset,
                    value,
                    highest.value};
    finding.from_ns = before.invoke_ns;
    finding.to_ns = send.end_ns;
    findings_.add(finding);
  }

 private:
  Highest& row(const Send& send) {
    if (send.process >= rows_.size()) rows_.resize(send.process + 1U);
    auto& of_process = rows_[send.process];
    if (of_process.empty()) of_process.resize(index_.partitions.size());
    return of_process[send.object];
  }

  const Index& index_;
  Findings& findings_;
  std::vector<std::vector<Highest>> rows_;  // [process][object]
};

}  // namespace

void check_send_order(const Index& index, Findings& findings) {
  Order order(index, findings);
  if (index.sends_in_value_order) {
    for (std::uint64_t value = 0; value < index.sends.size(); ++value) order.next(value);
    return;
  }
  for (const history::FileView& file : index.history->files)
    for (const auto& block : file.blocks)
      for (const history::Record& record : block)
        if (record.function == history::Function::send && record.type == history::Type::invoke)
          order.next(record.value());
}

}  // namespace ordeal::checker
