// Reading the matrix and looking a cell up.
#include "checker/promises.h"

#include <algorithm>

#include "broker/base/check.h"

namespace ordeal::checker {

extern const char* const kPromisesJson;

namespace {

using Json = nlohmann::json;

std::vector<std::string> one_or_many(const Json& in) {
  if (in.is_string()) return {in.get<std::string>()};
  return in.get<std::vector<std::string>>();
}

Promise promise_named(const std::string& name) {
  if (name == "promised") return Promise::promised;
  if (name == "allowed") return Promise::allowed;
  if (name == "not-judged") return Promise::not_judged;
  throw std::runtime_error("no such judgement: " + name);
}

}  // namespace

Result<Promises> Promises::parse(std::string_view json) {
  Promises out;
  try {
    const Json in = Json::parse(json);
    out.facts_ = in.at("facts").get<std::map<std::string, std::vector<std::string>>>();
    const auto read_rules = [&](const Json& rules) {
      std::vector<Rule> list;
      for (const Json& rule : rules) {
        Rule next;
        next.then = promise_named(rule.at("then").get<std::string>());
        next.because = rule.at("because").get<std::string>();
        for (const auto& [fact, values] : rule.value("when", Json::object()).items()) {
          next.when[fact] = one_or_many(values);
          const auto& known = out.facts_.at(fact);
          for (const std::string& value : next.when[fact])
            if (std::ranges::find(known, value) == known.end())
              throw std::runtime_error(fact + " is never \"" + value + "\"");
        }
        list.push_back(std::move(next));
      }
      if (list.empty() || !list.back().when.empty()) throw std::runtime_error("the last rule must hold for all");
      return list;
    };
    for (const Json& property : in.at("properties")) {
      const std::string name = property.at("name").get<std::string>();
      out.properties_.push_back({name, property.at("title").get<std::string>()});
      const Json& rules = property.contains("group") ? in.at("groups").at(property.at("group").get<std::string>())
                                                     : property.at("rules");
      out.rules_[name] = read_rules(rules);
    }
    for (const auto& [name, set] : in.at("sets").items()) {
      Set next;
      for (const Json& need : set.at("requires"))
        next.requires_.push_back({need.at("fact").get<std::string>(), need.at("is").get<std::string>(), "",
                                  need.at("because").get<std::string>()});
      for (const auto& [fact, value] : set.at("assume").items()) next.assume[fact] = value.get<std::string>();
      next.properties = set.at("properties").get<std::vector<std::string>>();
      for (const std::string& property : next.properties)
        if (!out.rules_.contains(property)) throw std::runtime_error("set " + name + " names unknown " + property);
      out.sets_[name] = std::move(next);
    }
  } catch (const std::exception& problem) {  // nlohmann reports by exception
    return fail(Errc::invalid_argument, std::string("promises.json: ") + problem.what());
  }
  return out;
}

const Promises& Promises::standard() {
  static const Promises matrix = [] {
    auto parsed = parse(kPromisesJson);
    ORDEAL_CHECK(parsed.has_value(), "{}", parsed ? std::string() : parsed.error().text);
    return std::move(*parsed);
  }();
  return matrix;
}

std::vector<std::string> Promises::set_names() const {
  std::vector<std::string> names;
  for (const auto& [name, set] : sets_) names.push_back(name);
  return names;
}

Judgement Promises::judge(std::string_view property, const Facts& facts, std::string_view set) const {
  Facts effective = facts;
  if (const auto named = sets_.find(std::string(set)); named != sets_.end()) {
    const auto& in_set = named->second.properties;
    if (std::ranges::find(in_set, property) != in_set.end())
      for (const auto& [fact, value] : named->second.assume) effective[fact] = value;
  }
  const auto rules = rules_.find(property);
  ORDEAL_CHECK(rules != rules_.end(), "no rules for property {}", property);
  for (const Rule& rule : rules->second) {
    const bool holds = std::ranges::all_of(rule.when, [&](const auto& condition) {
      const auto fact = effective.find(condition.first);
      return fact != effective.end() && std::ranges::find(condition.second, fact->second) != condition.second.end();
    });
    if (holds) return {rule.then, rule.because};
  }
  check_failed(__FILE__, __LINE__, "a last rule holds for all", std::string(property));
}

std::vector<Weakness> Promises::weaknesses(std::string_view set, const Facts& facts) const {
  std::vector<Weakness> out;
  const auto named = sets_.find(std::string(set));
  if (named == sets_.end()) return out;
  for (Weakness need : named->second.requires_) {
    const auto fact = facts.find(need.fact);
    need.has = fact == facts.end() ? "unknown" : fact->second;
    if (need.has != need.needs) out.push_back(std::move(need));
  }
  return out;
}

Facts setting_facts(const Settings& settings) {
  const auto yes = [](bool is) { return is ? "yes" : "no"; };
  const auto on = [](bool is) { return is ? "on" : "off"; };
  return {{"acks", settings.acks == Acks::all      ? "all"
                   : settings.acks == Acks::leader ? "1"
                                                   : "0"},
          {"idempotence", on(settings.idempotence)},
          {"retries", on(settings.retries)},
          {"in_flight", settings.one_in_flight ? "one" : "many"},
          {"durability", settings.fsync ? "fsync" : "page_cache"},
          {"isolation", settings.read_committed ? "read_committed" : "read_uncommitted"},
          {"consumer", settings.subscribe ? "subscribe" : "assign"},
          {"reset", settings.reset_latest ? "latest" : "earliest"},
          {"compaction", yes(settings.compaction)},
          {"unclean", on(settings.unclean)}};
}

}  // namespace ordeal::checker
