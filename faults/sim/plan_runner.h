// Runs a drawn fault plan against a simulated world: the simulator's counterpart of ordeal-nemesis.
//
// The Conductor decides when; this class resolves targets against what the traces say and performs the verbs. Every
// begin and heal is verified against the world itself (a cut stands in the network, a node is down, a node said that
// it is ready again) and noted as a fault event with the names of faults.jsonl.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "faults/plan/conductor.h"
#include "faults/plan/plan.h"
#include "faults/plan/roles.h"
#include "faults/sim/sim_world.h"

namespace ordeal::meta {
class ControllerRequest;
}

namespace ordeal::sim {

// What a plan's requests go through: the cluster's controller and its clients. A world without them (it has no
// brokers) lets such steps miss.
struct PlanHands {
  // Asks as node `via` (kNoNode: whoever can); the answer is not awaited.
  std::function<Status(const meta::ControllerRequest& request, NodeId via)> ask;
  std::function<void(bool off)> pause_clients;
  std::function<std::vector<NodeId>()> voters;
  // What a topic overrides of the settings named; one it does not override is not in the answer.
  std::function<std::map<std::string, std::string>(const std::string& topic)> topic_settings;
};

struct FaultEvent {
  Instant at{};
  std::string event;  // "fault.begin", "fault.missed", "fault.heal", ...
  std::string step;   // the step's id; empty for events of the plan as a whole
  std::string kind;   // the verb
  std::vector<std::string> targets;
  bool verified = false;
  std::string evidence;

  std::string to_json() const;  // one line of faults.jsonl
};

// Every verb: a simulated world has disks that forget, messages that can be told apart and clocks that drift.
std::vector<plan::Verb> simulated_verbs();

class PlanRunner {
 public:
  // Knows the roles from the trace that `world` has kept so far. Client hosts are named c1, c2, ... in the order given.
  // `stop` asks a node to end in order (proc.restart); it must lead to NodeContext::exit, or the node is killed after
  // the step's timeout. The runner outlives the world's run.
  PlanRunner(World& world, plan::Plan drawn, std::vector<std::string> client_hosts, std::function<void(NodeId)> stop,
             PlanHands hands = {});
  PlanRunner(const PlanRunner&) = delete;
  PlanRunner& operator=(const PlanRunner&) = delete;

  void start();                // the plan's zero is now
  void operation_completed();  // client operations, for triggers that count them
  void finish();               // heals what is held, begins nothing more; nodes down for other reasons stay down
  void revive();               // after finish(): network whole, every paused node resumed, every down node started
  bool done() const { return conductor_.done(); }

  const std::vector<FaultEvent>& events() const { return events_; }
  std::int64_t verified_faults() const { return verified_; }
  const plan::Plan& plan() const { return conductor_.plan(); }  // with what the roles resolved to
  const plan::WorldView& view();                                // roles and process states as of now

 private:
  Duration elapsed() const { return world_.now() - zero_; }
  void observe(const TraceEvent& event);
  void perform(std::vector<plan::Action> actions);
  void begin(std::size_t index);
  void heal(std::size_t index);
  void began(std::size_t index, std::string evidence);
  void healed(std::size_t index, bool verified, std::string evidence);
  void strike(std::size_t index, const plan::Step& step);
  void apply_cuts(const plan::Step& step, bool cut);
  // The verbs of plan_devices.cpp: links, messages, refusals, disks and clocks. What was done, or why nothing could be.
  static bool is_device(plan::Verb verb);
  Result<std::string> strike_device(const plan::Step& step);
  Result<std::string> strike_links(const plan::Step& step);
  Result<std::string> strike_disk(const plan::Step& step, NodeId id);
  void strike_clock(const plan::Step& step, NodeId id, bool heal);
  void refuse(const plan::Step& step, NodeId id, bool heal);
  void heal_device(std::size_t index);
  // The verbs of plan_requests.cpp, likewise.
  static bool is_asked(plan::Verb verb);
  Result<std::string> ask(const plan::Step& step);
  Result<std::string> ask_election(const plan::Step& step, NodeId via);
  Result<std::string> ask_voters(const plan::Step& step, NodeId via);
  Result<std::string> ask_settings(const plan::Step& step, NodeId via);
  std::string heal_asked(const plan::Step& step);
  void pause_clients(bool off);
  std::string heal_links(const plan::Step& step);
  Status within_envelope(const plan::Step& step);
  bool kept_down(std::size_t by_others_than, NodeId id) const;
  void miss(std::size_t index, std::string why);
  void wait_serving(std::size_t index, std::vector<NodeId> nodes, std::string done);
  std::vector<std::uint16_t> ports_of(const plan::Step& step) const;
  void arm();
  // Runs `then(true)` as soon as `condition` holds, `then(false)` if it does not within `patience`.
  void when(std::function<bool()> condition, Duration patience, std::function<void(bool)> then);
  void note(std::string event, std::size_t index, bool verified, std::string evidence);
  std::vector<NodeId> nodes_of(const plan::Step& step) const;
  std::string address(const std::string& name) const;

  World& world_;
  plan::Conductor conductor_;
  std::function<void(NodeId)> stop_;
  PlanHands hands_;
  std::map<std::string, std::map<std::string, std::string>> settings_before_;  // by step: what its topic overrode
  int pauses_ = 0;                                                             // of the clients, that hold
  plan::WorldView view_;
  std::map<std::string, std::string> addresses_;  // n1, c1 -> host
  std::map<NodeId, std::uint64_t> ready_;         // the incarnation that last said it is ready
  std::vector<FaultEvent> events_;
  std::set<std::size_t> holding_;  // steps that have begun and are not healed
  std::set<NodeId> damaged_;       // by verbs that cost a node what it had promised to keep
  Random draw_;
  Instant zero_{};
  std::int64_t operations_ = 0;
  std::int64_t verified_ = 0;
  bool started_ = false;
};

}  // namespace ordeal::sim
