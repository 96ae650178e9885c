// Second pass: everything that is not a send. Reads and audits fill the slots; what depends on the order of records
// within a process (positions, polls) is followed here.
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "checker/index.h"

namespace ordeal::checker {

using history::Function;
using history::Record;
using history::Type;

namespace {

struct Position {
  std::int64_t last = -1;  // the last offset delivered; -1: none since the assignment
  bool known = false;
  bool delivered = false;  // `ref` is a read; otherwise the assignment
  std::uint32_t poll = 0;
  RecordRef ref;
};

class Scanner {
 public:
  Scanner(Index& index, Findings& findings) : index_(index), findings_(findings) {}

  void file(std::size_t f) {
    const history::FileView& file = index_.history->files[f];
    map_ = &index_.object_map[f];
    file_ = &file;
    positions_.clear();
    polls_.clear();
    open_ends_.clear();
    for (std::size_t b = 0; b < file.blocks.size(); ++b) {
      if (index_.only_sends[f][b]) continue;
      const auto& block = file.blocks[b];
      for (std::size_t i = 0; i < block.size(); ++i) {
        if (i + kPrefetch < block.size()) index_.prefetch_send(block[i + kPrefetch].value());
        record(block[i], {static_cast<std::uint32_t>(f), static_cast<std::uint32_t>(b), static_cast<std::uint32_t>(i)});
      }
    }
  }

 private:
  void record(const Record& r, RecordRef ref) {
    Counts& counts = index_.counts;
    switch (r.function) {
      case Function::send:
        return;
      case Function::read:
        ++counts.operations;
        ++counts.reads;
        see(r, ref, kSlotRead);
        return follow(r, ref);
      case Function::audit:
        ++counts.operations;
        ++counts.audited;
        return see(r, ref, kSlotAudited);
      case Function::poll:
        return poll(r);
      case Function::list_end:
        return list_end(r, ref);
      case Function::assign: {
        Position& position = at(r);
        position = {r.offset - 1, r.offset >= 0, false, 0, ref};
        return;
      }
      case Function::audit_start: {
        Partition& p = partition(r);
        p.log_start = std::max<std::int64_t>(r.offset, 0);
        p.audit_began_ns = r.time_ns;
        return;
      }
      case Function::audit_end: {
        Partition& p = partition(r);
        p.position = std::max(p.position, r.offset);
        p.drained = p.drained || r.type == Type::ok;
        p.audit_end = ref;
        return;
      }
    }
  }

  Partition& partition(const Record& r) { return index_.partitions[(*map_)[r.object]]; }

  Position& at(const Record& r) {
    if (r.process >= positions_.size()) positions_.resize(r.process + 1U);
    auto& row = positions_[r.process];
    if (row.empty()) row.resize(map_->size());
    return row[r.object];
  }

  void poll(const Record& r) {
    if (r.process >= polls_.size()) polls_.resize(r.process + 1U, 0);
    if (r.type != Type::invoke) return;
    ++polls_[r.process];
    ++index_.counts.polls;
    ++index_.counts.operations;
  }

  // One value seen at one offset.
  void see(const Record& r, RecordRef ref, std::uint8_t by) {
    const std::uint16_t object = (*map_)[r.object];
    Partition& p = index_.partitions[object];
    const std::uint64_t value = r.value();
    if (r.offset < 0 || value == history::kNoValue) return;
    if (value == history::kForeignValue)
      foreign(r, ref, object);
    else
      sender(r, ref, object, value, by);
    const std::size_t at = p.map.find(r.offset);
    std::uint64_t& slot = p.slot[at];
    std::uint8_t& seen = p.seen[at];
    if (slot == kEmptySlot) {
      slot = r.packed;
    } else if ((slot & history::kNoValue) != value) {
      if ((seen & kSlotConflict) == 0) {
        seen |= kSlotConflict;
        Finding finding{
            Prop::inconsistent_offsets, Because::matrix, object, r.offset, r.offset, slot & history::kNoValue, value};
        finding.refs[1] = ref;
        findings_.add(finding);
      }
      if (by == kSlotAudited) slot = r.packed;  // the final log is what later checks compare with
    } else if (by == kSlotAudited) {
      slot = r.packed;  // the auditor knows the epoch
    }
    seen |= by;
  }

