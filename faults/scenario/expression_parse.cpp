// From text to a tree: a lexer and a recursive descent, one function a level of binding.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "faults/plan/plan.h"
#include "faults/plan/text.h"
#include "faults/scenario/expression.h"

namespace ordeal::scenario {
namespace {

constexpr std::size_t kTextMax = 4000;
constexpr int kDepthMax = 60;

struct Token {
  enum class Kind { end, number, duration, word, text, sign };
  Kind kind = Kind::end;
  std::string text;
  std::size_t at = 0;
};

struct Wrong {
  std::size_t at;
  std::string what;
};

bool starts_word(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool in_word(char c) { return starts_word(c) || std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '.'; }

std::vector<Token> split(std::string_view text) {
  std::vector<Token> tokens;
  std::size_t at = 0;
  const auto take_while = [&](auto&& fits) {
    const std::size_t from = at;
    while (at < text.size() && fits(text[at])) ++at;
    return std::string(text.substr(from, at - from));
  };
  while (at < text.size()) {
    const char c = text[at];
    const std::size_t from = at;
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++at;
    } else if (starts_word(c)) {
      tokens.push_back({Token::Kind::word, take_while(in_word), from});
    } else if (std::isdigit(static_cast<unsigned char>(c)) != 0) {
      std::string found = take_while(in_word);
      const bool number = std::ranges::all_of(found, [](unsigned char d) { return std::isdigit(d) != 0; });
      tokens.push_back({number ? Token::Kind::number : Token::Kind::duration, std::move(found), from});
    } else if (c == '\'') {
      const std::size_t close = text.find('\'', at + 1);
      if (close == std::string_view::npos) throw Wrong{from, "the text that begins here does not end"};
      tokens.push_back({Token::Kind::text, std::string(text.substr(at + 1, close - at - 1)), from});
      at = close + 1;
    } else {
      static constexpr std::string_view kTwo[] = {"==", "!=", "<=", ">="};
      const std::string_view pair = text.substr(at, 2);
      const std::size_t length = std::ranges::find(kTwo, pair) != std::end(kTwo) ? 2 : 1;
      if (length == 1 && std::string_view("<>|&-+()[]{},:/=").find(c) == std::string_view::npos)
        throw Wrong{from, fmt::format("'{}' means nothing here",
                                      std::isprint(static_cast<unsigned char>(c)) != 0 ? std::string(1, c) : "?")};
      tokens.push_back({Token::Kind::sign, std::string(text.substr(at, length)), from});
      at += length;
    }
  }
  tokens.push_back({Token::Kind::end, "the end", text.size()});
  return tokens;
}

const std::set<std::string, std::less<>>& reserved() {
  static const std::set<std::string, std::less<>> words{"and",  "or",   "not",   "in",   "all",   "any",
                                                        "only", "size", "count", "true", "false", "clients"};
  return words;
}

bool is_node(std::string_view word) {
  return word.size() > 1 && word[0] == 'n' && plan::parse_int<std::int64_t>(word.substr(1)).has_value();
}

std::vector<std::string> callable() {
  std::vector<std::string> names{"all", "any", "only", "size", "count"};
  for (const Function& function : functions()) names.emplace_back(function.name);
  return names;
}

class Parser {
 public:
  Parser(std::string_view text, const Scope& scope) : tokens_(split(text)), scope_(scope) {}

  Expression parse() {
    Expression out = choice();
    if (peek().kind != Token::Kind::end) throw Wrong{peek().at, fmt::format("'{}' is one too many", peek().text)};
    return out;
  }

 private:
  const Token& peek(std::size_t ahead = 0) const { return tokens_[std::min(next_ + ahead, tokens_.size() - 1)]; }
  Token take() {
    Token token = peek();
    if (next_ + 1 < tokens_.size()) ++next_;
    return token;
  }
  bool is(std::string_view text) const {
    return peek().text == text && (peek().kind == Token::Kind::sign || peek().kind == Token::Kind::word);
  }
  bool accept(std::string_view text) {
    if (!is(text)) return false;
    take();
    return true;
  }
  void expect(std::string_view text) {
    if (!accept(text)) throw Wrong{peek().at, fmt::format("'{}' is expected, not '{}'", text, peek().text)};
  }
  static Expression two(std::string op, Expression left, Expression right) {
    Expression out;
    out.kind = Expression::Kind::binary;
    out.word = std::move(op);
    out.parts.push_back(std::move(left));
    out.parts.push_back(std::move(right));
    return out;
  }
  static Expression one(Expression::Kind kind, Expression of) {
    Expression out;
    out.kind = kind;
    out.parts.push_back(std::move(of));
    return out;
  }
  static Expression constant(Value value) {
    Expression out;
    out.literal = std::move(value);
    return out;
  }

