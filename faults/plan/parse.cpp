// The plan parser. Field names and their meaning: docs/formats/plan.md; every refusal names file, line, column, field.
#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>

#include "faults/plan/params.h"
#include "faults/plan/plan.h"
#include "faults/plan/reader.h"
#include "faults/plan/targets.h"
#include "faults/plan/text.h"

namespace ordeal::plan {

namespace {

constexpr std::size_t kTextMax = 1 << 20;
constexpr std::size_t kStepsMax = 10'000;
constexpr std::int64_t kCountMax = 1'000'000'000'000;

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

class Parser {
 public:
  explicit Parser(const std::string& origin) : reader_(origin) {}

  Result<Plan> parse(const YAML::Node& document);

 private:
  using Node = YAML::Node;
  Step step(const Node& node, const std::string& path, std::size_t index);
  Choice choice(const Node& node, const std::string& path);
  Choice manoeuvre(const Node& steps, const std::string& path);
  Move move(const Node& node, const std::string& path);
  void check_move(const Node& at, const std::string& path, const std::vector<Move>& earlier, const Move& move);
  RandomSection random(const Node& node, const std::string& path);
  Final final_section(const Node& node, const std::string& path);
  Trigger trigger(const Node& node, const std::string& path, Distribution* delay = nullptr);
  Until until(const Node& node, const std::string& path);
  std::vector<FieldTest> field_tests(const Node& node, const std::string& path);
  Targets targets(const Node& node, const std::string& path);
  std::string expression(const Node& node, const std::string& path);
  Params params(const Node& node, const std::string& path, Verb verb, std::optional<Duration>* hold);
  void listeners_of(Fields& fields, Verb verb, Params& into);
  Verb verb(const Node& node, const std::string& path);
  Distribution distribution(const Node& node, const std::string& path);
  Resolution resolution(const Node& node, const std::string& path);
  void check_references(const Node& steps, const Plan& plan);
  void check_loss(const Node& document, const Plan& plan);

  template <class Enum>
  Enum one_of(const Node& node, const std::string& path, const std::vector<std::pair<std::string, Enum>>& table);

