// From a finding to the operations that prove it: looked up in one further pass, verified by a predicate that shares
// nothing with the checks, and cut down until no operation can be taken away.
#pragma once

#include <map>

#include "checker/index.h"

namespace ordeal::checker {

// Everything the history says about the values and places of some findings.
class Locator {
 public:
  Locator(const Index& index, const std::vector<Finding>& findings);

  // Records that bear on this finding, in the order of time: the sends, reads and audits of its values, what was seen
  // at its offsets, the audit's end, and the records the check itself named.
  std::vector<RecordRef> about(const Finding& finding) const;

 private:
  using Refs = std::vector<RecordRef>;
  const Index& index_;
  std::map<std::uint64_t, Refs> by_value_;
  std::map<std::pair<std::uint16_t, std::int64_t>, Refs> by_place_;
};

Operation operation_at(const Index& index, const RecordRef& ref);

// Whether these operations alone break the property; written from the property's definition, over a handful of
// operations, without any index. `stale_too`: an end offset regression counts even without proof by epochs.
bool breaks(Prop prop, const std::vector<Operation>& operations, bool stale_too = false);

// Takes operations away while the rest still breaks the property. Empty if not even all of them do.
std::vector<Operation> smallest(Prop prop, std::vector<Operation> operations, bool stale_too = false);

}  // namespace ordeal::checker
