// Values, and the evaluation of expressions.
#include "faults/scenario/expression.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "faults/plan/plan.h"

namespace ordeal::scenario {
namespace {

// The members of a variant in the order of Value::is.
constexpr const char* kKinds[] = {"a number", "a duration", "a truth value", "a text", "a set", "a partition"};

Error mistake(std::string text) { return {Errc::invalid_argument, std::move(text)}; }

std::string member_text(std::int64_t member) {
  return member == kClients ? "clients" : member == kNobody ? "0" : fmt::format("n{}", member);
}

Nodes sorted(Nodes nodes) {
  std::ranges::sort(nodes);
  nodes.erase(std::ranges::unique(nodes).begin(), nodes.end());
  return nodes;
}

class Evaluator {
 public:
  Evaluator(Bindings bindings, const Sight& sight) : bindings_(std::move(bindings)), sight_(sight) {}

  Result<Value> run(const Expression& at) {
    switch (at.kind) {
      case Expression::Kind::literal:
        return at.literal;
      case Expression::Kind::name:
        return name(at.word);
      case Expression::Kind::negate:
        return negate(at);
      case Expression::Kind::invert:
        return invert(at);
      case Expression::Kind::binary:
        return binary(at);
      case Expression::Kind::index:
        return index(at);
      case Expression::Kind::set:
        return set(at);
      case Expression::Kind::all:
      case Expression::Kind::any:
        return quantify(at);
      case Expression::Kind::call:
        return call(at);
    }
    return fail(mistake("an expression of no kind"));
  }

 private:
  template <class T>
  Result<T> as(const Expression& at, const char* what) {
    Result<Value> value = run(at);
    if (!value) return fail(value.error());
    if (T* found = std::get_if<T>(&value->is)) return std::move(*found);
    return fail(mistake(fmt::format("{} is expected, not {}: {}", what, value->kind(), value->to_string())));
  }

  Result<Value> name(const std::string& word) {
    const auto found = bindings_.find(word);
    if (found == bindings_.end()) return fail(mistake(fmt::format("{} has no value yet", word)));
    return found->second;
  }

  Result<Value> negate(const Expression& at) {
    const Result<Value> value = run(at.parts[0]);
    if (!value) return value;
    if (const auto* length = std::get_if<Duration>(&value->is)) return Value{-*length};
    const auto* number = std::get_if<std::int64_t>(&value->is);
    if (number == nullptr) return fail(mistake(fmt::format("'-' cannot take {}", value->kind())));
    return Value::number(-*number);
  }

  Result<Value> invert(const Expression& at) {
    const Result<bool> value = as<bool>(at.parts[0], "a truth value");
    if (!value) return fail(value.error());
    return Value::truth(!*value);
  }

  Result<Value> binary(const Expression& at) {
    if (at.word == "and" || at.word == "or") {
      const Result<bool> left = as<bool>(at.parts[0], "a truth value");
      if (!left) return fail(left.error());
      if (*left == (at.word == "or")) return Value::truth(*left);
      const Result<bool> right = as<bool>(at.parts[1], "a truth value");
      if (!right) return fail(right.error());
      return Value::truth(*right);
    }
    const Result<Value> left = run(at.parts[0]);
    if (!left) return left;
    const Result<Value> right = run(at.parts[1]);
    if (!right) return right;
    if (at.word == "in") return contains(*left, *right);
    if (at.word == "+" || at.word == "-" || at.word == "|" || at.word == "&") return combine(at.word, *left, *right);
    return compare(at.word, *left, *right);
  }

  static Result<Value> contains(const Value& member, const Value& in) {
    const auto* wanted = std::get_if<std::int64_t>(&member.is);
    const auto* nodes = std::get_if<Nodes>(&in.is);
    if (wanted == nullptr || nodes == nullptr)
      return fail(mistake(fmt::format("'in' takes a node and a set, not {} and {}", member.kind(), in.kind())));
    return Value::truth(std::ranges::find(*nodes, *wanted) != nodes->end());
  }

  static Result<Value> combine(const std::string& op, const Value& left, const Value& right) {
    const auto* one = std::get_if<Nodes>(&left.is);
    const auto* other = std::get_if<Nodes>(&right.is);
    if (one != nullptr && other != nullptr && op != "+") {
      Nodes out;
      const auto in_other = [&](std::int64_t member) { return std::ranges::find(*other, member) != other->end(); };
      for (const std::int64_t member : *one)
        if (op == "|" || in_other(member) == (op == "&")) out.push_back(member);
      if (op == "|") out.insert(out.end(), other->begin(), other->end());
      return Value::nodes(sorted(std::move(out)));
    }
    const auto* a = std::get_if<std::int64_t>(&left.is);
    const auto* b = std::get_if<std::int64_t>(&right.is);
    std::int64_t sum = 0;
    if (a != nullptr && b != nullptr && (op == "+" || op == "-")) {
      if (op == "+" ? __builtin_add_overflow(*a, *b, &sum) : __builtin_sub_overflow(*a, *b, &sum))
        return fail(mistake("the number is too large"));
      return Value::number(sum);
    }
    return fail(mistake(fmt::format("'{}' cannot take {} and {}", op, left.kind(), right.kind())));
  }

