// Target expressions as a tree: parse once, evaluate against a view. Private to faults/plan.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/result.h"
#include "broker/base/types.h"

namespace ordeal::plan {

struct Expression {
  enum class Kind { name, set, role, pick, unite, subtract, intersect, bound };
  Kind kind = Kind::name;
  std::string word;                         // host name, or the set's, role's or function's name
  std::string step;                         // bound: whose hosts
  std::optional<TopicPartition> partition;  // role with an argument
  std::int64_t count = 1;                   // random(k)
  std::vector<Expression> parts;            // operands; pick has one
};

Result<Expression> parse_expression(std::string_view text);

// Where an expression names another step, in order; and the same expression with those names replaced. For texts that
// parse.
std::vector<std::string> steps_named(std::string_view text);
std::string rename_steps(std::string_view text, const std::function<std::string(const std::string&)>& rename);

// True for leader, follower, followers, isr and outsiders: roles of a partition.
bool is_partition_role(std::string_view word);

}  // namespace ordeal::plan
