// Plays a script: its steps, one after another, against a trial whose clients are at work.
//
// Verbs act through SimCluster and nothing else, so that every fault is noted for the checker. An error ends the
// script: timed_out says that a situation did not come about, invalid_argument that a step makes no sense here.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "faults/scenario/scenario.h"
#include "faults/sim/scenarios/world_sight.h"

namespace ordeal::sim {

// A whole trial around the scenario's script: TrialResult::trouble says it when a situation did not come about, and
// begins with the place of the step in its file.
TrialResult play_script(TrialOptions options, const scenario::Scenario& scenario);

class Player {
 public:
  Player(Trial& trial, const scenario::Scenario& scenario);
  Status play(const scenario::Script& script);

 private:
  using Json = nlohmann::ordered_json;
  using Verb = Status (Player::*)(const scenario::Step& step, const Json& given);
  static const std::map<std::string, Verb>& table();

  Status perform(const scenario::Step& step);
  // Flow.
  Status run(const scenario::Step& step, const Json& given);
  Status let(const scenario::Step& step, const Json& given);
  Status wait(const scenario::Step& step, const Json& given);
  Status expect(const scenario::Step& step, const Json& given);
  Status repeat(const scenario::Step& step, const Json& given);
  Status each(const scenario::Step& step, const Json& given);
  Status choose(const scenario::Step& step, const Json& given);
  // Nodes, disks, clocks.
  Status at_nodes(const scenario::Step& step, const Json& given);
  Status crash(const scenario::Step& step, const Json& given);
  Status disk(const scenario::Step& step, const Json& given);
  Status disk_heal(const scenario::Step& step, const Json& given);
  Status clock(const scenario::Step& step, const Json& given);
  Status flip(NodeId node, const Json& given);
  // Links and messages.
  Status link(const scenario::Step& step, const Json& given);
  Status around(const scenario::Step& step, const Json& given);
  Status reset(const scenario::Step& step, const Json& given);
  Status heal_all(const scenario::Step& step, const Json& given);
  Status message(const scenario::Step& step, const Json& given);
  Status release(const scenario::Step& step, const Json& given);
  // Clients and the controller.
  Status clients(const scenario::Step& step, const Json& given);
  Status send(const scenario::Step& step, const Json& given);
  Status make_leader(const scenario::Step& step, const Json& given);
  Status elect(const scenario::Step& step, const Json& given);
  Status alter(const scenario::Step& step, const Json& given);
  Status create(const scenario::Step& step, const Json& given);
  Status remove(const scenario::Step& step, const Json& given);
  Status voters(const scenario::Step& step, const Json& given);

  SimCluster& cluster() { return trial_.cluster(); }
  const scenario::Expression& parsed(const std::string& text);
  Result<scenario::Value> value(const Json& text);
  Result<bool> truth(const std::string& text);
  Result<std::int64_t> number(const Json& text);
  Result<std::vector<NodeId>> nodes(const Json& text);
  Result<NodeId> node(const Json& text);
  Result<TopicPartition> partition(const Json& text);
  Result<std::vector<std::string>> hosts(const Json& text);
  // Errc::timed_out unless `text` becomes true; one that stays false for want of something says what is wanting.
  Status reach(const std::string& text, Duration within, bool every_step, const std::string& say);

  Trial& trial_;
  std::optional<mutation::Bug> bug_;
  WorldSight sight_;
  scenario::Scope scope_;  // all names of the script: parse_scenario has checked the order
  scenario::Bindings bindings_;
  std::map<std::string, scenario::Expression> parsed_;
};

}  // namespace ordeal::sim