  Expression choice() {
    Expression left = both();
    while (accept("or")) left = two("or", std::move(left), both());
    return left;
  }
  Expression both() {
    Expression left = inverted();
    while (accept("and")) left = two("and", std::move(left), inverted());
    return left;
  }
  Expression inverted() {
    if (++depth_ > kDepthMax) throw Wrong{peek().at, "it is nested too deeply"};
    Expression out = accept("not") ? one(Expression::Kind::invert, inverted()) : comparison();
    --depth_;
    return out;
  }
  Expression comparison() {
    Expression left = sum();
    for (const std::string_view op : {"==", "!=", "<=", ">=", "<", ">", "in"})
      if (accept(op)) return two(std::string(op), std::move(left), sum());
    return left;
  }
  Expression sum() {
    Expression left = indexed();
    for (;;) {
      if (!is("|") && !is("&") && !is("-") && !is("+")) return left;
      std::string op = take().text;
      left = two(std::move(op), std::move(left), indexed());
      if (left.parts.size() != 2) throw Wrong{peek().at, "an operand is missing"};
    }
  }
  Expression indexed() {
    Expression left = primary();
    while (accept("[")) {
      Expression out = one(Expression::Kind::index, std::move(left));
      out.parts.push_back(choice());
      expect("]");
      left = std::move(out);
    }
    return left;
  }

  Expression primary() {
    if (++depth_ > kDepthMax) throw Wrong{peek().at, "it is nested too deeply"};
    Expression out = unguarded();
    --depth_;
    return out;
  }
  Expression unguarded() {
    const Token token = take();
    switch (token.kind) {
      case Token::Kind::number:
        return constant(Value::number(number(token)));
      case Token::Kind::duration: {
        const Result<Duration> length = plan::parse_duration(token.text);
        if (!length) throw Wrong{token.at, length.error().text};
        return constant(Value{*length});
      }
      case Token::Kind::text:
        if (is("/")) return partition(token);
        return constant(Value::text(token.text));
      case Token::Kind::word:
        return word(token);
      case Token::Kind::sign:
        if (token.text == "(") {
          Expression out = choice();
          expect(")");
          return out;
        }
        if (token.text == "{") return set();
        if (token.text == "-") return one(Expression::Kind::negate, primary());
        [[fallthrough]];
      case Token::Kind::end:
        throw Wrong{token.at, fmt::format("a value is expected, not '{}'", token.text)};
    }
    throw Wrong{token.at, "a value is expected"};
  }

  static std::int64_t number(const Token& token) {
    const auto value = plan::parse_int<std::int64_t>(token.text);
    if (!value) throw Wrong{token.at, token.text + " is too large"};
    return *value;
  }

  Expression partition(const Token& topic) {
    expect("/");
    const Token index = take();
    if (index.kind != Token::Kind::number) throw Wrong{index.at, "a partition's number is expected, as in t/0"};
    const auto value = plan::parse_int<PartitionId>(index.text);
    if (!value) throw Wrong{index.at, index.text + " is too large"};
    return constant(Value{TopicPartition{topic.text, *value}});
  }

  Expression set() {
    Expression out;
    out.kind = Expression::Kind::set;
    while (!is("}")) {
      out.parts.push_back(choice());
      if (!accept(",")) break;
    }
    expect("}");
    return out;
  }

  Expression word(const Token& token) {
    if (is("/")) return partition(token);
    if (is("(")) return call(token);
    if (token.text == "true" || token.text == "false") return constant(Value::truth(token.text == "true"));
    if (token.text == "clients") return constant(Value::number(kClients));
    if (is_node(token.text)) {
      const std::int64_t node = *plan::parse_int<std::int64_t>(std::string_view(token.text).substr(1));
      if (node < 1 || node > scope_.nodes)
        throw Wrong{token.at, fmt::format("there is no {}: the cluster has {} nodes", token.text, scope_.nodes)};
      return constant(Value::number(node));
    }
    if (bound_.contains(token.text) || scope_.names.contains(token.text)) {
      Expression out;
      out.kind = Expression::Kind::name;
      out.word = token.text;
      return out;
    }
    std::vector<std::string> known(scope_.names.begin(), scope_.names.end());
    const std::string near = plan::nearest(token.text, known);
    throw Wrong{token.at, fmt::format("nothing is named {} here{}", token.text,
                                      near.empty() ? "; texts stand in 'quotes'" : "; did you mean " + near + "?")};
  }

