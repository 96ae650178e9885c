// Coverage marks: rare branches that say they were reached.
//
//   ORDEAL_MARK("raft.snapshot_installed");
//
// Every mark in the program is known from the start (they register before main), so that a sweep can list the branches
// it reached and those it never did. A mark decides nothing and costs one relaxed increment; put them where a bug
// would hide: refusals, retries, truncations, takeovers. Names are lower-case, "component.what_happened".
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>

namespace ordeal {

class Mark {
 public:
  explicit Mark(const char* name);
  Mark(const Mark&) = delete;
  Mark& operator=(const Mark&) = delete;
  void hit() { hits_.fetch_add(1, std::memory_order_relaxed); }
  const char* name() const { return name_; }
  std::uint64_t hits() const { return hits_.load(std::memory_order_relaxed); }

 private:
  friend std::map<std::string, std::uint64_t> mark_counts();
  const char* name_;
  Mark* next_;
  std::atomic<std::uint64_t> hits_{0};
};

// By name, over all places that share it; zero: never reached since the program started.
std::map<std::string, std::uint64_t> mark_counts();

namespace detail {
// One object a name; `Name` is a type unique to the place, whose static member function gives the text.
template <class Name>
struct MarkOf {
  static inline Mark mark{Name::text()};
};
}  // namespace detail

}  // namespace ordeal

#define ORDEAL_MARK(name)                                  \
  do {                                                     \
    struct OrdealMarkName {                                \
      static constexpr const char* text() { return name; } \
    };                                                     \
    ::ordeal::detail::MarkOf<OrdealMarkName>::mark.hit();  \
  } while (false)
