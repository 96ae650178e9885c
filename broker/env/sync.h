// Waiting for one another on one run queue: Signal, OneShot, Gate. None of these is thread-safe, by design.
//
// Suspended tasks are kept in the scheduler's ParkingLot, not here: destroying a Signal with waiters leaves them
// parked until the node is stopped or killed, so destruction order never resumes or leaks a frame.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "broker/base/check.h"
#include "broker/env/scheduler.h"

namespace ordeal::env {

// A condition that several tasks may wait for. Spurious wake-ups do not happen, but state may change between the
// notify and the resumption: re-check.
class Signal {
 public:
  explicit Signal(Scheduler& scheduler) : scheduler_(scheduler) {}
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

  void notify_all();
  Task<bool> wait(Instant deadline = kForever);  // true: notified; false: the deadline passed first
  bool has_waiters() const { return !waiters_->tokens.empty(); }

 private:
  struct Waiters {
    std::vector<std::uint64_t> tokens;  // parking tokens, in order of arrival
  };
  Scheduler& scheduler_;
  std::shared_ptr<Waiters> waiters_ = std::make_shared<Waiters>();  // outlives the Signal while anyone waits
};

// A value set once by one task and awaited by another (a reply, a flush that completed).
template <class T>
class OneShot {
 public:
  explicit OneShot(Scheduler& scheduler) : signal_(scheduler) {}
  void set(T value) {
    if (value_) return;  // the first value wins: a late reply after a timeout changes nothing
    value_.emplace(std::move(value));
    signal_.notify_all();
  }
  bool ready() const { return value_.has_value(); }
  // nullopt when the deadline passed first.
  Task<std::optional<T>> wait(Instant deadline = kForever) {
    if (!value_) {
      bool notified = co_await signal_.wait(deadline);
      if (!notified && !value_) co_return std::nullopt;
    }
    co_return value_;
  }

 private:
  Signal signal_;
  std::optional<T> value_;
};

// Holds the tasks of one component so that stop() can wait for all of them.
class Gate {
 public:
  explicit Gate(Scheduler& scheduler);
  ~Gate();

  void spawn(Task<> task, std::string_view name);  // dropped unrun when the gate is closing
  bool closing() const;
  // Sleeps, but returns early with false when the gate begins to close. The loop idiom:
  //   while (true) { ...; bool go_on = co_await gate.sleep_for(interval); if (!go_on) co_return; }
  Task<bool> sleep_for(Duration duration);
  void begin_close();  // closing() becomes true, sleepers wake; does not wait
  Task<> close();      // begin_close, then wait until every task has ended
  std::size_t tasks() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with the wrappers of running tasks
};

}  // namespace ordeal::env
