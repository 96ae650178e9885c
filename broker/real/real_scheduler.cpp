#include "broker/real/real_scheduler.h"

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>

namespace ordeal::real {
namespace asio = boost::asio;

RealScheduler::RealScheduler(std::size_t blocking_threads)
    : work_(asio::make_work_guard(io_)), parking_(io_.get_executor()), wake_(io_), pool_(blocking_threads) {}

RealScheduler::~RealScheduler() {
  pool_.join();
  timers_.clear();
  parking_.drop_all();
  // Frames unwind on the executor they ran on: give their clean-up a last turn.
  io_.restart();
  io_.poll();
}

Instant RealScheduler::now() const {
  return Instant(std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch()));
}

WallMs RealScheduler::wall_ms() const {
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(since_epoch).count();
}

env::TimerId RealScheduler::call_at(Instant at, std::function<void()> fn) {
  const env::TimerId id = next_timer_++;
  timers_.emplace(Key{at, id}, std::move(fn));
  due_.emplace(id, at);
  if (at < armed_) arm();
  return id;
}

void RealScheduler::cancel(env::TimerId id) {
  const auto found = due_.find(id);
  if (found == due_.end()) return;
  timers_.erase(Key{found->second, id});
  due_.erase(found);
}

void RealScheduler::arm() {
  if (timers_.empty()) {
    armed_ = kForever;
    return;
  }
  armed_ = timers_.begin()->first.first;
  wake_.expires_at(std::chrono::steady_clock::time_point(armed_.time_since_epoch()));
  wake_.async_wait([this](const boost::system::error_code& error) {
    if (!error) fire_due();
  });
}

void RealScheduler::fire_due() {
  armed_ = kForever;
  const Instant until = now();
  while (!timers_.empty() && timers_.begin()->first.first <= until) {
    auto timer = timers_.extract(timers_.begin());
    due_.erase(timer.key().second);
    timer.mapped()();
  }
  arm();
}

void RealScheduler::spawn(env::Task<> task, std::string_view name) {
  asio::co_spawn(executor(), std::move(task), [what = std::string(name)](std::exception_ptr error) {
    if (!error) return;
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& thrown) {
      fmt::print(stderr, "task {} threw: {}\n", what, thrown.what());
    } catch (...) {
      fmt::print(stderr, "task {} threw an unknown exception\n", what);
    }
    std::fflush(stderr);
    std::abort();
  });
}

env::Task<> RealScheduler::run_blocking(std::function<void()> fn) {
  const env::ParkingLot::Token token = parking_.reserve();
  asio::post(pool_, [this, token, work = std::move(fn)] {
    work();
    asio::post(io_, [this, token] { parking_.release(token); });
  });
  co_await parking_.park(token);
}

void RealScheduler::run() { io_.run(); }

void RealScheduler::stop() { io_.stop(); }

}  // namespace ordeal::real
