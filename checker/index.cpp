// First pass: objects, sends, and how large the arrays must be.
#include "checker/index.h"

#include <algorithm>

#include "broker/base/check.h"
#include "checker/sort.h"

namespace ordeal::checker {

using history::Function;
using history::Record;
using history::Type;

namespace {

constexpr std::uint64_t kSlack = 1 << 20;  // how far ids and offsets may be from dense
constexpr std::int32_t kOutOfOrderSequence = 45;

struct Range {
  std::int64_t low = INT64_MAX;
  std::int64_t high = -1;
  std::uint64_t count = 0;
  void add(std::int64_t offset) {
    low = std::min(low, offset);
    high = std::max(high, offset);
    ++count;
  }
  bool is_sparse() const { return high >= 0 && static_cast<std::uint64_t>(high - low) > 16 * count + kSlack; }
};

bool has_place(const Record& record) {
  return record.offset >= 0 && (record.function == Function::read || record.function == Function::audit ||
                                (record.function == Function::send && record.type == Type::ok));
}

class Builder {
 public:
  explicit Builder(Index& index) : index_(index), history_(*index.history), total_(history_.records()) {}

  Status run() {
    ORDEAL_TRY(objects());
    index_.sends.reserve(estimate_values());
    for (std::size_t f = 0; f < history_.files.size(); ++f) ORDEAL_TRY(scan_file(f));
    index_.sends.shrink_to_fit();
    place();
    side();
    return {};
  }

 private:
  Status objects() {
    std::map<TopicPartition, std::uint16_t> ids;
    for (const history::FileView& file : history_.files) {
      std::vector<std::uint16_t> map;
      for (const TopicPartition& name : file.header.objects) {
        const auto [entry, added] = ids.emplace(name, static_cast<std::uint16_t>(ids.size()));
        if (added) {
          if (ids.size() >= history::kNoObject) return fail(Errc::invalid_argument, "too many topic-partitions");
          index_.partitions.emplace_back().name = name;
        }
        map.push_back(entry->second);
      }
      index_.object_map.push_back(std::move(map));
    }
    ranges_.resize(index_.partitions.size());
    return {};
  }

  // Writers send their ids in order, so the last block of each file tells how many there are; a wrong guess only costs
  // a reallocation.
  std::uint64_t estimate_values() const {
    std::uint64_t highest = 0;
    for (const history::FileView& file : history_.files) {
      if (file.blocks.empty()) continue;
      const auto& last = file.blocks.back();
      for (const Record& record : last.last(std::min<std::size_t>(last.size(), 8192)))
        if (record.function == Function::send && record.value() < history::kForeignValue)
          highest = std::max(highest, record.value() + 1);
    }
    return std::min(highest, 4 * total_ + kSlack);
  }

  std::unexpected<Error> wrong(const history::FileView& file, const Record& record, std::string_view what) const {
    return fail(Errc::corrupt, fmt::format("{}: value {} of process {} at {} ns: {}", file.name, record.value(),
                                           record.process, record.time_ns, what));
  }

  Status scan_file(std::size_t f) {
    const history::FileView& file = history_.files[f];
    const std::vector<std::uint16_t>& map = index_.object_map[f];
    const std::uint32_t first = next_process_;
    index_.first_process.push_back(first);
    last_value_.clear();
    std::uint32_t processes = 0;
    auto& only_sends = index_.only_sends.emplace_back();
    for (const auto& block : file.blocks) {
      bool all_sends = true;
      for (const Record& record : block) {
        low_ns_ = std::min(low_ns_, record.time_ns);
        high_ns_ = std::max(high_ns_, record.time_ns);
        processes = std::max<std::uint32_t>(processes, record.process + 1U);
        const std::uint16_t object = record.object == history::kNoObject ? record.object : map[record.object];
        if (has_place(record)) ranges_[object].add(record.offset);
        if (record.function != Function::send) {
          all_sends = false;
          continue;
        }
        ORDEAL_TRY(send(file, record, object, first));
      }
      only_sends.push_back(all_sends);
    }
    next_process_ += processes;
    index_.t0_ns = low_ns_ == UINT64_MAX ? 0 : low_ns_;
    index_.t1_ns = high_ns_;
    return {};
  }

