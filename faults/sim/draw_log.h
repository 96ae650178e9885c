// What a world drew and did, in order, so that two runs that should be equal can be compared and the first difference
// named. Off unless asked for: it costs memory with every step.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ordeal::sim {

class DrawLog {
 public:
  static constexpr std::size_t kEntriesMax = 8'000'000;  // later ones are counted only

  void note(std::uint64_t step, std::string_view who, std::uint64_t value);
  std::size_t size() const { return entries_.size(); }
  // "entry 17, step 5: n2 order drew 3a, then n2 order drew 4b"; empty: the same as far as they were kept.
  static std::string first_difference(const DrawLog& a, const DrawLog& b);

 private:
  struct Entry {
    std::uint64_t step = 0;
    std::uint64_t value = 0;
    std::uint32_t who = 0;
  };
  std::string describe(std::size_t index) const;

  std::map<std::string, std::uint32_t, std::less<>> ids_;
  std::vector<std::string> names_;
  std::vector<Entry> entries_;
  std::uint64_t beyond_ = 0;
};

}  // namespace ordeal::sim
