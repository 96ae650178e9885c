#include "broker/base/mark.h"

namespace ordeal {
namespace {

// Constant-initialised: marks of other files register before main in any order.
std::atomic<Mark*> newest{nullptr};

}  // namespace

Mark::Mark(const char* name) : name_(name), next_(newest.load(std::memory_order_relaxed)) {
  newest.store(this, std::memory_order_relaxed);
}

std::map<std::string, std::uint64_t> mark_counts() {
  std::map<std::string, std::uint64_t> counts;
  for (const Mark* mark = newest.load(std::memory_order_relaxed); mark != nullptr; mark = mark->next_)
    counts[mark->name()] += mark->hits();
  return counts;
}

}  // namespace ordeal
