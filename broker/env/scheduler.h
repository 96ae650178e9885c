// One run queue: time, timers, tasks and the way off the queue for blocking work.
//
// All logic of one node runs on its run queue, one step at a time; nothing here is called from another thread.
// In simulation every node has its own Scheduler on the shared seeded executor.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "broker/base/types.h"
#include "broker/env/task.h"

namespace ordeal::env {

class ParkingLot;  // parking.h: where suspended tasks wait; owned by the scheduler so that a kill can drop them all

using TimerId = std::uint64_t;

class Scheduler {
 public:
  virtual ~Scheduler() = default;

  virtual Instant now() const = 0;
  virtual WallMs wall_ms() const = 0;  // may jump: for record timestamps and logs, never for timeouts
  virtual Executor executor() = 0;
  virtual ParkingLot& parking() = 0;

  // Runs `fn` on the run queue at `at` (or at once if that has passed). Cancelling an unknown or fired id is a no-op.
  virtual TimerId call_at(Instant at, std::function<void()> fn) = 0;
  virtual void cancel(TimerId id) = 0;

  // Starts a task on the run queue. An exception that leaves it ends the process: tasks report errors by value.
  // Prefer Gate::spawn (sync.h), which lets stop() wait for the task.
  virtual void spawn(Task<> task, std::string_view name) = 0;

  // Runs `fn` where it may block (a pool thread; inline after a drawn delay in simulation), then resumes here.
  // `fn` must not touch state of the run queue that others may change meanwhile.
  virtual Task<> run_blocking(std::function<void()> fn) = 0;

  Task<> sleep_until(Instant at);
  Task<> sleep_for(Duration duration) { return sleep_until(now() + duration); }
};

// auto status = co_await blocking(scheduler, [&] { return file.sync(); });
// `fn` is moved into the frame; its result must be default- or move-constructible.
template <class Fn>
Task<std::invoke_result_t<Fn>> blocking(Scheduler& scheduler, Fn fn) {
  using R = std::invoke_result_t<Fn>;
  if constexpr (std::is_void_v<R>) {
    std::function<void()> work = [&fn] { fn(); };
    co_await scheduler.run_blocking(std::move(work));
  } else {
    std::optional<R> result;
    std::function<void()> work = [&fn, &result] { result.emplace(fn()); };
    co_await scheduler.run_blocking(std::move(work));
    co_return std::move(*result);
  }
}

}  // namespace ordeal::env
