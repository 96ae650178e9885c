#include "faults/sim/sim_executor.h"

#include <fmt/format.h>
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <exception>

#include "broker/base/check.h"

namespace ordeal::sim {

namespace {
constexpr WallMs kWallAtZero = 1'700'000'000'000;  // the date on which every world begins
// How far a task that becomes ready may fall behind others: a few steps, now and then many.
constexpr std::uint64_t kNear = 2'000;
constexpr std::uint64_t kFar = 30'000;
}  // namespace

SimLoop::SimLoop(LoopOptions options, Digest& digest) : options_(options), digest_(digest) {}

SimLoop::~SimLoop() {
  ORDEAL_CHECK(schedulers_.empty(), "{} run queues outlive their loop", schedulers_.size());
  shutdown();
  destroy();
}

env::TimerId SimLoop::arm(Instant at, SimScheduler* owner) {
  const env::TimerId id = next_timer_++;
  due_.emplace(DueKey{std::max(at, now_), id}, Due{owner, {}});
  return id;
}

void SimLoop::call_at(Instant at, Job event) {
  due_.emplace(DueKey{std::max(at, now_), next_timer_++}, Due{nullptr, std::move(event)});
}

void SimLoop::fire_due() {
  while (!due_.empty() && due_.begin()->first.first <= now_) {
    auto due = due_.extract(due_.begin());
    if (due.mapped().owner != nullptr)
      due.mapped().owner->fire(due.key().second);
    else
      due.mapped().event();
  }
}

bool SimLoop::run_one_ready() {
  SimScheduler* node = nullptr;
  std::size_t total = 0;
  for (SimScheduler* candidate : schedulers_) {
    if (!candidate->runnable()) continue;
    total += candidate->ready_.size();
    if (node == nullptr || candidate->ready_.front().place < node->ready_.front().place) node = candidate;
  }
  if (node == nullptr) return false;
  digest_.at_step(++steps_);
  digest_.mix(node->id_ << 32 | total);
  const std::uint64_t draws = node->watched_ != nullptr ? node->watched_->draws() : 0;
  running_ = node;
  {
    Job job = node->take();
    job();
  }
  running_ = nullptr;
  if (node->watched_ != nullptr && node->watched_->draws() != draws)
    digest_.drew([&] { return fmt::format("own draws of {}", node->id_); }, node->watched_->draws());
  last_draw_ = node->order_.next();
  const auto span = static_cast<std::uint64_t>((options_.step_cost_max - options_.step_cost_min).count()) + 1;
  now_ += options_.step_cost_min + Duration(static_cast<std::int64_t>((last_draw_ >> 32) * span >> 32));
  return true;
}

bool SimLoop::step(Instant limit) {
  const bool ran = run_one_ready();
  if (!ran) {
    if (due_.empty() || due_.begin()->first.first > limit) return false;
    now_ = std::max(now_, due_.begin()->first.first);
  }
  fire_due();
  if (after_step_) after_step_();
  return true;
}

void SimLoop::run_until(Instant limit) {
  while (now_ < limit && step(limit)) {
  }
  now_ = std::max(now_, limit);
}

SimScheduler::SimScheduler(SimLoop& loop, std::uint64_t id, Random random, BlockingProfile blocking,
                           std::shared_ptr<NodeClocks> clocks)
    : loop_(loop),
      id_(id),
      random_(random),
      blocking_(blocking),
      order_(random.fork("order")),
      clocks_(std::move(clocks)),
      parking_(executor()) {
  loop_.schedulers_.push_back(this);
}

SimScheduler::~SimScheduler() { drop_all(); }

WallMs SimScheduler::wall_ms() const {
  const Duration since_start = clocks_->wall.read(loop_.now()).time_since_epoch() + clocks_->wall_offset;
  return kWallAtZero + std::chrono::floor<std::chrono::milliseconds>(since_start).count();
}

env::Executor SimScheduler::executor() { return SimExecutor(*this); }

env::TimerId SimScheduler::call_at(Instant at, std::function<void()> fn) {
  if (doomed_) return 0;
  const Instant due = std::max(clocks_->timers.when(at), loop_.now());
  const env::TimerId id = loop_.arm(due, this);
  timers_.emplace(id, Timer{due, at, std::move(fn)});
  return id;
}

void SimScheduler::cancel(env::TimerId id) {
  auto found = timers_.find(id);
  if (found == timers_.end()) return;
  loop_.disarm(found->second.due, id);
  auto cancelled = timers_.extract(found);  // destroyed last: its captures may cancel others
}

void SimScheduler::timers_changed() {
  for (auto& [id, timer] : timers_) {
    if (!loop_.armed(timer.due, id)) continue;  // on its way to run
    loop_.disarm(timer.due, id);
    timer.due = std::max(clocks_->timers.when(timer.local), loop_.now());
    loop_.rearm(timer.due, id, this);
  }
}

void SimScheduler::fire(env::TimerId id) {
  // The function stays in the table until its turn, so that cancel() works up to the last moment.
  post([this, id] {
    auto due = timers_.extract(id);
    if (!due.empty()) due.mapped().fn();
  });
}

void SimScheduler::spawn(env::Task<> task, std::string_view name) {
  boost::asio::co_spawn(executor(), std::move(task), [task_name = std::string(name)](std::exception_ptr error) {
    if (!error) return;
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& thrown) {
      check_failed(__FILE__, __LINE__, "no exception leaves a task", task_name + ": " + thrown.what());
    }
  });
}

