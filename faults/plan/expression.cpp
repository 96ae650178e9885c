#include "faults/plan/expression.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>

#include "faults/plan/text.h"

namespace ordeal::plan {

namespace {

constexpr std::array<std::string_view, 5> kPartitionRoles = {"leader", "follower", "followers", "isr", "outsiders"};
constexpr std::array<std::string_view, 13> kSets = {"voters", "observers", "all",      "clients",    "client",
                                                    "random", "minority",  "majority", "controller", "killed",
                                                    "paused", "up",        "one"};
constexpr std::array<std::string_view, 3> kBound = {"same", "from", "to"};
constexpr int kDepthMax = 50;
constexpr std::size_t kTextMax = 4096;

class ExpressionParser {
 public:
  explicit ExpressionParser(std::string_view text) : text_(text) {}

  Result<Expression> parse() {
    if (text_.size() > kTextMax) return bad("the expression is too long");
    auto result = sum(0);
    if (!result) return result;
    skip_spaces();
    if (at_ < text_.size()) return bad(fmt::format("unexpected '{}'", text_[at_]));
    return result;
  }

  // Position and length of each step's id, after parse().
  const std::vector<std::pair<std::size_t, std::size_t>>& named() const { return named_; }

 private:
  std::unexpected<Error> bad(const std::string& why) const {
    return fail(Errc::invalid_argument,
                fmt::format("target '{}': {} (character {})", text_.substr(0, 100), why, at_ + 1));
  }
  void skip_spaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(char c) {
    skip_spaces();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  Result<Expression> sum(int depth) {
    auto left = product(depth);
    while (left) {
      const bool unite = take('|');
      if (!unite && !take('-')) return left;
      auto right = product(depth);
      if (!right) return right;
      left = join(unite ? Expression::Kind::unite : Expression::Kind::subtract, std::move(*left), std::move(*right));
    }
    return left;
  }

  Result<Expression> product(int depth) {
    auto left = atom(depth);
    while (left && take('&')) {
      auto right = atom(depth);
      if (!right) return right;
      left = join(Expression::Kind::intersect, std::move(*left), std::move(*right));
    }
    return left;
  }

  static Expression join(Expression::Kind kind, Expression left, Expression right) {
    Expression joined;
    joined.kind = kind;
    joined.parts.push_back(std::move(left));
    joined.parts.push_back(std::move(right));
    return joined;
  }

  Result<Expression> atom(int depth) {
    if (depth > kDepthMax) return bad("nested too deeply");
    if (take('(')) {
      auto inner = sum(depth + 1);
      if (inner && !take(')')) return bad("')' is missing");
      return inner;
    }
    skip_spaces();
    const std::size_t from = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 || text_[at_] == '_'))
      ++at_;
    const std::string word(text_.substr(from, at_ - from));
    const bool called = at_ < text_.size() && text_[at_] == '(';
    if (word.empty()) return bad("a host, a role or '(' is expected");
    if (is_partition_role(word)) return partition_role(word);
    if (word == "one" && called) return one_of(depth);
    if (std::find(kBound.begin(), kBound.end(), word) != kBound.end()) return bound(word);
    if (std::find(kSets.begin(), kSets.end(), word) != kSets.end()) return set(word);
    return host(word, from);
  }

  Result<Expression> partition_role(const std::string& word) {
    Expression role;
    role.kind = Expression::Kind::role;
    role.word = word;
    if (at_ >= text_.size() || text_[at_] != '(') return role;
    const std::size_t close = text_.find(')', at_);
    if (close == std::string_view::npos) return bad("')' is missing");
    const std::string_view inside = text_.substr(at_ + 1, close - at_ - 1);
    const std::size_t slash = inside.rfind('/');
    const auto partition =
        slash == std::string_view::npos ? std::nullopt : parse_int<PartitionId>(inside.substr(slash + 1));
    if (!inside.empty()) {
      if (!partition || *partition < 0 || slash == 0)
        return bad(fmt::format("{} takes topic/partition, as in {}(t/0)", word, word));
      role.partition = TopicPartition{std::string(inside.substr(0, slash)), *partition};
    }
    at_ = close + 1;
    return role;
  }

  Result<Expression> bound(const std::string& word) {
    const std::size_t close = at_ < text_.size() && text_[at_] == '(' ? text_.find(')', at_) : std::string_view::npos;
    if (close == std::string_view::npos || close == at_ + 1)
      return bad(fmt::format("{} takes the id of a step, as in {}(s1)", word, word));
    Expression result;
    result.kind = Expression::Kind::bound;
    result.word = word;
    result.step = text_.substr(at_ + 1, close - at_ - 1);
    named_.emplace_back(at_ + 1, result.step.size());
    at_ = close + 1;
    return result;
  }

  Result<Expression> one_of(int depth) {
    ++at_;
    auto inner = sum(depth + 1);
    if (!inner) return inner;
    if (!take(')')) return bad("')' is missing");
    Expression pick;
    pick.kind = Expression::Kind::pick;
    pick.parts.push_back(std::move(*inner));
    return pick;
  }

  Result<Expression> set(const std::string& word) {
    Expression result;
    result.kind = Expression::Kind::set;
    result.word = word;
    if (word == "random" && at_ < text_.size() && text_[at_] == '(') {
      const std::size_t close = text_.find(')', at_);
      const auto count = close == std::string_view::npos
                             ? std::nullopt
                             : parse_int<std::int64_t>(text_.substr(at_ + 1, close - at_ - 1));
      if (!count || *count < 1 || *count > 1000) return bad("random takes a number, as in random(2)");
      result.count = *count;
      at_ = close + 1;
    }
    return result;
  }

  Result<Expression> host(const std::string& word, std::size_t from) {
    const bool numbered =
        word.size() > 1 && (word[0] == 'n' || word[0] == 'c') && parse_int<std::uint16_t>(word.substr(1));
    if (!numbered && word != "harness") {
      std::vector<std::string> known(kPartitionRoles.begin(), kPartitionRoles.end());
      known.insert(known.end(), kSets.begin(), kSets.end());
      known.insert(known.end(), kBound.begin(), kBound.end());
      at_ = from;
      return bad("'" + word.substr(0, 64) + "' is no host (n1, c1) and no role" + suggest(word, known));
    }
    Expression name;
    name.word = word;
    return name;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<std::pair<std::size_t, std::size_t>> named_;
};

}  // namespace

bool is_partition_role(std::string_view word) {
  return std::find(kPartitionRoles.begin(), kPartitionRoles.end(), word) != kPartitionRoles.end();
}

Result<Expression> parse_expression(std::string_view text) { return ExpressionParser(text).parse(); }

std::vector<std::string> steps_named(std::string_view text) {
  ExpressionParser parser(text);
  std::vector<std::string> ids;
  if (!parser.parse()) return ids;
  for (const auto& [at, size] : parser.named()) ids.emplace_back(text.substr(at, size));
  return ids;
}

std::string rename_steps(std::string_view text, const std::function<std::string(const std::string&)>& rename) {
  ExpressionParser parser(text);
  std::string out;
  std::size_t done = 0;
  if (parser.parse()) {
    for (const auto& [at, size] : parser.named()) {
      out += text.substr(done, at - done);
      out += rename(std::string(text.substr(at, size)));
      done = at + size;
    }
  }
  return out += text.substr(done);
}

}  // namespace ordeal::plan
