// The control loop: reads commands, answers them, follows traces, runs plans. docs/formats/nemesis.md is its contract.
//
// Commands are dispatched by name to one member function each; those that take time answer later from a callback.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "faults/real/injector.h"
#include "faults/real/journal.h"
#include "faults/real/loop.h"
#include "faults/real/plan_run.h"
#include "faults/real/tail.h"
#include "faults/real/world.h"

namespace ordeal::nemesis {

class Nemesis {
 public:
  // Call with the reaper running; `setup` decides whether the caller's network namespace is left. `rootless`: inside a
  // user namespace of our own.
  Nemesis(int input, int output, bool rootless);

  int run();  // until shutdown or end of input; returns the exit code

 private:
  using json = nlohmann::json;
  void read_input();
  void dispatch(const std::string& line);
  void execute(const std::string& name, const json& command, const json& re);

  void setup(const json& command, const json& re);
  void spawn(const json& command, const json& re);
  void stop_process(const json& command, const json& re);
  void wait_process(const json& command, const json& re);
  void signal_process(const json& command, const json& re);
  void exec(const json& command, const json& re);
  void plan_start(const json& command, const json& re);
  void plan_stop(const json& re);
  void fault_begin(const json& command, const json& re);
  void fault_heal(const json& command, const json& re);
  void heal_all(const json& re);
  void converge(const json& command, const json& re);
  void matrix(const json& re);
  void status(const json& re);

  void follow(const json& traces);
  void poll_traces();
  void observe(const plan::TraceEvent& event);
  void when_healed(std::vector<std::string> ids, std::function<void()> done);
  void poll_converge(const json& re, Instant start, Instant deadline);
  void reply_on_exit(const std::string& id, const json& re, Duration timeout, bool kill_late);
  Instant idle();
  json environment() const;

  int input_;
  bool rootless_;
  std::string pending_input_;
  Loop loop_;
  Journal journal_;
  World world_{loop_, journal_};
  Injector injector_{loop_, journal_, world_};
  std::unique_ptr<PlanRun> plan_;
  std::map<std::string, Tail> tails_;
  std::string tcp_profile_;
  std::int64_t lost_trace_events_ = 0;
  int next_fault_ = 1;
  int next_exec_ = 1;
};

}  // namespace ordeal::nemesis