env::Task<> SimScheduler::run_blocking(std::function<void()> fn) {
  Duration total(random_.between(blocking_.min.count(), blocking_.max.count()));
  if (blocking_.stall_in != 0 && random_.chance(1, blocking_.stall_in))
    total += Duration(random_.between(0, blocking_.stall_max.count()));
  const Duration before(random_.between(0, total.count()));
  loop_.digest_.drew([this] { return fmt::format("blocking of {}", id_); }, static_cast<std::uint64_t>(before.count()));
  co_await sleep_for(before);
  Work work;
  work_ = &work;
  fn();
  work_ = nullptr;
  fn = nullptr;
  co_await sleep_for(total - before + work.late);  // a node doomed by `fn` never gets past this
  for (const std::shared_ptr<Stall>& stall : work.stalls) {
    if (stall->over) continue;
    const env::ParkingLot::Token token = parking_.reserve();
    stall->on_end.push_back([this, token] { parking_.release(token); });
    co_await parking_.park(token);
  }
  if (work.effect) work.effect();
}

void SimScheduler::slow_call(Duration by) {
  if (work_ != nullptr) {
    work_->late += by;
    return;
  }
  ++stuck_;
  loop_.call_at(loop_.now() + by, [this] { --stuck_; });
}

void SimScheduler::stall_call(std::shared_ptr<Stall> stall) {
  if (stall->over) return;
  if (work_ != nullptr) {
    work_->stalls.push_back(std::move(stall));
    return;
  }
  ++stuck_;
  stall->on_end.push_back([this] { --stuck_; });
}

bool SimScheduler::at_the_end(std::function<void()> effect) {
  if (work_ == nullptr) return false;
  work_->effect = std::move(effect);
  return true;
}

void SimScheduler::settle_calls() {
  if (work_ == nullptr || !work_->effect) return;
  std::exchange(work_->effect, nullptr)();
}

void SimScheduler::post(Job job) {
  ready_.push_back({draw_place(), next_number_++, std::move(job)});
  std::push_heap(ready_.begin(), ready_.end(), std::greater<>());
  if (doomed_ && !dropping_ && loop_.running() != this) drop_all();
}

Instant SimScheduler::draw_place() {
  if (!loop_.options_.shuffle) return last_place_ = std::max(last_place_, loop_.now());
  const std::uint64_t draw = order_.next();
  loop_.digest_.drew([this] { return fmt::format("order of {}", id_); }, draw);
  const std::uint64_t span = draw % 8 == 0 ? kFar : kNear;
  return loop_.now() + Duration(static_cast<std::int64_t>((draw >> 32) * span >> 32));
}

Job SimScheduler::take() {
  std::pop_heap(ready_.begin(), ready_.end(), std::greater<>());
  Job job = std::move(ready_.back().job);
  ready_.pop_back();
  return job;
}

void SimScheduler::drop_all() {
  ORDEAL_CHECK(loop_.running() != this, "a node cannot drop its frames from inside one");
  doomed_ = true;
  if (dropping_) return;
  dropping_ = true;
  std::erase(loop_.schedulers_, this);
  // Destroying a handler or a frame may post clean-up, release tokens or cancel timers: go on until all is quiet.
  while (!empty()) {
    while (!ready_.empty()) Job dropped = take();
    while (!timers_.empty()) {
      auto dropped = timers_.extract(timers_.begin());
      loop_.disarm(dropped.mapped().due, dropped.key());
    }
    parking_.drop_all();
  }
  dropping_ = false;
}

}  // namespace ordeal::sim