  Reader reader_;
};

template <class Enum>
Enum Parser::one_of(const Node& node, const std::string& path, const std::vector<std::pair<std::string, Enum>>& table) {
  const std::string name = reader_.text(node, path);
  std::vector<std::string> names;
  for (const auto& [known, value] : table) {
    if (known == name) return value;
    names.push_back(known);
  }
  reader_.complain(node, path, "'" + name.substr(0, 64) + "' is unknown" + suggest(name, names));
  return table.front().second;
}

const std::vector<std::pair<std::string, Shape>>& shapes() {
  static const std::vector<std::pair<std::string, Shape>> table = [] {
    std::vector<std::pair<std::string, Shape>> list;
    for (const Shape shape : {Shape::isolate, Shape::halves, Shape::link, Shape::bridge, Shape::ring,
                              Shape::brokers_not_clients, Shape::client_broker}) {
      list.emplace_back(shape_name(shape), shape);
    }
    return list;
  }();
  return table;
}

const std::vector<std::pair<std::string, ListenerClass>>& listener_classes() {
  static const std::vector<std::pair<std::string, ListenerClass>> table = {{"client", ListenerClass::client},
                                                                           {"replication", ListenerClass::replication},
                                                                           {"control", ListenerClass::control}};
  return table;
}

Verb Parser::verb(const Node& node, const std::string& path) {
  std::vector<std::pair<std::string, Verb>> table;
  for (const Verb known : all_verbs()) table.emplace_back(verb_name(known), known);
  return one_of(node, path, table);
}

Distribution Parser::distribution(const Node& node, const std::string& path) {
  Distribution result;
  if (node.IsScalar()) {
    result.low = reader_.duration(node, path);
    return result;
  }
  Fields fields(reader_, node, path);
  const auto uniform = fields.get("uniform");
  const auto exponential = fields.get("exp");
  fields.finish();
  if (uniform.has_value() == exponential.has_value()) {
    reader_.complain(node, path, "give a duration, {uniform: [low, high]} or {exp: mean}");
  } else if (exponential) {
    result.kind = Distribution::Kind::exponential;
    result.low = reader_.duration(*exponential, fields.path("exp"));
  } else if (!uniform->IsSequence() || uniform->size() != 2) {
    reader_.complain(*uniform, fields.path("uniform"), "two durations are expected: [low, high]");
  } else {
    result.kind = Distribution::Kind::uniform;
    result.low = reader_.duration((*uniform)[0], fields.path("uniform[0]"));
    result.high = reader_.duration((*uniform)[1], fields.path("uniform[1]"));
    if (result.high < result.low) reader_.complain(*uniform, fields.path("uniform"), "low is above high");
  }
  return result;
}

std::string Parser::expression(const Node& node, const std::string& path) {
  std::string text = reader_.text(node, path);
  if (!reader_.error()) {
    if (const Status ok = check_expression(text); !ok) reader_.complain(node, path, ok.error().text);
  }
  return text;
}

Targets Parser::targets(const Node& node, const std::string& path) {
  Targets on;
  if (node.IsScalar()) {
    on.nodes = expression(node, path);
    return on;
  }
  Fields fields(reader_, node, path);
  if (const auto value = fields.get("nodes")) on.nodes = expression(*value, fields.path("nodes"));
  if (const auto value = fields.get("from")) on.from = expression(*value, fields.path("from"));
  if (const auto value = fields.get("to")) on.to = expression(*value, fields.path("to"));
  fields.finish();
  return on;
}

void Parser::listeners_of(Fields& fields, Verb verb, Params& into) {
  const bool all_ports = verb == Verb::net_delay || verb == Verb::net_clog || verb == Verb::net_message;
  const auto value = all_ports ? std::nullopt : fields.get("listeners");
  if (!value) return;
  const std::string path = fields.path("listeners");
  if (!value->IsSequence() || value->size() > 3) {
    reader_.complain(*value, path, "a list such as [replication, control] is expected");
    return;
  }
  for (const auto& entry : *value) {
    const ListenerClass listener = one_of(entry, path, listener_classes());
    if (std::find(into.listeners.begin(), into.listeners.end(), listener) == into.listeners.end())
      into.listeners.push_back(listener);
  }
}

Params Parser::params(const Node& node, const std::string& path, Verb verb, std::optional<Duration>* hold) {
  Params result;
  Fields fields(reader_, node, path);
  const auto at = [&](std::string_view key) { return fields.path(key); };
  if (is_network(verb)) {
    if (verb == Verb::net_partition) {
      if (const auto value = fields.get("shape")) result.shape = one_of(*value, at("shape"), shapes());
      if (const auto value = fields.get("clients")) {
        result.clients = one_of<Clients>(*value, at("clients"), {{"keep", Clients::keep}, {"cut", Clients::cut}});
      }
    } else if (const auto value = fields.get("direction")) {
      result.direction = one_of<Direction>(*value, at("direction"), {{"out", Direction::out}, {"in", Direction::in}});
    }
    listeners_of(fields, verb, result);
    if (const auto value = fields.get("purge")) result.purge = reader_.boolean(*value, at("purge"));
  } else if (is_link_fault(verb) || verb == Verb::net_refuse) {
    listeners_of(fields, verb, result);
  } else if (verb != Verb::clock_jump && verb != Verb::clock_drift && !is_request(verb) &&
             verb != Verb::clients_pause) {
    if (const auto value = fields.get("timeout")) result.timeout = reader_.duration(*value, at("timeout"));
    if (verb != Verb::proc_pause && verb != Verb::proc_restart) {
      if (const auto value = fields.get("restart")) result.restart = reader_.boolean(*value, at("restart"));
    }
    if (hold != nullptr && verb != Verb::proc_pause) {
      if (const auto value = fields.get("restart_after")) {
        if (hold->has_value()) reader_.complain(*value, at("restart_after"), "it means the same as hold; give one");
        *hold = reader_.duration(*value, at("restart_after"));
      }
    }
  }
  read_fault_params(fields, reader_, verb, result);
  fields.finish();
  return result;
}

std::vector<FieldTest> Parser::field_tests(const Node& node, const std::string& path) {
  std::vector<FieldTest> tests;
  if (!node.IsMap()) {
    reader_.complain(node, path, "a mapping of fields to values is expected");
    return tests;
  }
  static constexpr std::pair<std::string_view, FieldTest::Op> kOps[] = {
      {"!=", FieldTest::Op::ne}, {"<=", FieldTest::Op::le}, {">=", FieldTest::Op::ge},
      {"<", FieldTest::Op::lt},  {">", FieldTest::Op::gt},  {"=", FieldTest::Op::eq}};
  for (const auto& entry : node) {
    FieldTest test;
    test.field = reader_.text(entry.first, path);
    test.value = reader_.text(entry.second, path + "." + test.field.substr(0, 64));
    for (const auto& [text, op] : kOps) {
      if (test.value.starts_with(text)) {
        test.op = op;
        test.value.erase(0, text.size());
        break;
      }
    }
    if (test.op != FieldTest::Op::eq && test.op != FieldTest::Op::ne && !parse_int<std::int64_t>(test.value)) {
      reader_.complain(entry.second, path, "'" + test.value.substr(0, 64) + "' is no whole number to compare with");
    }
    tests.push_back(std::move(test));
  }
  return tests;
}

// With `delay` the delay may be drawn.
Trigger Parser::trigger(const Node& node, const std::string& path, Distribution* delay) {
  Trigger result;
  if (node.IsScalar()) {
    result.time = reader_.duration(node, path);
    return result;
  }
  Fields fields(reader_, node, path);
  int kinds = 0;
  if (const auto value = fields.get("time")) {
    ++kinds;
    result.time = reader_.duration(*value, fields.path("time"));
  }
  if (const auto value = fields.get("operations")) {
    ++kinds;
    result.kind = Trigger::Kind::operations;
    result.operations = reader_.integer(*value, fields.path("operations"), 0, kCountMax);
  }
  if (const auto value = fields.get("event")) {
    ++kinds;
    result.kind = Trigger::Kind::event;
    result.event.kind = reader_.text(*value, fields.path("event"));
    if (!is_name(result.event.kind))
      reader_.complain(*value, fields.path("event"), "an event kind such as partition.isr is expected");
    if (const auto where = fields.get("where")) result.event.where = field_tests(*where, fields.path("where"));
    if (const auto nth = fields.get("nth")) {
      result.event.nth = static_cast<int>(reader_.integer(*nth, fields.path("nth"), 1, 1'000'000));
    }
    if (const auto since = fields.get("since")) result.since = reader_.text(*since, fields.path("since"));
  }
  if (const auto value = fields.get("after")) {
    ++kinds;
    result.kind = Trigger::Kind::after;
    result.step = reader_.text(*value, fields.path("after"));
    if (const auto phase = fields.get("phase")) {
      result.phase = one_of<Phase>(*phase, fields.path("phase"), {{"begin", Phase::begin}, {"heal", Phase::heal}});
    }
  }
  if (const auto value = fields.get("delay")) {
    if (delay != nullptr)
      *delay = distribution(*value, fields.path("delay"));
    else
      result.delay = reader_.duration(*value, fields.path("delay"));
  }
  fields.finish();
  if (kinds != 1) reader_.complain(node, path, "give exactly one of time, operations, event and after");
  if (result.kind == Trigger::Kind::time && result.delay != Duration::zero()) {
    reader_.complain(node, path, "a delay after a time is a time: add them up");
  }
  return result;
}

Until Parser::until(const Node& node, const std::string& path) {
  Until result;
  Fields fields(reader_, node, path);
  if (const auto value = fields.get("event")) {
    result.event.kind = reader_.text(*value, fields.path("event"));
    if (!is_name(result.event.kind))
      reader_.complain(*value, fields.path("event"), "an event kind such as partition.isr is expected");
  } else {
    reader_.complain(node, path, "the event is missing");
  }
  if (const auto where = fields.get("where")) result.event.where = field_tests(*where, fields.path("where"));
  if (const auto nth = fields.get("nth")) {
    result.event.nth = static_cast<int>(reader_.integer(*nth, fields.path("nth"), 1, 1'000'000));
  }
  if (const auto value = fields.get("timeout")) result.timeout = reader_.duration(*value, fields.path("timeout"));
  fields.finish();
  return result;
}

Resolution Parser::resolution(const Node& node, const std::string& path) {
  Resolution result;
  Fields fields(reader_, node, path);
  if (const auto value = fields.get("targets"); value && value->IsSequence()) {
    for (const auto& entry : *value) result.targets.push_back(reader_.text(entry, fields.path("targets")));
  }
  if (const auto value = fields.get("cuts"); value && value->IsSequence()) {
    for (const auto& entry : *value) {
      if (!entry.IsSequence() || entry.size() != 2) {
        reader_.complain(entry, fields.path("cuts"), "a cut is [from, to]");
        break;
      }
      result.cuts.push_back({reader_.text(entry[0], fields.path("cuts")), reader_.text(entry[1], fields.path("cuts"))});
    }
  }
  for (const auto& [key, into] : {std::pair{"from", &result.from}, {"to", &result.to}}) {
    if (const auto value = fields.get(key); value && value->IsSequence()) {
      for (const auto& entry : *value) into->push_back(reader_.text(entry, fields.path(key)));
    }
  }
  if (const auto value = fields.get("partition")) {
    const std::string text = reader_.text(*value, fields.path("partition"));
    const std::size_t slash = text.rfind('/');
    const auto number =
        slash == std::string::npos ? std::nullopt : parse_int<PartitionId>(std::string_view(text).substr(slash + 1));
    if (!number || *number < 0 || slash == 0)
      reader_.complain(*value, fields.path("partition"), "topic/partition is expected, such as t/0");
    else
      result.partition = TopicPartition{text.substr(0, slash), *number};
  }
  if (const auto value = fields.get("role")) result.role = reader_.text(*value, fields.path("role"));
  if (const auto value = fields.get("holder")) result.holder = reader_.text(*value, fields.path("holder"));
  if (const auto value = fields.get("epoch"))
    result.epoch = reader_.integer(*value, fields.path("epoch"), -1, kCountMax);
  fields.finish();
  return result;
}

Step Parser::step(const Node& node, const std::string& path, std::size_t index) {
  Step result;
  result.id = fmt::format("s{}", index + 1);
  Fields fields(reader_, node, path);
  const auto at = [&](std::string_view key) { return fields.path(key); };
  if (const auto value = fields.get("id")) {
    result.id = reader_.text(*value, at("id"));
    if (!is_name(result.id)) reader_.complain(*value, at("id"), "lower-case letters, digits, '-', '_' and '.' only");
  }
  if (const auto value = fields.get("do")) {
    result.verb = verb(*value, at("do"));
  } else if (fields.ok()) {
    reader_.complain(node, path, "the verb is missing: do: proc.kill");
  }
  if (const auto value = fields.get("when")) result.when = trigger(*value, at("when"));
  if (const auto value = fields.get("on")) result.on = targets(*value, at("on"));
  if (const auto value = fields.get("hold")) result.hold = reader_.duration(*value, at("hold"));
  if (const auto value = fields.get("until")) {
    if (result.hold) reader_.complain(*value, at("until"), "give hold or until, not both");
    result.until = until(*value, at("until"));
  }
  if (const auto value = fields.get("params")) result.params = params(*value, at("params"), result.verb, &result.hold);
  if (const auto value = fields.get("required")) result.required = reader_.boolean(*value, at("required"));
  if (const auto value = fields.get("of")) result.of = reader_.text(*value, at("of"));
  if (const auto value = fields.get("seed")) result.seed = reader_.unsigned64(*value, at("seed"));
  if (const auto value = fields.get("resolved")) result.resolved = resolution(*value, at("resolved"));
  fields.finish();
  if (result.verb == Verb::proc_restart && !result.hold && !result.until) result.hold = Duration::zero();
  if (fields.ok()) check_targets(reader_, node, path, result.verb, result.params, result.on);
  return result;
}

Choice Parser::choice(const Node& node, const std::string& path) {
  Choice result;
  Fields fields(reader_, node, path);
  if (const auto steps = fields.get("steps")) {
    result = manoeuvre(*steps, fields.path("steps"));
    if (const auto value = fields.get("name")) result.name = reader_.text(*value, fields.path("name"));
    if (const auto value = fields.get("weight"))
      result.weight = reader_.integer(*value, fields.path("weight"), 1, 1'000'000);
    fields.finish();
    return result;
  }
  if (const auto value = fields.get("do")) {
    result.verb = verb(*value, fields.path("do"));
  } else if (fields.ok()) {
    reader_.complain(node, path, "the verb is missing: do: proc.kill");
  }
  if (const auto value = fields.get("on")) result.on = targets(*value, fields.path("on"));
  if (const auto value = fields.get("hold")) result.hold = distribution(*value, fields.path("hold"));
  if (const auto value = fields.get("params"))
    result.params = params(*value, fields.path("params"), result.verb, nullptr);
  if (const auto value = fields.get("weight")) {
    result.weight = reader_.integer(*value, fields.path("weight"), 1, 1'000'000);
  }
  fields.finish();
  if (fields.ok()) check_targets(reader_, node, path, result.verb, result.params, result.on);
  return result;
}

Move Parser::move(const Node& node, const std::string& path) {
  Move result;
  Step& step = result.step;
  Fields fields(reader_, node, path);
  const auto at = [&](std::string_view key) { return fields.path(key); };
  if (const auto value = fields.get("id")) {
    step.id = reader_.text(*value, at("id"));
    if (!is_name(step.id)) reader_.complain(*value, at("id"), "lower-case letters, digits, '-', '_' and '.' only");
  } else if (fields.ok()) {
    reader_.complain(node, path, "a step of a manoeuvre needs an id");
  }
  if (const auto value = fields.get("do")) {
    step.verb = verb(*value, at("do"));
  } else if (fields.ok()) {
    reader_.complain(node, path, "the verb is missing: do: proc.kill");
  }
  if (const auto value = fields.get("when")) {
    step.when = trigger(*value, at("when"), &result.delay);
    if (step.when.kind != Trigger::Kind::after && step.when.since.empty())
      reader_.complain(*value, at("when"),
                       "a step of a manoeuvre waits for another: {after: ID}, or {event: KIND, since: ID}");
  }
  if (const auto value = fields.get("on")) step.on = targets(*value, at("on"));
  if (const auto value = fields.get("hold")) result.hold = distribution(*value, at("hold"));
  if (const auto value = fields.get("until")) {
    if (result.hold) reader_.complain(*value, at("until"), "give hold or until, not both");
    step.until = until(*value, at("until"));
  }
  if (const auto value = fields.get("params")) step.params = params(*value, at("params"), step.verb, nullptr);
  fields.finish();
  if (fields.ok()) check_targets(reader_, node, path, step.verb, step.params, step.on);
  return result;
}

// The first step begins when the manoeuvre does; each other one names a step above it, so none waits for itself.
void Parser::check_move(const Node& at, const std::string& path, const std::vector<Move>& earlier, const Move& move) {
  std::vector<std::string> ids;
  for (const Move& known : earlier) ids.push_back(known.step.id);
  const auto known = [&](const std::string& id) { return std::ranges::find(ids, id) != ids.end(); };
  if (known(move.step.id)) reader_.complain(at, path + ".id", "'" + move.step.id + "' is used twice");
  const bool waits = move.step.when.kind != Trigger::Kind::time;
  if (earlier.empty() && waits)
    reader_.complain(at, path + ".when", "the first step begins when the manoeuvre does: no when");
  if (!earlier.empty() && !waits) reader_.complain(at, path, "say which step above it waits for: when: {after: ID}");
  for (const std::string& id : steps_needed(move.step)) {
    if (id == move.step.id) {
      reader_.complain(at, path, "'" + id + "' waits for itself and would never begin");
    } else if (!known(id)) {
      reader_.complain(at, path, "there is no step '" + id.substr(0, 64) + "' above it" + suggest(id, ids));
    }
  }
}

Choice Parser::manoeuvre(const Node& steps, const std::string& path) {
  constexpr std::size_t kMovesMax = 50;
  Choice result;
  if (!steps.IsSequence() || steps.size() == 0 || steps.size() > kMovesMax) {
    reader_.complain(steps, path, fmt::format("a list of at most {} steps is expected", kMovesMax));
    return result;
  }
  for (std::size_t i = 0; i < steps.size() && !reader_.error(); ++i) {
    const std::string own = fmt::format("{}[{}]", path, i);
    Move next = move(steps[i], own);
    if (!reader_.error()) check_move(steps[i], own, result.moves, next);
    result.moves.push_back(std::move(next));
  }
  return result;
}

RandomSection Parser::random(const Node& node, const std::string& path) {
  RandomSection result;
  Fields fields(reader_, node, path);
  if (const auto value = fields.get("every")) result.every = distribution(*value, fields.path("every"));
  if (const auto value = fields.get("hold")) result.hold = distribution(*value, fields.path("hold"));
  if (const auto value = fields.get("overlap"))
    result.overlap = reader_.integer(*value, fields.path("overlap"), 1, 100);
  if (const auto value = fields.get("start")) result.start = reader_.duration(*value, fields.path("start"));
  if (const auto value = fields.get("stop")) result.stop = reader_.duration(*value, fields.path("stop"));
  if (const auto value = fields.get("swarm")) result.swarm = reader_.boolean(*value, fields.path("swarm"));
  const auto choose = fields.get("choose");
  if (choose && choose->IsSequence() && choose->size() > 0 && choose->size() <= 100) {
    for (std::size_t i = 0; i < choose->size(); ++i) {
      result.choose.push_back(choice((*choose)[i], fmt::format("{}[{}]", fields.path("choose"), i)));
    }
  } else if (fields.ok()) {
    reader_.complain(choose ? *choose : node, fields.path("choose"),
                     "a list of at most 100 faults to draw from is expected");
  }
  fields.finish();
  if (result.every.low < 1ms) reader_.complain(node, fields.path("every"), "at least 1ms must lie between two faults");
  return result;
}

Final Parser::final_section(const Node& node, const std::string& path) {
  Final result;
  Fields fields(reader_, node, path);
  if (const auto value = fields.get("heal")) result.heal = reader_.boolean(*value, fields.path("heal"));
  if (const auto value = fields.get("quiesce")) result.quiesce = reader_.duration(*value, fields.path("quiesce"));
  if (const auto value = fields.get("converge")) result.converge = reader_.duration(*value, fields.path("converge"));
  fields.finish();
  return result;
}

// Ids are unique, a step names existing ones, and none waits for itself through others.
void Parser::check_references(const Node& steps, const Plan& plan) {
  std::map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    if (!index.emplace(plan.steps[i].id, i).second) {
      reader_.complain(steps[i], fmt::format("steps[{}].id", i), "'" + plan.steps[i].id + "' is used twice");
    }
  }
  std::vector<std::string> ids;
  for (const auto& entry : index) ids.push_back(entry.first);
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    for (const std::string& wanted : steps_needed(plan.steps[i])) {
      if (index.contains(wanted)) continue;
      const bool named = wanted != plan.steps[i].when.step && wanted != plan.steps[i].when.since;
      reader_.complain(steps[i], fmt::format("steps[{}].{}", i, named ? "on" : "when.after"),
                       "there is no step '" + wanted.substr(0, 64) + "'" + suggest(wanted, ids));
      return;
    }
  }
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const auto before = [&](std::size_t at) {
      const Trigger& when = plan.steps[at].when;
      return when.kind == Trigger::Kind::after ? when.step : when.since;
    };
    std::size_t hops = 0;
    for (std::size_t at = i; !before(at).empty(); at = index.at(before(at))) {
      if (++hops <= plan.steps.size()) continue;
      reader_.complain(steps[i], fmt::format("steps[{}].when.after", i), "it waits for itself and would never begin");
      return;
    }
  }
}