  void sender(const Record& r, RecordRef ref, std::uint16_t object, std::uint64_t value, std::uint8_t by) {
    if (value >= index_.sends.size() || index_.sends[value].state == Sent::never) {
      if (index_.may_be_unrecorded(value)) {
        ++index_.unrecorded;
        return;
      }
      return tell(Prop::phantom_value, object, r, ref);
    }
    Send& send = index_.sends[value];
    if (send.object != object) return tell(Prop::wrong_partition, object, r, ref);
    send.flags |= by == kSlotRead ? kRead : kAudited;
    if (r.time_ns < send.invoke_ns && (send.flags & kEarly) == 0) {
      send.flags |= kEarly;
      tell(Prop::read_before_write, object, r, ref);
    }
    if (send.state == Sent::fail && (send.flags & kTold) == 0) {
      send.flags |= kTold;
      tell(Prop::aborted_read, object, r, ref);
    }
  }

  void foreign(const Record& r, RecordRef ref, std::uint16_t object) {
    const auto payload = file_->side.foreign.find(r.detail);
    const std::string& reason = payload == file_->side.foreign.end() ? empty_ : payload->second.reason;
    const bool damaged = reason == "bad_crc" || reason == "bad_size";
    tell(damaged ? Prop::corrupt_value : Prop::phantom_value, object, r, ref);
  }

  // Once per (property, partition, offset): every further reader sees the same bytes.
  void tell(Prop prop, std::uint16_t object, const Record& r, RecordRef ref) {
    if (!told_.emplace(prop, object, r.offset, r.value()).second) return;
    Finding finding{prop, Because::matrix, object, r.offset, -1, r.value(), history::kNoValue};
    finding.refs[0] = ref;
    findings_.add(finding);
  }

  void follow(const Record& r, RecordRef ref) {
    if (r.offset < 0) return;
    Position& position = at(r);
    const std::uint32_t poll = r.process < polls_.size() ? polls_[r.process] : 0;
    if (position.known) {
      const bool same_poll = position.delivered && position.poll == poll;
      const std::uint16_t object = (*map_)[r.object];
      if (r.offset <= position.last) {
        Finding finding{same_poll ? Prop::int_nonmonotonic_poll : Prop::nonmonotonic_poll,
                        Because::matrix,
                        object,
                        r.offset,
                        position.last,
                        r.value(),
                        history::kNoValue};
        finding.refs = {position.ref, ref, {}};
        findings_.add(finding);
      } else if (r.offset > position.last + 1) {
        index_.jumps.push_back({object, same_poll, position.last, r.offset, position.ref, ref, r.time_ns});
      }
    }
    position = {r.offset, true, true, poll, ref};
  }

  void list_end(const Record& r, RecordRef ref) {
    const std::pair<std::uint16_t, std::uint16_t> key{r.process, r.object};
    if (r.type == Type::invoke) {
      ++index_.counts.operations;
      open_ends_[key] = ref;
      return;
    }
    const auto open = open_ends_.find(key);
    if (open == open_ends_.end()) return;  // an answer to a question nobody recorded orders nothing
    const RecordRef invoke = open->second;
    open_ends_.erase(open);
    if (r.type != Type::ok || r.offset < 0) return;
    partition(r).ends.push_back({index_.record(invoke).time_ns, r.time_ns, r.offset, r.leader_epoch(), invoke, ref});
  }

  Index& index_;
  Findings& findings_;
  const history::FileView* file_ = nullptr;
  const std::vector<std::uint16_t>* map_ = nullptr;
  std::vector<std::vector<Position>> positions_;  // of the current file: [process][object]
  std::vector<std::uint32_t> polls_;              // of the current file: polls begun, by process
  std::map<std::pair<std::uint16_t, std::uint16_t>, RecordRef> open_ends_;
  std::set<std::tuple<Prop, std::uint16_t, std::int64_t, std::uint64_t>> told_;
  const std::string empty_;
};

}  // namespace

void scan_reads(Index& index, Findings& findings) {
  Scanner scanner(index, findings);
  for (std::size_t f = 0; f < index.history->files.size(); ++f) scanner.file(f);
}

}  // namespace ordeal::checker
