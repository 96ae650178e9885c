#include "broker/meta/topic_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <limits>

namespace ordeal::meta {
namespace {

constexpr std::int64_t kInt = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kLong = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t kTopicNameMax = 249;

enum class Kind { number, boolean, choice, list, ratio };

struct Rule {
  std::string_view name;
  Kind kind;
  std::int64_t low = 0;
  std::int64_t high = 0;
  std::string_view choices = "";  // separated by spaces
};

// Sorted by name.
constexpr std::array kRules{
    Rule{"cleanup.policy", Kind::list, 0, 0, "delete compact"},
    Rule{"compression.type", Kind::choice, 0, 0, "producer uncompressed gzip snappy lz4 zstd"},
    Rule{"delete.retention.ms", Kind::number, 0, kLong},
    Rule{"file.delete.delay.ms", Kind::number, 0, kLong},
    Rule{"flush.messages", Kind::number, 1, kLong},
    Rule{"flush.ms", Kind::number, 0, kLong},
    Rule{"index.interval.bytes", Kind::number, 0, kInt},
    Rule{"max.compaction.lag.ms", Kind::number, 1, kLong},
    Rule{"max.message.bytes", Kind::number, 0, kInt},
    Rule{"message.timestamp.after.max.ms", Kind::number, 0, kLong},
    Rule{"message.timestamp.before.max.ms", Kind::number, 0, kLong},
    Rule{"message.timestamp.type", Kind::choice, 0, 0, "CreateTime LogAppendTime"},
    Rule{"min.cleanable.dirty.ratio", Kind::ratio},
    Rule{"min.compaction.lag.ms", Kind::number, 0, kLong},
    Rule{"min.insync.replicas", Kind::number, 1, kInt},
    Rule{"preallocate", Kind::boolean},
    Rule{"retention.bytes", Kind::number, -1, kLong},
    Rule{"retention.ms", Kind::number, -1, kLong},
    Rule{"segment.bytes", Kind::number, 14, kInt},
    Rule{"segment.index.bytes", Kind::number, 4, kInt},
    Rule{"segment.jitter.ms", Kind::number, 0, kLong},
    Rule{"segment.ms", Kind::number, 1, kLong},
    Rule{"unclean.leader.election.enable", Kind::boolean},
};
static_assert(std::ranges::is_sorted(kRules, {}, &Rule::name));

bool among(std::string_view choices, std::string_view value) {
  while (!choices.empty()) {
    const std::size_t end = std::min(choices.find(' '), choices.size());
    if (choices.substr(0, end) == value) return true;
    choices.remove_prefix(std::min(end + 1, choices.size()));
  }
  return false;
}

bool all_among(std::string_view choices, std::string_view list) {
  while (true) {
    const std::size_t end = std::min(list.find(','), list.size());
    if (!among(choices, list.substr(0, end))) return false;
    if (end == list.size()) return true;
    list.remove_prefix(end + 1);
  }
}

bool number_within(std::string_view value, std::int64_t low, std::int64_t high) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  return error == std::errc() && end == value.data() + value.size() && number >= low && number <= high;
}

// 0, 1, or digits between them, as text: no floating point decides anything here.
bool ratio(std::string_view value) {
  if (value == "0" || value == "1" || value == "0.0" || value == "1.0") return true;
  const std::string_view digits = value.starts_with("0.") ? value.substr(2) : std::string_view();
  return !digits.empty() && std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

std::optional<std::string> check_topic_config(std::string_view name, std::string_view value) {
  const auto rule = std::ranges::lower_bound(kRules, name, {}, &Rule::name);
  if (rule == kRules.end() || rule->name != name) return fmt::format("Unknown topic config name: {}", name);
  const auto wrong = [&](std::string_view wanted) {
    return std::optional(fmt::format("Invalid value {} for configuration {}: must be {}", value, name, wanted));
  };
  switch (rule->kind) {
    case Kind::number:
      if (number_within(value, rule->low, rule->high)) return std::nullopt;
      return wrong(fmt::format("a number from {} to {}", rule->low, rule->high));
    case Kind::boolean:
      if (value == "true" || value == "false") return std::nullopt;
      return wrong("true or false");
    case Kind::choice:
      if (among(rule->choices, value)) return std::nullopt;
      return wrong(fmt::format("one of {}", rule->choices));
    case Kind::list:
      if (all_among(rule->choices, value)) return std::nullopt;
      return wrong(fmt::format("a list of {}", rule->choices));
    case Kind::ratio:
      if (ratio(value)) return std::nullopt;
      return wrong("from 0 to 1");
  }
  return wrong("something else");
}

bool is_list_config(std::string_view name) {
  const auto rule = std::ranges::lower_bound(kRules, name, {}, &Rule::name);
  return rule != kRules.end() && rule->name == name && rule->kind == Kind::list;
}

std::vector<std::string_view> topic_config_names() {
  std::vector<std::string_view> names;
  for (const Rule& rule : kRules) names.push_back(rule.name);
  return names;
}

std::optional<std::string> check_topic_name(std::string_view name) {
  if (name.empty()) return "a topic name must not be empty";
  if (name == "." || name == "..") return "a topic name must not be . or ..";
  if (name.size() > kTopicNameMax) return fmt::format("a topic name has at most {} characters", kTopicNameMax);
  const bool legal = std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  });
  if (!legal) return "a topic name has only letters, digits and . _ -";
  return std::nullopt;
}

bool topic_names_collide(std::string_view a, std::string_view b) {
  const auto plain = [](char c) { return c == '.' ? '_' : c; };
  return std::ranges::equal(a, b, {}, plain, plain);
}

}  // namespace ordeal::meta
