#include "checker/witness.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "checker/sort.h"

namespace ordeal::checker {

using history::Function;
using history::Record;
using history::Type;

namespace {
constexpr std::size_t kRefsEach = 24;  // of one value or place: enough to show it, few enough to search naively
}

Locator::Locator(const Index& index, const std::vector<Finding>& findings) : index_(index) {
  std::vector<bool> values(index.sends.size() + 1);
  std::set<std::uint64_t> strangers;  // values without a send
  for (const Finding& finding : findings) {
    for (const std::uint64_t value : {finding.value, finding.other_value}) {
      if (value >= history::kForeignValue) continue;
      by_value_[value];
      if (value < index.sends.size())
        values[value] = true;
      else
        strangers.insert(value);
    }
    for (const std::int64_t offset : {finding.offset, finding.other_offset})
      if (offset >= 0) by_place_[{finding.object, offset}];
  }
  if (findings.empty()) return;
  for (std::uint32_t f = 0; f < index.history->files.size(); ++f) {
    const auto& blocks = index.history->files[f].blocks;
    for (std::uint32_t b = 0; b < blocks.size(); ++b) {
      for (std::uint32_t i = 0; i < blocks[b].size(); ++i) {
        const Record& r = blocks[b][i];
        const std::uint64_t value = r.value();
        const bool wanted = value < index.sends.size() ? values[value] : strangers.contains(value);
        if (wanted) {
          Refs& refs = by_value_[value];
          if (refs.size() < kRefsEach || r.function == Function::send) refs.push_back({f, b, i});
        }
        if ((r.function != Function::read && r.function != Function::audit) || r.object == history::kNoObject) continue;
        const auto place = by_place_.find({index.object_map[f][r.object], r.offset});
        if (place != by_place_.end() && place->second.size() < kRefsEach) place->second.push_back({f, b, i});
      }
    }
  }
}

std::vector<RecordRef> Locator::about(const Finding& finding) const {
  std::set<RecordRef> refs;
  const auto take = [&](const Refs& more) { refs.insert(more.begin(), more.end()); };
  for (const std::uint64_t value : {finding.value, finding.other_value})
    if (const auto found = by_value_.find(value); found != by_value_.end()) take(found->second);
  for (const std::int64_t offset : {finding.offset, finding.other_offset})
    if (const auto found = by_place_.find({finding.object, offset}); found != by_place_.end()) take(found->second);
  for (const RecordRef& ref : finding.refs)
    if (ref.valid()) refs.insert(ref);
  if (const RecordRef& end = index_.partitions[finding.object].audit_end; end.valid()) refs.insert(end);
  std::vector<RecordRef> sorted(refs.begin(), refs.end());
  sort_stably(sorted, [&](const RecordRef& ref) { return index_.record(ref).time_ns; });
  return sorted;
}

Operation operation_at(const Index& index, const RecordRef& ref) {
  const Record& r = index.record(ref);
  const history::FileView& file = index.history->files[ref.file];
  Operation op;
  op.writer = file.header.writer;
  op.process = r.process;
  op.function = r.function;
  op.type = r.type;
  op.time_ns = r.time_ns;
  if (r.object != history::kNoObject) op.where = file.header.objects[r.object];
  op.offset = r.offset;
  op.value = r.value();
  op.leader_epoch = r.leader_epoch();
  if (r.detail == 0) return op;
  if (const auto error = file.side.errors.find(r.detail); error != file.side.errors.end()) {
    op.error = error->second.class_name;
    op.error_code = error->second.code;
    if (!error->second.text.empty()) op.error += ": " + error->second.text;
  } else if (const auto foreign = file.side.foreign.find(r.detail); foreign != file.side.foreign.end()) {
    op.error = fmt::format("{} ({} bytes)", foreign->second.reason, foreign->second.size);
  }
  return op;
}

}  // namespace ordeal::checker
