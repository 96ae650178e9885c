#include "faults/plan/expression.h"

#include <fmt/format.h>
#include <algorithm>
#include <array>

#include "faults/plan/text.h"

namespace ordeal::plan {

namespace {

constexpr std::array<std::string_view, 5> kPartitionRoles = {"leader", "follower", "followers", "isr", "outsiders"};
constexpr std::array<std::string_view, 11> kSets = {"all",        "clients", "client", "random", "minority", "majority",
                                                    "controller", "killed",  "paused", "up",     "one"};
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
    if (word.empty()) return bad("a host, a role or '(' is expected");
    if (is_partition_role(word)) return partition_role(word);
    if (word == "one" && at_ < text_.size() && text_[at_] == '(') return one_of(depth);
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
      at_ = from;
      return bad("'" + word.substr(0, 64) + "' is no host (n1, c1) and no role" + suggest(word, known));
    }
    Expression name;
    name.word = word;
    return name;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

bool is_partition_role(std::string_view word) {
  return std::find(kPartitionRoles.begin(), kPartitionRoles.end(), word) != kPartitionRoles.end();
}

Result<Expression> parse_expression(std::string_view text) { return ExpressionParser(text).parse(); }

}  // namespace ordeal::plan
