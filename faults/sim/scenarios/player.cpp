// The flow of a script, and its expressions.
#include "faults/sim/scenarios/player.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/base/check.h"

namespace ordeal::sim {

using scenario::Step;
using scenario::Value;

namespace {

constexpr Duration kWithin = 20s;  // a wait's patience when it names none

// Every name and hold that the steps introduce.
void collect(const scenario::Script& script, scenario::Scope& into) {
  for (const Step& step : script) {
    if (step.verb == "let")
      for (const auto& [name, text] : step.arguments["let"].items()) into.names.insert(name);
    if (step.verb == "each") into.names.insert(step.arguments["each"]["as"].get<std::string>());
    if (step.verb == "hold") into.holds.insert(step.arguments["hold"]["as"].get<std::string>());
    collect(step.steps, into);
    collect(step.otherwise, into);
  }
}

Duration duration_of(const nlohmann::ordered_json& text) {
  const Result<Duration> parsed = plan::parse_duration(text.get<std::string>());
  ORDEAL_CHECK(parsed.has_value(), "the parser let {} through", text.dump());
  return *parsed;
}

}  // namespace

Player::Player(Trial& trial, const scenario::Scenario& scenario)
    : trial_(trial), bug_(scenario.bug.empty() ? std::nullopt : mutation::find_bug(scenario.bug)), sight_(trial, bug_) {
  scope_.nodes = trial.cluster().options().nodes;
  collect(scenario.script, scope_);
}

const std::map<std::string, Player::Verb>& Player::table() {
  static const std::map<std::string, Verb> verbs{{"run", &Player::run},
                                                 {"let", &Player::let},
                                                 {"wait", &Player::wait},
                                                 {"expect", &Player::expect},
                                                 {"repeat", &Player::repeat},
                                                 {"each", &Player::each},
                                                 {"if", &Player::choose},
                                                 {"kill", &Player::at_nodes},
                                                 {"start", &Player::at_nodes},
                                                 {"stop", &Player::at_nodes},
                                                 {"power_cut", &Player::at_nodes},
                                                 {"pause", &Player::at_nodes},
                                                 {"resume", &Player::at_nodes},
                                                 {"crash", &Player::crash},
                                                 {"disk", &Player::disk},
                                                 {"disk_heal", &Player::disk_heal},
                                                 {"clock", &Player::clock},
                                                 {"cut", &Player::link},
                                                 {"heal", &Player::link},
                                                 {"isolate", &Player::around},
                                                 {"rejoin", &Player::around},
                                                 {"reset", &Player::reset},
                                                 {"heal_all", &Player::heal_all},
                                                 {"delay", &Player::message},
                                                 {"drop", &Player::message},
                                                 {"duplicate", &Player::message},
                                                 {"hold", &Player::message},
                                                 {"release", &Player::release},
                                                 {"clients", &Player::clients},
                                                 {"send", &Player::send},
                                                 {"make_leader", &Player::make_leader},
                                                 {"elect", &Player::elect},
                                                 {"alter", &Player::alter},
                                                 {"create", &Player::create},
                                                 {"delete", &Player::remove},
                                                 {"voters", &Player::voters}};
  return verbs;
}

Status Player::play(const scenario::Script& script) {
  for (const Step& step : script) ORDEAL_TRY(perform(step));
  return {};
}

Status Player::perform(const Step& step) {
  const auto verb = table().find(step.verb);
  ORDEAL_CHECK(verb != table().end(), "{} is in the parser's table of verbs and not in the player's", step.verb);
  const Status done = (this->*verb->second)(step, step.arguments[step.verb]);
  if (done || step.verb == "repeat" || step.verb == "each" || step.verb == "if") return done;  // told inside already
  return fail(done.error().at(fmt::format("{}: {}", step.where, step.verb)));
}

// ---- expressions

const scenario::Expression& Player::parsed(const std::string& text) {
  const auto known = parsed_.find(text);
  if (known != parsed_.end()) return known->second;
  Result<scenario::Expression> fresh = scenario::parse_expression(text, scope_);
  ORDEAL_CHECK(fresh.has_value(), "the parser let {} through: {}", text, fresh.error().text);
  return parsed_.emplace(text, std::move(*fresh)).first->second;
}

Result<Value> Player::value(const Json& text) {
  return scenario::evaluate(parsed(text.get<std::string>()), bindings_, sight_);
}

Result<bool> Player::truth(const std::string& text) {
  const Result<Value> found = scenario::evaluate(parsed(text), bindings_, sight_);
  if (!found) return fail(found.error());
  if (const bool* is = std::get_if<bool>(&found->is)) return *is;
  return fail(Errc::invalid_argument, fmt::format("{} is neither true nor false but {}", text, found->to_string()));
}

Result<std::int64_t> Player::number(const Json& text) {
  const Result<Value> found = value(text);
  if (!found) return fail(found.error());
  if (const auto* is = std::get_if<std::int64_t>(&found->is)) return *is;
  return fail(Errc::invalid_argument, fmt::format("a number is expected, not {}", found->to_string()));
}

Result<std::vector<NodeId>> Player::nodes(const Json& text) {
  const Result<Value> found = value(text);
  if (!found) return fail(found.error());
  scenario::Nodes members;
  if (const auto* one = std::get_if<std::int64_t>(&found->is))
    members = {*one};
  else if (const auto* several = std::get_if<scenario::Nodes>(&found->is))
    members = *several;
  else
    return fail(Errc::invalid_argument, fmt::format("nodes are expected, not {}", found->to_string()));
  std::vector<NodeId> out;
  for (const std::int64_t member : members) {
    if (member < 1 || member > scope_.nodes)
      return fail(Errc::invalid_argument, fmt::format("{} is {}: no node", text.get<std::string>(), member));
    out.push_back(static_cast<NodeId>(member));
  }
  return out;
}

Result<NodeId> Player::node(const Json& text) {
  const Result<std::vector<NodeId>> all = nodes(text);
  if (!all) return fail(all.error());
  if (all->size() != 1)
    return fail(Errc::invalid_argument, fmt::format("{}: one node is expected", text.get<std::string>()));
  return all->front();
}

Result<TopicPartition> Player::partition(const Json& text) {
  const Result<Value> found = value(text);
  if (!found) return fail(found.error());
  if (const auto* at = std::get_if<TopicPartition>(&found->is)) return *at;
  return fail(Errc::invalid_argument, fmt::format("a partition is expected, not {}", found->to_string()));
}

Result<std::vector<std::string>> Player::hosts(const Json& text) {
  const Result<Value> found = value(text);
  if (!found) return fail(found.error());
  const auto* number = std::get_if<std::int64_t>(&found->is);
  if (number != nullptr && *number == scenario::kClients) return std::vector{client_host(1)};
  const Result<std::vector<NodeId>> all = nodes(text);
  if (!all) return fail(all.error());
  std::vector<std::string> out;
  for (const NodeId id : *all) out.push_back(node_host(id));
  return out;
}

// ---- flow

Status Player::run(const Step&, const Json& given) {
  trial_.drive(duration_of(given));
  return {};
}

Status Player::let(const Step&, const Json& given) {
  for (const auto& [name, text] : given.items()) {
    Result<Value> found = value(text);
    if (!found) return fail(found.error().at(name));
    bindings_[name] = std::move(*found);
  }
  return {};
}

Status Player::reach(const std::string& text, Duration within, bool every_step, const std::string& say) {
  std::string wanting;
  Status mistake;
  const auto holds = [&] {
    const Result<bool> is = truth(text);
    if (is) return *is;
    wanting = is.error().text;
    if (is.error().code != Errc::not_found) mistake = fail(is.error());
    return !mistake.has_value();
  };
  const bool came = every_step ? trial_.world().run_until(holds, within) : cluster().wait_until(holds, within);
  if (!mistake) return mistake;
  if (came) return {};
  return fail(Errc::timed_out, fmt::format("never came to pass: {}{}", say.empty() ? text : say,
                                           wanting.empty() ? "" : " (" + wanting + ")"));
}

Status Player::wait(const Step& step, const Json& given) {
  const Duration within = step.arguments.contains("within") ? duration_of(step.arguments["within"]) : kWithin;
  return reach(given.get<std::string>(), within, step.arguments.contains("every"), step.arguments.value("say", ""));
}

Status Player::expect(const Step& step, const Json& given) {
  const Result<bool> is = truth(given.get<std::string>());
  if (!is) return fail(is.error());
  if (*is) return {};
  const std::string say = step.arguments.value("say", "");
  return fail(Errc::timed_out, "does not hold: " + (say.empty() ? given.get<std::string>() : say));
}

Status Player::repeat(const Step& step, const Json& given) {
  const Result<std::int64_t> times = number(given["times"]);
  if (!times) return fail(times.error().at(step.where));
  for (std::int64_t i = 0; i < *times; ++i) ORDEAL_TRY(play(step.steps));
  return {};
}

Status Player::each(const Step& step, const Json& given) {
  const Result<Value> over = value(given["in"]);
  if (!over) return fail(over.error().at(step.where));
  const auto* members = std::get_if<scenario::Nodes>(&over->is);
  if (members == nullptr)
    return fail(Errc::invalid_argument, fmt::format("{}: each takes a set, not {}", step.where, over->to_string()));
  for (const std::int64_t member : *members) {
    bindings_[given["as"].get<std::string>()] = Value::number(member);
    ORDEAL_TRY(play(step.steps));
  }
  return {};
}

Status Player::choose(const Step& step, const Json& given) {
  const Result<bool> is = truth(given.get<std::string>());
  if (!is) return fail(is.error().at(step.where));
  return play(*is ? step.steps : step.otherwise);
}

TrialResult play_script(TrialOptions options, const scenario::Scenario& scenario) {
  Trial trial(std::move(options));
  Status played = trial.prepare();
  if (played) {
    trial.start_clients();
    played = Player(trial, scenario).play(scenario.script);
  }
  if (played) return trial.finish();
  TrialResult result = trial.give_up(played.error().text);
  result.unmet = played.error().code == Errc::timed_out;
  return result;
}

}  // namespace ordeal::sim
