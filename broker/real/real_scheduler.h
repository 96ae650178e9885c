// The run queue on a real thread: Asio's io_context, the kernel's clocks, a pool for blocking work.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <map>
#include <unordered_map>

#include "broker/env/parking.h"
#include "broker/env/scheduler.h"

namespace ordeal::real {

class RealScheduler final : public env::Scheduler {
 public:
  // `blocking_threads`: how many file operations may wait for the disk at once (parallel fsyncs overlap).
  explicit RealScheduler(std::size_t blocking_threads);
  ~RealScheduler() override;

  Instant now() const override;
  WallMs wall_ms() const override;
  env::Executor executor() override { return io_.get_executor(); }
  env::ParkingLot& parking() override { return parking_; }
  env::TimerId call_at(Instant at, std::function<void()> fn) override;
  void cancel(env::TimerId id) override;
  void spawn(env::Task<> task, std::string_view name) override;
  env::Task<> run_blocking(std::function<void()> fn) override;

  void run();   // runs the queue on this thread until stop()
  void stop();  // from any thread; run() returns after the step in progress
  boost::asio::io_context& context() { return io_; }

 private:
  void arm();
  void fire_due();

  using Key = std::pair<Instant, env::TimerId>;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  env::ParkingLot parking_;
  boost::asio::steady_timer wake_;  // one kernel timer, armed for the earliest of ours
  Instant armed_ = kForever;
  std::map<Key, std::function<void()>> timers_;
  std::unordered_map<env::TimerId, Instant> due_;
  env::TimerId next_timer_ = 1;
  boost::asio::thread_pool pool_;
};

}  // namespace ordeal::real
