// Decides when each step of a drawn plan begins and heals. Pure: time, operation counts, trace events and the fate of
// faults go in; actions come out. The nemesis and the simulator both run plans through it, so a plan means one thing.
//
// Contract with the world: for each begin action call began() or gave_up() once the effect was verified, failed or
// missed; for each heal action call healed(). Times are since the start of the plan and never go back.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "faults/plan/plan.h"
#include "faults/plan/roles.h"

namespace ordeal::plan {

struct Action {
  enum class Kind { begin, heal };
  Kind kind;
  std::size_t step;  // index into plan().steps
};

class Conductor {
 public:
  explicit Conductor(Plan drawn);

  // Each returns the actions that became due, in step order.
  std::vector<Action> advance(Duration now);
  std::vector<Action> operations(Duration now, std::int64_t completed);
  std::vector<Action> observe(Duration now, const TraceEvent& event);
  std::vector<Action> began(Duration now, std::size_t step);
  std::vector<Action> gave_up(Duration now, std::size_t step);  // missed or failed: dependants on its heal still run
  std::vector<Action> healed(Duration now, std::size_t step);

  std::optional<Duration> next_deadline() const;
  bool done() const;             // no step can act any more
  std::vector<Action> finish();  // the plan ends now: heals every step that is still held, begins no other
  const Plan& plan() const { return plan_; }
  Plan& plan() { return plan_; }  // to record resolutions

 private:
  enum class State { waiting, armed, beginning, held, healing, over };
  struct Progress {
    State state = State::waiting;
    std::optional<Duration> due;  // armed: begin then; held: heal then
    bool begun = false;
    int seen = 0;  // matches of the trigger's event
    int until_seen = 0;
  };
  void arm(Duration now, std::size_t step);
  void notify(Duration now, std::size_t step, Phase phase);
  void abandon(Duration now, std::size_t step);
  bool since_begun(const Trigger& when) const;
  std::vector<Action> collect(Duration now);

  Plan plan_;
  std::vector<Progress> progress_;
  Duration now_{};
  bool finished_ = false;
};

}  // namespace ordeal::plan