// What damages nodes beyond their promises is only done where the plan says so.
void Parser::check_loss(const Node& document, const Plan& plan) {
  if (plan.loss != Loss::none) return;
  for (const Verb verb : verbs_of(plan)) {
    if (is_damage(verb))
      reader_.complain(document, "loss", fmt::format("{} needs loss: minority, or loss: any", verb_name(verb)));
  }
}

Result<Plan> Parser::parse(const Node& document) {
  Plan plan;
  Fields fields(reader_, document, "");
  if (const auto value = fields.get("name")) plan.name = reader_.text(*value, "name");
  if (const auto value = fields.get("description")) plan.description = reader_.text(*value, "description");
  if (const auto value = fields.get("seed")) plan.seed = reader_.unsigned64(*value, "seed");
  if (const auto value = fields.get("time")) plan.time = reader_.duration(*value, "time");
  if (const auto value = fields.get("promises")) plan.promises = reader_.text(*value, "promises");
  if (const auto value = fields.get("workload")) plan.workload = reader_.passthrough(*value, "workload");
  if (const auto value = fields.get("cluster")) plan.cluster = reader_.passthrough(*value, "cluster");
  if (const auto value = fields.get("loss"))
    plan.loss = one_of<Loss>(*value, "loss", {{"none", Loss::none}, {"minority", Loss::minority}, {"any", Loss::any}});
  if (const auto value = fields.get("min_faults"))
    plan.min_faults = reader_.integer(*value, "min_faults", 0, 1'000'000);
  if (const auto value = fields.get("random")) plan.random = random(*value, "random");
  if (const auto value = fields.get("final")) plan.final = final_section(*value, "final");
  if (const auto steps = fields.get("steps")) {
    if (!steps->IsSequence() || steps->size() > kStepsMax) {
      reader_.complain(*steps, "steps", fmt::format("a list of at most {} steps is expected", kStepsMax));
    } else {
      for (std::size_t i = 0; i < steps->size() && !reader_.error(); ++i) {
        plan.steps.push_back(step((*steps)[i], fmt::format("steps[{}]", i), i));
      }
      if (!reader_.error()) check_references(*steps, plan);
    }
  }
  fields.finish();
  check_loss(document, plan);
  if (reader_.error()) return fail(*reader_.error());
  return plan;
}

}  // namespace

Result<Plan> parse_plan(const YAML::Node& document, const std::string& origin) {
  if (!document.IsMap()) return fail(Errc::invalid_argument, origin + ": a plan is a mapping of keys such as steps:");
  return Parser(origin).parse(document);
}

Result<Plan> parse_plan(std::string_view text, const std::string& origin) {
  if (text.size() > kTextMax) {
    return fail(Errc::invalid_argument, fmt::format("{}: larger than {} bytes, no plan is", origin, kTextMax));
  }
  try {
    return parse_plan(YAML::Load(std::string(text)), origin);
  } catch (const YAML::Exception& error) {  // the YAML library's own way to say that the text is no YAML
    return fail(Errc::invalid_argument,
                fmt::format("{}:{}:{}: {}", origin, error.mark.line + 1, error.mark.column + 1, error.msg));
  }
}

}  // namespace ordeal::plan
