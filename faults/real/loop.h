// The nemesis's one thread: file descriptors, timers, and nothing else. Callbacks run to completion, so state between
// two of them is always consistent and needs no locks.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "broker/base/types.h"

namespace ordeal::nemesis {

class Loop {
 public:
  // Calls `ready` whenever `fd` is readable or hung up, until unwatch.
  void watch(int fd, std::function<void()> ready);
  void unwatch(int fd);
  void call_at(Instant at, std::function<void()> fn);
  // Runs after each round of callbacks, and says when it wants to run again at the latest.
  void on_idle(std::function<Instant()> fn) { idle_ = std::move(fn); }

  void run();  // until stop()
  void stop() { stopping_ = true; }

 private:
  void round();

  std::map<int, std::function<void()>> watched_;
  std::multimap<Instant, std::function<void()>> timers_;
  std::function<Instant()> idle_;
  bool stopping_ = false;
};

}  // namespace ordeal::nemesis
