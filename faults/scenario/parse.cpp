// From text to a Scenario. Everything a file can get wrong without a world is refused here, with its place.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "broker/mutation/mutation.h"
#include "faults/plan/reader.h"
#include "faults/plan/text.h"
#include "faults/scenario/expression.h"
#include "faults/scenario/scenario.h"
#include "faults/scenario/verbs.h"

namespace ordeal::scenario {
namespace {

using plan::Fields;
using plan::Reader;
using YAML::Node;

constexpr std::size_t kTextMax = 1 << 20;
constexpr std::size_t kStepsMax = 2000;
constexpr int kDepthMax = 12;
constexpr int kNodesMax = 7;

class Parser {
 public:
  explicit Parser(std::string origin) : origin_(origin), reader_(std::move(origin)) {}

  Result<Scenario> parse(const Node& document);

 private:
  ClusterSpec cluster(const Node& node, const std::string& path);
  NetworkSpec network(const Node& node, const std::string& path);
  ConfigMap config(const Node& node, const std::string& path);
  Script steps(const Node& node, const std::string& path);
  Step step(const Node& node, const std::string& path);
  nlohmann::ordered_json argument(const Field& field, const Node& node, const std::string& path, Step& into);
  nlohmann::ordered_json names(const Node& node, const std::string& path);
  std::string expression(const Node& node, const std::string& path);
  std::string new_name(const Node& node, const std::string& path);
  std::string choice(const Field& field, const Node& node, const std::string& path);
  Duration positive(const Node& node, const std::string& path);
  void check(const Node& document, const Scenario& scenario);