  static Result<Value> compare(const std::string& op, const Value& left, const Value& right) {
    if (left.is.index() != right.is.index())
      return fail(mistake(fmt::format("'{}' cannot compare {} with {}", op, left.kind(), right.kind())));
    if (op == "==" || op == "!=") {
      const auto* one = std::get_if<Nodes>(&left.is);
      const bool same = one != nullptr ? sorted(*one) == sorted(std::get<Nodes>(right.is)) : left.is == right.is;
      return Value::truth(same == (op == "=="));
    }
    std::int64_t a = 0;
    std::int64_t b = 0;
    if (std::holds_alternative<std::int64_t>(left.is)) {
      a = std::get<std::int64_t>(left.is);
      b = std::get<std::int64_t>(right.is);
    } else if (std::holds_alternative<Duration>(left.is)) {
      a = std::get<Duration>(left.is).count();
      b = std::get<Duration>(right.is).count();
    } else {
      return fail(mistake(fmt::format("'{}' takes numbers or durations, not {}", op, left.kind())));
    }
    return Value::truth(op == "<" ? a < b : op == "<=" ? a <= b : op == ">" ? a > b : a >= b);
  }

  Result<Value> index(const Expression& at) {
    const Result<Nodes> nodes = as<Nodes>(at.parts[0], "a set");
    if (!nodes) return fail(nodes.error());
    const Result<std::int64_t> place = as<std::int64_t>(at.parts[1], "a number");
    if (!place) return fail(place.error());
    if (*place < 0 || *place >= static_cast<std::int64_t>(nodes->size()))
      return fail(Errc::not_found, fmt::format("there is no [{}] in {}", *place, Value::nodes(*nodes).to_string()));
    return Value::number((*nodes)[static_cast<std::size_t>(*place)]);
  }

  Result<Value> set(const Expression& at) {
    Nodes out;
    for (const Expression& part : at.parts) {
      const Result<std::int64_t> member = as<std::int64_t>(part, "a node");
      if (!member) return fail(member.error());
      out.push_back(*member);
    }
    return Value::nodes(sorted(std::move(out)));
  }

  Result<Value> quantify(const Expression& at) {
    const Result<Nodes> over = as<Nodes>(at.parts[0], "a set");
    if (!over) return fail(over.error());
    const bool decides = at.kind == Expression::Kind::any;  // the answer of one member that ends it
    Result<Value> answer = Value::truth(!decides);
    const auto hidden = bindings_.find(at.word) != bindings_.end() ? bindings_.extract(at.word) : Bindings::node_type{};
    for (const std::int64_t member : *over) {
      bindings_[at.word] = Value::number(member);
      const Result<bool> holds = as<bool>(at.parts[1], "a truth value");
      if (!holds) answer = fail(holds.error());
      if (!holds || *holds == decides) {
        if (holds) answer = Value::truth(decides);
        break;
      }
    }
    bindings_.erase(at.word);
    if (hidden) bindings_[hidden.key()] = hidden.mapped();
    return answer;
  }

  Result<Value> call(const Expression& at) {
    if (at.word == "count") return count(at);
    std::vector<Value> arguments;
    for (const Expression& part : at.parts) {
      Result<Value> value = run(part);
      if (!value) return value;
      arguments.push_back(std::move(*value));
    }
    if (at.word == "only" || at.word == "size") return of_set(at.word, arguments[0]);
    const auto function = std::ranges::find(functions(), at.word, &Function::name);
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const Parameter wanted = function->parameters[i];
      const bool fits = wanted == Parameter::node        ? std::holds_alternative<std::int64_t>(arguments[i].is)
                        : wanted == Parameter::partition ? std::holds_alternative<TopicPartition>(arguments[i].is)
                                                         : std::holds_alternative<std::string>(arguments[i].is);
      if (!fits)
        return fail(mistake(fmt::format("{} takes {}, not {}: {}", at.word,
                                        wanted == Parameter::node        ? "a node"
                                        : wanted == Parameter::partition ? "a partition such as t/0"
                                                                         : "a name",
                                        arguments[i].kind(), arguments[i].to_string())));
    }
    return sight_.ask(at.word, arguments);
  }

  static Result<Value> of_set(const std::string& word, const Value& given) {
    const auto* nodes = std::get_if<Nodes>(&given.is);
    if (nodes == nullptr) return fail(mistake(fmt::format("{} takes a set, not {}", word, given.kind())));
    if (word == "size") return Value::number(static_cast<std::int64_t>(nodes->size()));
    if (nodes->size() != 1) return fail(Errc::not_found, fmt::format("{} has not just one member", given.to_string()));
    return Value::number(nodes->front());
  }

  Result<Value> count(const Expression& at) {
    std::vector<std::pair<std::string, Value>> fields;
    for (std::size_t i = 0; i < at.fields.size(); ++i) {
      Result<Value> value = run(at.parts[i]);
      if (!value) return value;
      fields.emplace_back(at.fields[i], std::move(*value));
    }
    return sight_.count(std::get<std::string>(at.literal.is), fields);
  }

  Bindings bindings_;
  const Sight& sight_;
};

}  // namespace

const char* Value::kind() const { return kKinds[is.index()]; }

std::string Value::to_string() const {
  if (const auto* number = std::get_if<std::int64_t>(&is)) return std::to_string(*number);
  if (const auto* duration = std::get_if<Duration>(&is)) return plan::format_duration(*duration);
  if (const auto* truth = std::get_if<bool>(&is)) return *truth ? "true" : "false";
  if (const auto* word = std::get_if<std::string>(&is)) return "'" + *word + "'";
  if (const auto* nodes = std::get_if<Nodes>(&is)) {
    std::string out;
    for (const std::int64_t member : *nodes) out += (out.empty() ? "" : ", ") + member_text(member);
    return "{" + out + "}";
  }
  const auto& at = std::get<TopicPartition>(is);
  return fmt::format("{}/{}", at.topic, at.partition);
}

Result<Value> evaluate(const Expression& expression, const Bindings& bindings, const Sight& sight) {
  return Evaluator(bindings, sight).run(expression);
}

}  // namespace ordeal::scenario
