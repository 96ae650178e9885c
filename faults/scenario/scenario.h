// A scenario: one simulated world as data (docs/formats/scenario.md). Known bugs, drawn worlds that failed and what the
// shrinker makes of them are all scenarios; one parser, one printer and one runner serve them.
//
// Values only, owned by whoever holds them. Nothing here knows the simulator.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/config.h"
#include "broker/base/result.h"
#include "broker/base/types.h"
#include "faults/plan/plan.h"
#include "faults/scenario/script.h"

namespace ordeal::scenario {

struct NetworkSpec {
  Duration latency_min{50'000};
  Duration latency_max{600'000};
  std::int64_t slow_in = 200;  // one delivery in so many takes up to slow_max; 0: never
  Duration slow_max{30'000'000};
  std::int64_t window = 1 << 20;  // bytes in flight one direction of a connection may hold
  std::int64_t split_in = 4;      // one write in so many arrives in two pieces; 0: never
  bool operator==(const NetworkSpec&) const = default;
};

struct ClusterSpec {
  int nodes = 3;
  ConfigMap set;  // broker settings under Kafka's names
  NetworkSpec network;
  bool shuffle = true;   // ready tasks of a node run in drawn order
  bool buggify = false;  // rare but legal behaviour is asked for (broker/env/buggify.h)
};

struct Scenario {
  std::string name;
  std::string title;
  std::string bug;       // name of a switch; empty: none
  std::string property;  // with the bug on; empty: what the registry says
  std::uint64_t seed = 1;
  ClusterSpec cluster;
  nlohmann::json workload = nlohmann::json::object();  // keys of workload.md, over the modest defaults
  std::optional<plan::Plan> plan;                      // this and `time`, or `script`
  Duration time = 60s;
  Script script;  // empty: there is a plan, or only time passes
};

// `origin` names the text in errors ("a1.yaml:7:11: script[3].wait: ..."). Accepts YAML, and so JSON; never throws.
Result<Scenario> parse_scenario(std::string_view text, const std::string& origin);

// The inverse: parse_scenario(to_yaml(s)) gives s again. JSON is what programs read.
nlohmann::ordered_json to_json(const Scenario& scenario);
std::string to_yaml(const Scenario& scenario);

// The scenarios that come with the program, by name; those of known bugs are named after their switch.
std::vector<std::string> corpus_names();
std::optional<std::string_view> corpus_text(std::string_view name);

}  // namespace ordeal::scenario