  Expression call(const Token& name) {
    expect("(");
    Expression out;
    out.kind = Expression::Kind::call;
    out.word = name.text;
    if (name.text == "all" || name.text == "any") return quantified(name);
    if (name.text == "count") return counted();
    std::size_t wanted = 1;
    const auto function = std::ranges::find(functions(), std::string_view(name.text), &Function::name);
    if (name.text != "only" && name.text != "size") {
      if (function == functions().end())
        throw Wrong{name.at, fmt::format("there is no function {}{}", name.text, plan::suggest(name.text, callable()))};
      wanted = function->parameters.size();
    }
    for (std::size_t i = 0; !is(")"); ++i) {
      const bool bare = function != functions().end() && i < wanted && function->parameters[i] == Parameter::word;
      out.parts.push_back(bare ? hold() : choice());
      if (!accept(",")) break;
    }
    expect(")");
    if (out.parts.size() != wanted)
      throw Wrong{name.at, fmt::format("{} takes {} argument{}, not {}", name.text, wanted, wanted == 1 ? "" : "s",
                                       out.parts.size())};
    return out;
  }

  Expression hold() {
    const Token token = take();
    if (!scope_.holds.contains(token.text))
      throw Wrong{token.at, fmt::format("no earlier step holds messages as {}", token.text)};
    return constant(Value::text(token.text));
  }

  Expression quantified(const Token& which) {
    Expression out;
    out.kind = which.text == "all" ? Expression::Kind::all : Expression::Kind::any;
    const Token name = take();
    if (name.kind != Token::Kind::word || !may_be_named(name.text))
      throw Wrong{name.at, fmt::format("'{}' cannot be a name", name.text)};
    out.word = name.text;
    expect("in");
    out.parts.push_back(choice());
    expect(":");
    const bool fresh = bound_.insert(name.text).second;
    out.parts.push_back(choice());
    if (fresh) bound_.erase(name.text);
    expect(")");
    return out;
  }

  Expression counted() {
    Expression out;
    out.kind = Expression::Kind::call;
    out.word = "count";
    const Token kind = take();
    if (kind.kind != Token::Kind::word && kind.kind != Token::Kind::text)
      throw Wrong{kind.at, "a kind of trace event is expected, as in count(partition.leader)"};
    out.literal = Value::text(kind.text);
    while (accept(",")) {
      const Token field = take();
      if (field.kind != Token::Kind::word) throw Wrong{field.at, "a field's name is expected, as in n=1"};
      expect("=");
      out.fields.push_back(field.text);
      out.parts.push_back(sum());
    }
    expect(")");
    return out;
  }

  std::vector<Token> tokens_;
  const Scope& scope_;
  std::set<std::string> bound_;  // by all() and any()
  std::size_t next_ = 0;
  int depth_ = 0;
};

}  // namespace

const std::vector<Function>& functions() {
  using enum Parameter;
  static const std::vector<Function> table{
      {"leader", {partition}},
      {"epoch", {partition}},
      {"partition_epoch", {partition}},
      {"isr", {partition}},
      {"elr", {partition}},
      {"replicas", {partition}},
      {"followers", {partition}},
      {"controller", {}},
      {"nodes", {}},
      {"serving", {node}},
      {"down", {node}},
      {"fenced", {node}},
      {"whole", {}},
      {"hw", {node, partition}},
      {"end", {node, partition}},
      {"flushed", {node, partition}},
      {"log_start", {node, partition}},
      {"follows", {node, partition}},
      {"leads", {node, partition}},
      {"epoch_of", {node, partition}},
      {"maximal_isr", {node, partition}},
      {"raft_term", {node}},
      {"raft_leader", {node}},
      {"raft_commit", {node}},
      {"raft_end", {node}},
      {"voters", {}},
      {"acked", {}},
      {"sent", {}},
      {"unacked", {}},
      {"ran", {}},
      {"held", {word}},
  };
  return table;
}

bool may_be_named(std::string_view word) {
  if (word.empty() || !starts_word(word[0]) || is_node(word)) return false;
  if (!std::ranges::all_of(word, [](char c) { return in_word(c) && c != '.'; })) return false;
  return !reserved().contains(word) && std::ranges::find(functions(), word, &Function::name) == functions().end();
}

Result<Expression> parse_expression(std::string_view text, const Scope& scope) {
  if (text.size() > kTextMax) return fail(Errc::invalid_argument, "the expression is too long");
  try {
    return Parser(text, scope).parse();
  } catch (const Wrong& wrong) {
    return fail(Errc::invalid_argument, fmt::format("at character {}: {}", wrong.at + 1, wrong.what));
  }
}

}  // namespace ordeal::scenario
