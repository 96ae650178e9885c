#include "broker/env/sync.h"

#include <algorithm>

#include "broker/env/parking.h"

namespace ordeal::env {

Task<> Scheduler::sleep_until(Instant at) {
  ParkingLot& lot = parking();
  const ParkingLot::Token token = lot.reserve();
  call_at(at, [&lot, token] { lot.release(token); });
  co_await lot.park(token);
}

void Signal::notify_all() {
  std::vector<std::uint64_t> woken;
  woken.swap(waiters_->tokens);
  for (const std::uint64_t token : woken) scheduler_.parking().release(token);
}

Task<bool> Signal::wait(Instant deadline) {
  // Only locals and the shared list are touched after the suspension: the Signal itself may be gone by then.
  Scheduler& scheduler = scheduler_;
  std::shared_ptr<Waiters> waiters = waiters_;
  ParkingLot& lot = scheduler.parking();
  const ParkingLot::Token token = lot.reserve();
  waiters->tokens.push_back(token);
  if (deadline == kForever) {
    co_await lot.park(token);
    co_return true;
  }
  auto timed_out = std::make_shared<bool>(false);
  const TimerId timer = scheduler.call_at(deadline, [waiters, timed_out, &lot, token] {
    if (std::erase(waiters->tokens, token) == 0) return;  // notified first, on its way
    *timed_out = true;
    lot.release(token);
  });
  co_await lot.park(token);
  if (!*timed_out) scheduler.cancel(timer);
  co_return !*timed_out;
}

struct Gate::State {
  explicit State(Scheduler& owner) : scheduler(owner), closed(owner), drained(owner) {}
  Scheduler& scheduler;
  bool closing = false;
  std::size_t tasks = 0;
  Signal closed;   // closing became true
  Signal drained;  // tasks became 0
};

namespace {

template <class State>
Task<> hold(std::shared_ptr<State> state, Task<> task) {
  co_await std::move(task);
  --state->tasks;
  if (state->tasks == 0) state->drained.notify_all();
}

}  // namespace

Gate::Gate(Scheduler& scheduler) : state_(std::make_shared<State>(scheduler)) {}
Gate::~Gate() = default;

void Gate::spawn(Task<> task, std::string_view name) {
  if (state_->closing) return;
  ++state_->tasks;
  state_->scheduler.spawn(hold(state_, std::move(task)), name);
}

bool Gate::closing() const { return state_->closing; }
std::size_t Gate::tasks() const { return state_->tasks; }

Task<bool> Gate::sleep_for(Duration duration) {
  std::shared_ptr<State> state = state_;
  if (state->closing) co_return false;
  co_await state->closed.wait(state->scheduler.now() + duration);
  co_return !state->closing;
}

void Gate::begin_close() {
  if (state_->closing) return;
  state_->closing = true;
  state_->closed.notify_all();
}

Task<> Gate::close() {
  std::shared_ptr<State> state = state_;
  begin_close();
  while (state->tasks > 0) co_await state->drained.wait();
}

}  // namespace ordeal::env
