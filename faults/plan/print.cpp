// Prints a plan in the parser's own language, so that a saved run is a plan again.
#include <algorithm>

#include "faults/plan/params.h"
#include "faults/plan/plan.h"

namespace ordeal::plan {

namespace {

using nlohmann::json;

json print(const FieldTest& test) {
  static constexpr std::string_view kOps[] = {"=", "!=", "<", "<=", ">", ">="};
  return std::string(kOps[static_cast<std::size_t>(test.op)]) + test.value;
}

void print_event(json& into, const EventPattern& event) {
  into["event"] = event.kind;
  if (event.nth != 1) into["nth"] = event.nth;
  for (const FieldTest& test : event.where) into["where"][test.field] = print(test);
}

json print(const Distribution& distribution) {
  switch (distribution.kind) {
    case Distribution::Kind::fixed:
      return format_duration(distribution.low);
    case Distribution::Kind::uniform:
      return {{"uniform", {format_duration(distribution.low), format_duration(distribution.high)}}};
    case Distribution::Kind::exponential:
      return {{"exp", format_duration(distribution.low)}};
  }
  return nullptr;
}

json print(const Trigger& when) {
  json out = json::object();
  switch (when.kind) {
    case Trigger::Kind::time:
      out["time"] = format_duration(when.time);
      break;
    case Trigger::Kind::operations:
      out["operations"] = when.operations;
      break;
    case Trigger::Kind::event:
      print_event(out, when.event);
      if (!when.since.empty()) out["since"] = when.since;
      break;
    case Trigger::Kind::after:
      out["after"] = when.step;
      out["phase"] = when.phase == Phase::begin ? "begin" : "heal";
      break;
  }
  if (when.delay != Duration::zero()) out["delay"] = format_duration(when.delay);
  return out;
}

json print(const Targets& on) {
  if (on.from.empty() && on.to.empty()) return on.nodes;
  json out = json::object();
  if (!on.nodes.empty()) out["nodes"] = on.nodes;
  if (!on.from.empty()) out["from"] = on.from;
  if (!on.to.empty()) out["to"] = on.to;
  return out;
}

json print(const Params& params, Verb verb) {
  json out = json::object();
  if (is_network(verb)) {
    if (verb == Verb::net_partition) out["shape"] = shape_name(params.shape);
    if (params.clients != Clients::by_shape) out["clients"] = params.clients == Clients::keep ? "keep" : "cut";
    if (verb == Verb::net_simplex) out["direction"] = params.direction == Direction::out ? "out" : "in";
    for (const ListenerClass listener : params.listeners) out["listeners"].push_back(listener_name(listener));
    if (!params.purge) out["purge"] = false;
    return out;
  }
  print_fault_params(params, verb, out);
  for (const ListenerClass listener : params.listeners) out["listeners"].push_back(listener_name(listener));
  if (params.timeout != Params{}.timeout) out["timeout"] = format_duration(params.timeout);
  if (!params.restart) out["restart"] = false;
  return out;
}

void print_until(json& into, const Until& until) {
  print_event(into, until.event);
  into["timeout"] = format_duration(until.timeout);
}

json print(const Move& move) {
  const Step& step = move.step;
  json out = {{"id", step.id}, {"do", verb_name(step.verb)}};
  if (step.when.kind != Trigger::Kind::time) {
    out["when"] = print(step.when);
    if (move.delay.high > Duration::zero() || move.delay.low > Duration::zero())
      out["when"]["delay"] = print(move.delay);
  }
  if (const json on = print(step.on); on != "") out["on"] = on;
  if (json params = print(step.params, step.verb); !params.empty()) out["params"] = std::move(params);
  if (move.hold) out["hold"] = print(*move.hold);
  if (step.until) print_until(out["until"], *step.until);
  return out;
}

json print(const Choice& choice) {
  if (!choice.moves.empty()) {
    json out = {{"name", choice.name}, {"weight", choice.weight}};
    for (const Move& move : choice.moves) out["steps"].push_back(print(move));
    return out;
  }
  json out = {{"do", verb_name(choice.verb)}, {"weight", choice.weight}};
  if (const json on = print(choice.on); on != "") out["on"] = on;
  if (json params = print(choice.params, choice.verb); !params.empty()) out["params"] = std::move(params);
  if (choice.hold) out["hold"] = print(*choice.hold);
  return out;
}

json print(const RandomSection& random) {
  json out = {{"every", print(random.every)},
              {"hold", print(random.hold)},
              {"overlap", random.overlap},
              {"start", format_duration(random.start)}};
  if (random.stop) out["stop"] = format_duration(*random.stop);
  if (random.swarm) out["swarm"] = true;
  for (const Choice& choice : random.choose) out["choose"].push_back(print(choice));
  return out;
}

}  // namespace

json to_json(const Resolution& resolution) {
  json out = {{"targets", resolution.targets}};
  if (!resolution.role.empty()) {
    out["role"] = resolution.role;
    out["epoch"] = resolution.epoch;
    out["holder"] = resolution.holder;
  }
  for (const Cut& cut : resolution.cuts) out["cuts"].push_back({cut.from, cut.to});
  if (!resolution.from.empty()) out["from"] = resolution.from;
  if (!resolution.to.empty()) out["to"] = resolution.to;
  if (resolution.partition) {
    out["partition"] = resolution.partition->topic + "/" + std::to_string(resolution.partition->partition);
  }
  return out;
}

json to_json(const Step& step) {
  json out = {{"id", step.id}, {"do", verb_name(step.verb)}, {"when", print(step.when)}};
  if (const json on = print(step.on); on != "") out["on"] = on;
  if (json params = print(step.params, step.verb); !params.empty()) out["params"] = std::move(params);
  if (step.hold) out["hold"] = format_duration(*step.hold);
  if (step.until) print_until(out["until"], *step.until);
  if (step.required) out["required"] = true;
  if (!step.of.empty()) out["of"] = step.of;
  if (step.seed) out["seed"] = *step.seed;
  if (step.resolved) out["resolved"] = to_json(*step.resolved);
  return out;
}

json to_json(const Plan& plan) {
  json out = {{"name", plan.name}};
  if (!plan.description.empty()) out["description"] = plan.description;
  if (plan.seed) out["seed"] = *plan.seed;
  if (plan.time) out["time"] = format_duration(*plan.time);
  if (!plan.promises.empty()) out["promises"] = plan.promises;
  if (!plan.workload.empty()) out["workload"] = plan.workload;
  if (!plan.cluster.empty()) out["cluster"] = plan.cluster;
  if (plan.loss != Loss::none) out["loss"] = plan.loss == Loss::any ? "any" : "minority";
  if (plan.min_faults != 0) out["min_faults"] = plan.min_faults;
  out["steps"] = json::array();
  for (const Step& step : plan.steps) out["steps"].push_back(to_json(step));
  if (plan.random) out["random"] = print(*plan.random);
  out["final"] = {{"heal", plan.final.heal},
                  {"quiesce", format_duration(plan.final.quiesce)},
                  {"converge", format_duration(plan.final.converge)}};
  return out;
}

std::string describe(const Step& step) {
  std::string text(verb_name(step.verb));
  if (step.verb == Verb::net_partition) text += " " + std::string(shape_name(step.params.shape));
  if (step.verb == Verb::net_message) {
    json said = json::object();
    print_fault_params(step.params, step.verb, said);
    text += " " + said.value("action", "") + (step.params.api.empty() ? "" : " " + step.params.api) +
            (step.params.reply ? " reply" : "");
  }
  if (!step.on.from.empty() || !step.on.to.empty()) {
    const auto end = [](const std::string& side) { return side.empty() ? std::string("anyone") : side; };
    text += ", " + end(step.on.from) + " -> " + end(step.on.to);
  } else if (!step.on.nodes.empty()) {
    text += ", " + step.on.nodes;
  }
  if (step.verb == Verb::net_simplex && step.on.from.empty()) {
    text += step.params.direction == Direction::out ? ", what it sends" : ", what it receives";
  }
  for (std::size_t i = 0; i < step.params.listeners.size(); ++i) {
    text += (i == 0 ? ", only " : " and ") + std::string(listener_name(step.params.listeners[i]));
  }
  return text;
}

std::string describe(const Resolution& resolution) {
  std::string text;
  const auto add = [&](const std::string& item) { text += (text.empty() ? "" : ", ") + item; };
  for (const std::string& target : resolution.targets) {
    if (resolution.cuts.empty()) add(target);
  }
  const auto& cuts = resolution.cuts;
  for (const Cut& cut : cuts) {
    const bool both = std::binary_search(cuts.begin(), cuts.end(), Cut{cut.to, cut.from});
    if (!both) add(cut.from + " -> " + cut.to);
    if (both && cut.from < cut.to) add(cut.from + " <-> " + cut.to);
  }
  return text;
}

}  // namespace ordeal::plan