  Status send(const history::FileView& file, const Record& record, std::uint16_t object, std::uint32_t first_process) {
    const std::uint64_t value = record.value();
    if (record.type == Type::invoke) {
      if (value >= history::kForeignValue) return wrong(file, record, "a send without a value");
      if (value >= index_.sends.size()) {
        if (value > 4 * total_ + kSlack) return wrong(file, record, "value ids are not dense from 0");
        index_.sends.resize(value + 1);
      }
      Send& send = index_.sends[value];
      if (send.state != Sent::never) return wrong(file, record, "the value is sent a second time");
      send.state = Sent::open;
      send.invoke_ns = record.time_ns;
      send.process = first_process + record.process;
      send.object = object;
      ++index_.counts.operations;
      if (record.process >= last_value_.size()) last_value_.resize(record.process + 1U, 0);
      if (last_value_[record.process] > value) index_.sends_in_value_order = false;
      last_value_[record.process] = value + 1;
      return {};
    }
    if (value >= index_.sends.size() || index_.sends[value].state == Sent::never)
      return wrong(file, record, "a send ends that was never invoked");
    Send& send = index_.sends[value];
    if (send.end_ns != 0) return wrong(file, record, "a send ends a second time");
    if (send.object != object) return wrong(file, record, "a send ends in another partition than it began");
    if (record.time_ns < send.invoke_ns) return wrong(file, record, "a send ends before it began");
    send.end_ns = std::max<std::uint64_t>(record.time_ns, 1);
    if (record.type == Type::ok) {
      send.state = Sent::ok;
      send.offset = record.offset;
    } else if (record.type == Type::fail) {
      send.state = Sent::fail;
    }
    if (record.detail != 0) {
      const auto error = file.side.errors.find(record.detail);
      if (error != file.side.errors.end() &&
          (error->second.code == kOutOfOrderSequence || error->second.class_name.starts_with("OUT_OF_ORDER_SEQUENCE")))
        send.flags |= kOutOfOrder;
    }
    return {};
  }

  void place() {
    std::vector<std::size_t> sparse;
    for (std::size_t p = 0; p < ranges_.size(); ++p) {
      if (ranges_[p].high < 0) continue;
      if (ranges_[p].is_sparse())
        sparse.push_back(p);
      else
        index_.partitions[p].map.dense(ranges_[p].low, static_cast<std::size_t>(ranges_[p].high - ranges_[p].low) + 1);
    }
    if (!sparse.empty()) collect_sparse(sparse);
    for (Partition& partition : index_.partitions) {
      partition.slot.assign(partition.map.size(), kEmptySlot);
      partition.seen.assign(partition.map.size(), 0);
      partition.ack.assign(partition.map.size(), kEmptySlot);
    }
  }

  // A broker that jumps far ahead must not cost the memory of the jump.
  void collect_sparse(const std::vector<std::size_t>& sparse) {
    std::vector<std::vector<std::int64_t>> offsets(index_.partitions.size());
    for (std::size_t f = 0; f < history_.files.size(); ++f)
      for (const auto& block : history_.files[f].blocks)
        for (const Record& record : block)
          if (has_place(record)) {
            const std::uint16_t object = index_.object_map[f][record.object];
            if (std::ranges::find(sparse, object) != sparse.end()) offsets[object].push_back(record.offset);
          }
    for (const std::size_t p : sparse) {
      std::ranges::sort(offsets[p]);
      offsets[p].erase(std::ranges::unique(offsets[p]).begin(), offsets[p].end());
      index_.partitions[p].map.sparse(std::move(offsets[p]));
    }
  }

  void side() {
    for (std::size_t f = 0; f < history_.files.size(); ++f) {
      const auto& map = index_.object_map[f];
      for (history::AuditBatch batch : history_.files[f].side.batches) {
        if (batch.object >= map.size()) continue;  // of a partition the header does not name: nothing to compare with
        batch.object = map[batch.object];
        index_.partitions[batch.object].batches.push_back(batch);
      }
      for (history::ProducerReset reset : history_.files[f].side.resets) {
        if (reset.cause_object < map.size()) reset.cause_object = map[reset.cause_object];
        index_.resets.push_back(reset);
      }
    }
    for (Partition& partition : index_.partitions) sort_stably(partition.batches, &history::AuditBatch::base_offset);
  }

  Index& index_;
  const history::History& history_;
  const std::uint64_t total_;
  std::vector<Range> ranges_;
  std::vector<std::uint64_t> last_value_;  // of the current file, by process: last value invoked, + 1
  std::uint32_t next_process_ = 0;
  std::uint64_t low_ns_ = UINT64_MAX, high_ns_ = 0;
};

}  // namespace

std::size_t OffsetMap::lower_bound(std::int64_t offset) const {
  if (sorted_.empty()) return offset <= base_ ? 0 : std::min(size_, static_cast<std::size_t>(offset - base_));
  return static_cast<std::size_t>(std::ranges::lower_bound(sorted_, offset) - sorted_.begin());
}

std::size_t OffsetMap::find_sparse(std::int64_t offset) const {
  const std::size_t at = lower_bound(offset);
  return at < size_ && sorted_[at] == offset ? at : size_;
}

bool Index::may_be_unrecorded(std::uint64_t value) const {
  for (const history::FileView& file : history->files) {
    const history::Header& header = file.header;
    if (!file.closed && header.value_stride > 0 && value >= header.value_first &&
        (value - header.value_first) % header.value_stride == 0)
      return true;
  }
  return false;
}

Result<Index> build_index(const history::History& history) {
  Index index;
  index.history = &history;
  Builder builder(index);
  ORDEAL_TRY(builder.run());
  return index;
}

}  // namespace ordeal::checker
