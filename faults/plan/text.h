// Small text helpers of the parsers of faults/plan and faults/scenario: nearest names and counts.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ordeal::plan {

// The candidate within a few edits of `word`, or empty.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);
// " (did you mean x?)" or, when nothing is near, "; known: a, b, c".
std::string suggest(std::string_view word, const std::vector<std::string>& candidates);

template <class Int>
std::optional<Int> parse_int(std::string_view text) {
  Int value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace ordeal::plan
