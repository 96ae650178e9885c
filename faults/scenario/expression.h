// The expressions of a script: parsed once into a tree, evaluated against a world's Sight.
//
// Parsing checks names, functions, their arity and node numbers; kinds are checked when an expression is evaluated.
// An evaluation has no effect and never throws. Its errors come in two sorts: Errc::not_found means "not there yet" (a
// set has no such member), which a `wait` takes as no; anything else is a mistake in the script.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "broker/base/result.h"
#include "broker/base/types.h"

namespace ordeal::scenario {

inline constexpr std::int64_t kNobody = 0;     // the leader of a partition that has none
inline constexpr std::int64_t kClients = 100;  // the host of the clients, where a link may end

using Nodes = std::vector<std::int64_t>;  // a set in a certain order (preference, or rising); no member twice

struct Value {
  std::variant<std::int64_t, Duration, bool, std::string, Nodes, TopicPartition> is;

  static Value number(std::int64_t value) { return {value}; }
  static Value truth(bool value) { return {value}; }
  static Value text(std::string value) { return {std::move(value)}; }
  static Value nodes(Nodes value) { return {std::move(value)}; }
  const char* kind() const;       // "a number", "a set"
  std::string to_string() const;  // as it would be written in a script
};

struct Expression {
  enum class Kind { literal, name, negate, invert, binary, index, set, all, any, call };
  Kind kind = Kind::literal;
  Value literal;
  std::string word;                 // the operator, name, function, or what all() and any() bind
  std::vector<Expression> parts;    // operands and arguments; all and any: the set, the condition
  std::vector<std::string> fields;  // count: the field that each part is to equal
};

// What a script's expression sees of the world.
class Sight {
 public:
  virtual ~Sight() = default;
  // `arguments` are of the number and kinds that functions() states; a text argument is the bare word given.
  virtual Result<Value> ask(std::string_view function, std::span<const Value> arguments) const = 0;
  virtual Result<Value> count(const std::string& kind,
                              const std::vector<std::pair<std::string, Value>>& fields) const = 0;
};

enum class Parameter { node, partition, word };
struct Function {
  std::string_view name;
  std::vector<Parameter> parameters;
};
const std::vector<Function>& functions();  // but count, all, any, only and size, which are the language's own

// What an expression may name where it stands.
struct Scope {
  int nodes = 9;
  std::set<std::string> names;  // of let and each
  std::set<std::string> holds;  // of hold: {as: ...}
};

// Errc::invalid_argument: "at character 7: there is no function led; did you mean leads?"
Result<Expression> parse_expression(std::string_view text, const Scope& scope);
// Whether `let` may take it: a name that means nothing yet.
bool may_be_named(std::string_view word);

using Bindings = std::map<std::string, Value>;
Result<Value> evaluate(const Expression& expression, const Bindings& bindings, const Sight& sight);

}  // namespace ordeal::scenario
