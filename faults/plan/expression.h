// Target expressions as a tree: parse once, evaluate against a view. Private to faults/plan.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/result.h"
#include "broker/base/types.h"

namespace ordeal::plan {

struct Expression {
  enum class Kind { name, set, role, pick, unite, subtract, intersect };
  Kind kind = Kind::name;
  std::string word;                         // host name, or the set's or role's name
  std::optional<TopicPartition> partition;  // role with an argument
  std::int64_t count = 1;                   // random(k)
  std::vector<Expression> parts;            // operands; pick has one
};

Result<Expression> parse_expression(std::string_view text);

// True for leader, follower, followers, isr and outsiders: roles of a partition.
bool is_partition_role(std::string_view word);

}  // namespace ordeal::plan
