// The seeded run loop of a simulated world: virtual time, timers, and one ready queue per node.
//
// Each step runs one ready task of a node that may run to its next suspension and lets a little virtual time pass. A
// task that becomes ready draws its place among the others near it, mostly within a microsecond or two, so that neither
// the order between nodes nor the order within a node can be relied on. Every node draws for itself: taking one away
// does not shift the others. When nothing is ready, time jumps to the next timer. Everything happens in one thread.
//
// Devices make their callers wait: inside run_blocking() the task stays there, else the whole run queue stands still
// after the current step, as it would behind a blocked thread.
//
// Invariants: a doomed or paused node runs no task; after drop_all() a node owns no task, timer or parked frame, and
// whatever its destructors post is dropped as well; a cancelled timer never runs.
#pragma once

#include <boost/asio/execution.hpp>
#include <boost/asio/execution_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/base/random.h"
#include "broker/env/parking.h"
#include "broker/env/scheduler.h"
#include "faults/sim/digest.h"
#include "faults/sim/sim_clock.h"

namespace ordeal::sim {

class SimScheduler;
using Job = std::move_only_function<void()>;

struct LoopOptions {
  Duration step_cost_min{50};  // virtual time one step takes
  Duration step_cost_max{200};
  bool shuffle = true;  // false: tasks of one node run in the order they became ready, as a real run queue does
};

// How long blocking work takes, split at random into before and after the work itself: a crash may fall into either.
struct BlockingProfile {
  Duration min{20'000};
  Duration max{400'000};
  std::uint64_t stall_in = 500;  // one call in so many takes up to stall_max; 0: never
  Duration stall_max{20'000'000};
};

// Something that calls are stuck on until it is over.
struct Stall {
  bool over = false;
  std::vector<std::function<void()>> on_end;

  void end() {
    over = true;
    for (const auto& fn : std::exchange(on_end, {})) fn();
  }
};

class SimLoop final : public boost::asio::execution_context {
 public:
  SimLoop(LoopOptions options, Digest& digest);
  ~SimLoop();

  Instant now() const { return now_; }
  std::uint64_t steps() const { return steps_; }
  std::uint64_t last_draw() const { return last_draw_; }  // of the order of tasks
  Digest& digest() { return digest_; }

  // World events: run by the loop itself, between steps, on no node; they may kill and start nodes.
  void call_at(Instant at, Job event);
  void after_step(std::function<void()> hook) { after_step_ = std::move(hook); }  // between any two steps

  bool step(Instant limit);  // one task, or one jump of time up to `limit`; false when idle until then
  void run_until(Instant limit);
  SimScheduler* running() const { return running_; }  // whose task is executing; null between steps

 private:
  friend class SimScheduler;
  using DueKey = std::pair<Instant, env::TimerId>;

  struct Due {
    SimScheduler* owner = nullptr;  // null: a world event
    Job event;
  };
  env::TimerId arm(Instant at, SimScheduler* owner);
  void disarm(Instant at, env::TimerId id) { due_.erase(DueKey{at, id}); }
  bool armed(Instant at, env::TimerId id) const { return due_.contains(DueKey{at, id}); }
  void rearm(Instant at, env::TimerId id, SimScheduler* owner) { due_.emplace(DueKey{at, id}, Due{owner, {}}); }
  void fire_due();
  bool run_one_ready();

  LoopOptions options_;
  Digest& digest_;
  Instant now_{};
  std::uint64_t last_draw_ = 0;
  std::uint64_t steps_ = 0;
  env::TimerId next_timer_ = 1;
  std::map<DueKey, Due> due_;
  std::vector<SimScheduler*> schedulers_;  // alive ones, in order of creation
  SimScheduler* running_ = nullptr;
  std::function<void()> after_step_;
};

// The run queue of one incarnation of one node. Lives as long as its world: executors inside frames refer to it.
class SimScheduler final : public env::Scheduler {
 public:
  SimScheduler(SimLoop& loop, std::uint64_t id, Random random, BlockingProfile blocking,
               std::shared_ptr<NodeClocks> clocks = std::make_shared<NodeClocks>());
  ~SimScheduler() override;

  Instant now() const override { return clocks_->timers.read(loop_.now()); }
  WallMs wall_ms() const override;
  env::Executor executor() override;
  env::ParkingLot& parking() override { return parking_; }
  env::TimerId call_at(Instant at, std::function<void()> fn) override;
  void cancel(env::TimerId id) override;
  void spawn(env::Task<> task, std::string_view name) override;
  env::Task<> run_blocking(std::function<void()> fn) override;

  // From a device inside a call of the running task.
  void slow_call(Duration by);
  void stall_call(std::shared_ptr<Stall> stall);
  // Keeps `effect` for the end of the blocking work's wait, or until the work makes its next call; false: no such work.
  bool at_the_end(std::function<void()> effect);
  void settle_calls();  // a call begins: what was kept for the end happens now

  void post(Job job);
  void pause() { paused_ = true; }
  void resume() { paused_ = false; }
  void doom() { doomed_ = true; }  // no task runs any more; frames stay until drop_all()
  void drop_all();                 // implies doom(); not while a task of this node is executing
  bool doomed() const { return doomed_; }
  bool paused() const { return paused_; }
  bool stuck() const { return stuck_ > 0; }  // behind a call that has not returned
  bool empty() const { return ready_.empty() && timers_.empty() && parking_.parked() == 0; }
  NodeClocks& clocks() { return *clocks_; }
  void timers_changed();                                         // the rate of clocks().timers did
  void watch_draws(const Random* random) { watched_ = random; }  // of the node's own code, for the log of draws
  SimLoop& loop() { return loop_; }

 private:
  friend class SimLoop;
  struct Work {  // inside run_blocking
    Duration late{};
    std::vector<std::shared_ptr<Stall>> stalls;
    std::function<void()> effect;
  };
  bool runnable() const { return !paused_ && !doomed_ && stuck_ == 0 && !ready_.empty(); }
  struct Ready {
    Instant place{};
    std::uint64_t number = 0;
    Job job;
    bool operator>(const Ready& other) const {
      return place != other.place ? place > other.place : number > other.number;
    }
  };
  struct Timer {
    Instant due{};    // true time
    Instant local{};  // by the node's clock
    std::function<void()> fn;
  };
  Instant draw_place();
  Job take();  // the first in order
  void fire(env::TimerId id);

  SimLoop& loop_;
  std::uint64_t id_;
  Random random_;
  BlockingProfile blocking_;
  Random order_;
  std::shared_ptr<NodeClocks> clocks_;
  const Random* watched_ = nullptr;
  std::vector<Ready> ready_;  // a heap, the first in order at the front
  Instant last_place_{};
  std::uint64_t next_number_ = 0;
  std::map<env::TimerId, Timer> timers_;  // also those on their way to run
  env::ParkingLot parking_;
  Work* work_ = nullptr;  // while a function given to run_blocking runs
  int stuck_ = 0;         // calls made straight from the run queue that have not returned
  bool paused_ = false;
  bool doomed_ = false;
  bool dropping_ = false;
};

// What any_io_executor wraps: never runs anything inline.
class SimExecutor {
 public:
  explicit SimExecutor(SimScheduler& scheduler) noexcept : scheduler_(&scheduler) {}
  bool operator==(const SimExecutor&) const noexcept = default;
  boost::asio::execution_context& query(boost::asio::execution::context_t) const noexcept { return scheduler_->loop(); }
  static constexpr boost::asio::execution::blocking_t query(boost::asio::execution::blocking_t) noexcept {
    return boost::asio::execution::blocking.never;
  }
  SimExecutor require(boost::asio::execution::blocking_t::never_t) const noexcept { return *this; }
  template <class Fn>
  void execute(Fn&& fn) const {
    scheduler_->post(Job(std::forward<Fn>(fn)));
  }

 private:
  SimScheduler* scheduler_;
};

}  // namespace ordeal::sim
