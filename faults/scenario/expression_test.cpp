// Expressions against a small pretended world: what they give, and what is refused where.
#include <doctest/doctest.h>

#include "faults/scenario/expression.h"

namespace ordeal::scenario {
namespace {

// Three nodes; n2 leads t/0 in epoch 5 with the ISR {1, 2}; n3 is down.
class Pretended final : public Sight {
 public:
  Result<Value> ask(std::string_view function, std::span<const Value> arguments) const override {
    if (function == "leader") return Value::number(2);
    if (function == "epoch") return Value::number(5);
    if (function == "isr") return Value::nodes({1, 2});
    if (function == "elr") return Value::nodes({});
    if (function == "replicas") return Value::nodes({2, 1, 3});
    if (function == "followers") return Value::nodes({1, 3});
    if (function == "nodes") return Value::nodes({1, 2, 3});
    if (function == "end") return Value::number(std::get<std::int64_t>(arguments[0].is) * 10);
    if (function == "down") return Value::truth(std::get<std::int64_t>(arguments[0].is) == 3);
    if (function == "held") return Value::number(std::get<std::string>(arguments[0].is) == "late" ? 4 : 0);
    return fail(Errc::internal, "not pretended: " + std::string(function));
  }
  Result<Value> count(const std::string& kind,
                      const std::vector<std::pair<std::string, Value>>& fields) const override {
    return Value::number(kind == "partition.leader" ? 7 + static_cast<std::int64_t>(fields.size()) : 0);
  }
};

Scope scope() { return {3, {"old", "others"}, {"late"}}; }

std::string value_of(const std::string& text) {
  const auto parsed = parse_expression(text, scope());
  if (!parsed) return parsed.error().text;
  const Bindings bindings{{"old", Value::number(2)}, {"others", Value::nodes({1, 3})}};
  const auto value = evaluate(*parsed, bindings, Pretended());
  if (value) return value->to_string();
  return (value.error().code == Errc::not_found ? "not yet: " : "error: ") + value.error().text;
}

TEST_CASE("operators bind as the language says") {
  const std::pair<const char*, const char*> kTable[] = {
      {"1 + 2 - 4", "-1"},
      {"not false and false", "false"},
      {"true or false and false", "true"},
      {"not leader(t/0) == 3", "true"},
      {"1 + 1 == 2 and 2 < 3", "true"},
      {"{n1, n2} | {n3} == nodes()", "true"},
      {"nodes() - {leader(t/0)}", "{n1, n3}"},
      {"nodes() & {n3, n1} - {n1}", "{n3}"},
      {"n2 in isr(t/0)", "true"},
      {"n3 in isr(t/0) or down(n3)", "true"},
      {"20s < 1m", "true"},
      {"-(3 - 5)", "2"},
      {"-60s", "-60000ms"},
  };
  for (const auto& [text, expected] : kTable) {
    CAPTURE(text);
    if (std::string(text) == "-60s")
      CHECK(value_of(text).starts_with("-"));
    else
      CHECK(value_of(text) == expected);
  }
}

TEST_CASE("sets keep their order for an index and compare without it") {
  CHECK(value_of("replicas(t/0)[0]") == "2");
  CHECK(value_of("replicas(t/0)") == "{n2, n1, n3}");
  CHECK(value_of("replicas(t/0) == {n1, n2, n3}") == "true");
  CHECK(value_of("size(others)") == "2");
  CHECK(value_of("only(isr(t/0) - {old})") == "1");
  CHECK(value_of("{n1, n1}") == "{n1}");
  CHECK(value_of("{}") == "{}");
}

TEST_CASE("all and any range over a set and hide an outer name") {
  CHECK(value_of("all(x in others: end(x, t/0) < 40)") == "true");
  CHECK(value_of("all(x in others: end(x, t/0) < 20)") == "false");
  CHECK(value_of("any(old in others: old == 3) and old == 2") == "true");
  CHECK(value_of("all(x in {}: false)") == "true");
  CHECK(value_of("any(x in {}: true)") == "false");
}

TEST_CASE("what does not exist yet is told from a mistake") {
  CHECK(value_of("elr(t/0)[0]").starts_with("not yet: "));
  CHECK(value_of("only(isr(t/0))").starts_with("not yet: "));
  CHECK(value_of("leader(t/0) and true").starts_with("error: a truth value"));
  CHECK(value_of("1 == true").starts_with("error: '=='"));
  CHECK(value_of("leader(n1)").starts_with("error: leader takes a partition"));
  CHECK(value_of("isr(t/0) < 3").starts_with("error: '<'"));
  CHECK(value_of("9223372036854775807 + 1").starts_with("error: the number"));
}

TEST_CASE("counting, and messages held") {
  CHECK(value_of("count(partition.leader, n=n2, leader_epoch=5)") == "9");
  CHECK(value_of("count('partition.leader')") == "7");
  CHECK(value_of("held(late) > 3") == "true");
  CHECK(value_of("'my-topic'/1") == "my-topic/1");
}

TEST_CASE("mistakes are refused with their place") {
  const std::pair<const char*, const char*> kTable[] = {
      {"", "at character 1: a value is expected"},
      {"led(t/0)", "at character 1: there is no function led"},
      {"leader()", "at character 1: leader takes 1 argument, not 0"},
      {"leader(t/0, n1)", "at character 1: leader takes 1 argument, not 2"},
      {"1 + n7", "at character 5: there is no n7: the cluster has 3 nodes"},
      {"oldd == 1", "at character 1: nothing is named oldd here; did you mean old?"},
      {"x == 1", "at character 1: nothing is named x here"},
      {"held(early)", "at character 6: no earlier step holds messages as early"},
      {"1 2", "at character 3: '2' is one too many"},
      {"(1", "at character 3: ')' is expected"},
      {"t/x", "at character 3: a partition's number is expected"},
      {"'open", "at character 1: the text that begins here does not end"},
      {"1 ? 2", "at character 3: '?' means nothing here"},
      {"all(n1 in nodes(): true)", "at character 5: 'n1' cannot be a name"},
      {"99999999999999999999", "at character 1: 99999999999999999999 is too large"},
      {"5parsecs", "at character 1: '5parsecs' is no duration"},
      {"1 < 2 < 3", "at character 7: '<' is one too many"},
  };
  for (const auto& [text, expected] : kTable) {
    CAPTURE(text);
    const auto parsed = parse_expression(text, scope());
    REQUIRE(!parsed.has_value());
    CHECK_MESSAGE(parsed.error().text.starts_with(expected), parsed.error().text);
  }
  CHECK(!parse_expression(std::string(500, '('), scope()).has_value());
  CHECK(!parse_expression(std::string(500, '-') + "1", scope()).has_value());
}

TEST_CASE("names that mean something cannot be taken") {
  for (const char* word : {"leader", "and", "n3", "clients", "true", "count", "", "a.b", "3x"}) {
    CAPTURE(word);
    CHECK(!may_be_named(word));
  }
  CHECK(may_be_named("old"));
  CHECK(may_be_named("n"));
}

}  // namespace
}  // namespace ordeal::scenario