  std::string origin_;
  Reader reader_;
  Scope scope_;
  std::size_t count_ = 0;
  int depth_ = 0;
};

ConfigMap Parser::config(const Node& node, const std::string& path) {
  ConfigMap out;
  Fields fields(reader_, node, path);
  if (!fields.ok()) return out;
  for (const auto& entry : node) {
    const std::string& key = entry.first.Scalar();
    out[key] = reader_.text(entry.second, fields.path(key));
  }
  return out;
}

Duration Parser::positive(const Node& node, const std::string& path) {
  const Duration value = reader_.duration(node, path);
  if (value < Duration::zero()) reader_.complain(node, path, "a length of time is not negative");
  return value;
}

NetworkSpec Parser::network(const Node& node, const std::string& path) {
  NetworkSpec out;
  Fields fields(reader_, node, path);
  if (const auto value = fields.get("latency")) {
    const std::string at = fields.path("latency");
    if (!value->IsSequence() || value->size() != 2) {
      reader_.complain(*value, at, "two durations are expected, as in [50us, 600us]");
    } else {
      out.latency_min = positive((*value)[0], at);
      out.latency_max = positive((*value)[1], at);
      if (out.latency_min > out.latency_max) reader_.complain(*value, at, "the first is to be the smaller");
    }
  }
  if (const auto value = fields.get("slow_in"))
    out.slow_in = reader_.integer(*value, fields.path("slow_in"), 0, 1'000'000'000);
  if (const auto value = fields.get("slow_max")) out.slow_max = positive(*value, fields.path("slow_max"));
  if (const auto value = fields.get("window")) out.window = reader_.integer(*value, fields.path("window"), 1, 1 << 30);
  if (const auto value = fields.get("split_in"))
    out.split_in = reader_.integer(*value, fields.path("split_in"), 0, 1'000'000'000);
  fields.finish();
  return out;
}

ClusterSpec Parser::cluster(const Node& node, const std::string& path) {
  ClusterSpec out;
  Fields fields(reader_, node, path);
  if (const auto value = fields.get("nodes"))
    out.nodes = static_cast<int>(reader_.integer(*value, fields.path("nodes"), 1, kNodesMax));
  if (const auto value = fields.get("set")) {
    out.set = config(*value, fields.path("set"));
    for (const auto& [key, text] : out.set) {
      if (find_broker_key(key) != nullptr) continue;
      std::vector<std::string> known;
      for (const ConfigKey& entry : broker_config_keys()) known.emplace_back(entry.name);
      const std::string near = plan::nearest(key, known);
      reader_.complain(*value, fields.path("set"),
                       "no broker has a setting " + key + (near.empty() ? "" : "; did you mean " + near + "?"));
    }
  }
  if (const auto value = fields.get("network")) out.network = network(*value, fields.path("network"));
  if (const auto value = fields.get("shuffle")) out.shuffle = reader_.boolean(*value, fields.path("shuffle"));
  if (const auto value = fields.get("buggify")) out.buggify = reader_.boolean(*value, fields.path("buggify"));
  fields.finish();
  return out;
}

std::string Parser::expression(const Node& node, const std::string& path) {
  if (!node.IsScalar()) {
    reader_.complain(node, path, "an expression is expected; one that begins with { or [ stands in quotes");
    return {};
  }
  const auto parsed = parse_expression(node.Scalar(), scope_);
  if (!parsed) reader_.complain(node, path, parsed.error().text);
  return node.Scalar();
}

std::string Parser::new_name(const Node& node, const std::string& path) {
  std::string name = reader_.text(node, path);
  if (!may_be_named(name)) reader_.complain(node, path, "'" + name + "' has a meaning already, or is no name");
  return name;
}

nlohmann::ordered_json Parser::names(const Node& node, const std::string& path) {
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  Fields fields(reader_, node, path);
  if (!fields.ok()) return out;
  for (const auto& entry : node) {
    const std::string name = new_name(entry.first, path);
    out[name] = expression(entry.second, fields.path(name));
    scope_.names.insert(name);
  }
  return out;
}

std::string Parser::choice(const Field& field, const Node& node, const std::string& path) {
  std::string given = reader_.text(node, path);
  if (std::ranges::find(field.choices, given) == field.choices.end())
    reader_.complain(node, path, fmt::format("'{}' is none of: {}", given, fmt::join(field.choices, ", ")));
  return given;
}

nlohmann::ordered_json Parser::argument(const Field& field, const Node& node, const std::string& path, Step& into) {
  switch (field.kind) {
    case Kind::expression:
    case Kind::condition:
      return expression(node, path);
    case Kind::names:
      return names(node, path);
    case Kind::duration:
      return plan::format_duration(positive(node, path));
    case Kind::integer:
      return reader_.integer(node, path, 0, INT64_MAX);
    case Kind::truth:
      return reader_.boolean(node, path);
    case Kind::text:
      return reader_.text(node, path);
    case Kind::choice:
      return choice(field, node, path);
    case Kind::config:
      return nlohmann::ordered_json(config(node, path));
    case Kind::new_name: {
      std::string name = new_name(node, path);
      scope_.names.insert(name);
      return name;
    }
    case Kind::new_hold: {
      std::string name = new_name(node, path);
      scope_.holds.insert(name);
      return name;
    }
    case Kind::hold: {
      std::string name = reader_.text(node, path);
      if (!scope_.holds.contains(name)) reader_.complain(node, path, "no earlier step holds messages as " + name);
      return name;
    }
    case Kind::steps:
      (field.key == "else" ? into.otherwise : into.steps) = steps(node, path);
      return nullptr;
    case Kind::mapping:
      break;
  }
  return nullptr;
}

Step Parser::step(const Node& node, const std::string& path) {
  Step out;
  Fields fields(reader_, node, path);
  if (!fields.ok()) return out;
  out.where = fmt::format("{}:{}:{}", origin_, node.Mark().line + 1, node.Mark().column + 1);
  const VerbSpec* spec = nullptr;
  std::vector<std::string> known;
  for (const VerbSpec& verb : verbs()) {
    known.emplace_back(verb.name);
    const bool beside =
        spec != nullptr && std::ranges::find(spec->beside, verb.name, &Field::key) != spec->beside.end();
    if (beside || (verb.name == "wait" && node["voters"].IsDefined()) || !node[std::string(verb.name)].IsDefined())
      continue;
    if (spec != nullptr) reader_.complain(node, path, fmt::format("{} and {} are two steps", spec->name, verb.name));
    spec = &verb;
  }
  if (spec == nullptr) {
    std::string given;
    for (const auto& entry : node) given = given.empty() ? entry.first.Scalar() : given;
    reader_.complain(node, path, "no verb is '" + given.substr(0, 64) + "'" + plan::suggest(given, known));
    return out;
  }
  out.verb = spec->name;
  out.arguments = nlohmann::ordered_json::object();
  const auto take = [&](Fields& from, const Field& field, nlohmann::ordered_json& to) {
    const auto value = from.get(std::string(field.key));
    if (!value && field.required) reader_.complain(node, path, fmt::format("{} needs {}", spec->name, field.key));
    if (!value) return;
    nlohmann::ordered_json read = argument(field, *value, from.path(field.key), out);
    if (field.kind != Kind::steps) to[std::string(field.key)] = std::move(read);
  };
  const std::string verb(spec->name);
  const Node value = *fields.get(verb);
  if (spec->kind == Kind::mapping) {
    nlohmann::ordered_json inner = nlohmann::ordered_json::object();
    Fields inside(reader_, value, fields.path(verb));
    for (const Field& field : spec->fields) take(inside, field, inner);
    inside.finish();
    out.arguments[verb] = std::move(inner);
  } else {
    out.arguments[verb] = argument({spec->name, spec->kind, true, spec->choices}, value, fields.path(verb), out);
  }
  for (const Field& field : spec->beside) take(fields, field, out.arguments);
  fields.finish();
  return out;
}

Script Parser::steps(const Node& node, const std::string& path) {
  Script out;
  if (!node.IsSequence()) {
    reader_.complain(node, path, "a list of steps is expected");
    return out;
  }
  if (++depth_ > kDepthMax) reader_.complain(node, path, "it is nested too deeply");
  for (std::size_t i = 0; i < node.size() && !reader_.error(); ++i) {
    if (++count_ > kStepsMax) reader_.complain(node[i], path, fmt::format("more than {} steps", kStepsMax));
    out.push_back(step(node[i], fmt::format("{}[{}]", path, i)));
  }
  --depth_;
  return out;
}

void Parser::check(const Node& document, const Scenario& scenario) {
  if (!scenario.bug.empty() && !mutation::find_bug(scenario.bug))
    reader_.complain(document["bug"], "bug", "no known bug is '" + scenario.bug.substr(0, 64) + "'");
  if (scenario.plan && !scenario.script.empty())
    reader_.complain(document["script"], "script", "there is a plan already: one of the two");
}

Result<Scenario> Parser::parse(const Node& document) {
  Scenario out;
  Fields fields(reader_, document, "");
  if (const auto value = fields.get("name")) out.name = reader_.text(*value, "name");
  if (const auto value = fields.get("title")) out.title = reader_.text(*value, "title");
  if (const auto value = fields.get("bug")) out.bug = reader_.text(*value, "bug");
  if (const auto value = fields.get("property")) out.property = reader_.text(*value, "property");
  if (const auto value = fields.get("seed")) out.seed = reader_.unsigned64(*value, "seed");
  if (const auto value = fields.get("cluster")) out.cluster = cluster(*value, "cluster");
  if (const auto value = fields.get("workload")) out.workload = reader_.passthrough(*value, "workload");
  if (const auto value = fields.get("time")) out.time = positive(*value, "time");
  if (const auto value = fields.get("plan")) {
    Result<plan::Plan> read = plan::parse_plan(*value, origin_);
    if (!read) return fail(read.error());
    out.plan = std::move(*read);
  }
  scope_.nodes = out.cluster.nodes;
  if (const auto value = fields.get("script")) out.script = steps(*value, "script");
  fields.finish();
  if (!reader_.error()) check(document, out);
  if (reader_.error()) return fail(*reader_.error());
  return out;
}

}  // namespace

Result<Scenario> parse_scenario(std::string_view text, const std::string& origin) {
  if (text.size() > kTextMax)
    return fail(Errc::invalid_argument, fmt::format("{}: larger than {} bytes, no scenario is", origin, kTextMax));
  try {
    const Node document = YAML::Load(std::string(text));
    if (!document.IsMap())
      return fail(Errc::invalid_argument, origin + ": a scenario is a mapping of keys such as script:");
    return Parser(origin).parse(document);
  } catch (const YAML::Exception& error) {  // the YAML library's own way to say that the text is no YAML
    return fail(Errc::invalid_argument,
                fmt::format("{}:{}:{}: {}", origin, error.mark.line + 1, error.mark.column + 1, error.msg));
  }
}

}  // namespace ordeal::scenario
