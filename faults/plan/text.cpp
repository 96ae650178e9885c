#include "faults/plan/text.h"

#include <fmt/format.h>
#include <algorithm>
#include <numeric>

#include "faults/plan/plan.h"

namespace ordeal::plan {

namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

struct Unit {
  std::string_view name;
  std::int64_t nanoseconds;
};
// Longest names first, so that "ms" is not read as "m".
constexpr Unit kUnits[] = {{"ns", 1},
                           {"us", 1'000},
                           {"ms", 1'000'000},
                           {"s", 1'000'000'000},
                           {"m", 60'000'000'000LL},
                           {"h", 3'600'000'000'000LL}};
constexpr std::int64_t kDurationMax = 1'000'000LL * 1'000'000'000;  // 11 days: keeps every sum far from overflow

}  // namespace

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string_view cut = word.substr(0, 64);  // hostile input must not cost quadratic time
  std::size_t best = std::max<std::size_t>(2, cut.size() / 3) + 1;
  std::string found;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(cut, candidate);
    if (distance < best) {
      best = distance;
      found = candidate;
    }
  }
  return found;
}

std::string suggest(std::string_view word, const std::vector<std::string>& candidates) {
  if (const std::string near = nearest(word, candidates); !near.empty()) return " (did you mean " + near + "?)";
  std::string text = "; known: ";
  for (std::size_t i = 0; i < candidates.size(); ++i) text += (i == 0 ? "" : ", ") + candidates[i];
  return text;
}

Result<Duration> parse_duration(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(Errc::invalid_argument,
                fmt::format("'{}' is no duration: {} (write 250ms, 1.5s or 1m30s)", text.substr(0, 64), why));
  };
  if (text.empty()) return bad("it is empty");
  std::int64_t total = 0;
  std::string_view rest = text;
  while (!rest.empty()) {
    std::int64_t whole = 0;
    std::int64_t fraction = 0;
    std::int64_t scale = 1;
    std::size_t digits = 0;
    const auto digit = [&](std::size_t i) { return i < rest.size() && rest[i] >= '0' && rest[i] <= '9'; };
    for (; digit(digits) && digits < 15; ++digits) whole = whole * 10 + (rest[digits] - '0');
    if (digits == 0) return bad("a number is missing");
    rest.remove_prefix(digits);
    if (rest.starts_with('.')) {
      rest.remove_prefix(1);
      std::size_t decimals = 0;
      for (; digit(decimals) && decimals < 9; ++decimals) {
        fraction = fraction * 10 + (rest[decimals] - '0');
        scale *= 10;
      }
      if (decimals == 0) return bad("digits must follow the point");
      rest.remove_prefix(decimals);
    }
    const auto* unit = std::find_if(std::begin(kUnits), std::end(kUnits), [&](const Unit& u) {
      return rest.starts_with(u.name) && (u.name != "m" || !rest.starts_with("ms"));
    });
    if (unit == std::end(kUnits)) return bad("a unit (ns, us, ms, s, m, h) is missing");
    if (whole > kDurationMax / unit->nanoseconds) return bad("it is longer than eleven days");
    rest.remove_prefix(unit->name.size());
    // The fraction is below one unit and a unit is at most 3.6e12 ns, so 128 bits hold the product.
    const auto part = static_cast<std::int64_t>(static_cast<__int128>(fraction) * unit->nanoseconds / scale);
    total += whole * unit->nanoseconds + part;
    if (total > kDurationMax) return bad("it is longer than eleven days");
  }
  return Duration(total);
}

std::string format_duration(Duration duration) {
  const std::int64_t total = duration.count();
  if (total == 0) return "0s";
  for (const std::size_t index : {3U, 2U, 1U}) {
    if (total % kUnits[index].nanoseconds == 0) {
      return fmt::format("{}{}", total / kUnits[index].nanoseconds, kUnits[index].name);
    }
  }
  return fmt::format("{}ns", total);
}

}  // namespace ordeal::plan
