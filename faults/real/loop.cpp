#include "faults/real/loop.h"

#include <poll.h>

#include "faults/real/clock.h"

namespace ordeal::nemesis {

void Loop::watch(int fd, std::function<void()> ready) { watched_[fd] = std::move(ready); }

void Loop::unwatch(int fd) { watched_.erase(fd); }

void Loop::call_at(Instant at, std::function<void()> fn) { timers_.emplace(at, std::move(fn)); }

void Loop::run() {
  while (!stopping_) round();
}

void Loop::round() {
  while (!timers_.empty() && timers_.begin()->first <= now() && !stopping_) {
    const auto fn = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    fn();
  }
  Instant wake = idle_ ? idle_() : kForever;
  if (stopping_) return;
  if (!timers_.empty()) wake = std::min(wake, timers_.begin()->first);
  std::vector<pollfd> polls;
  for (const auto& entry : watched_) polls.push_back({entry.first, POLLIN, 0});
  const Duration wait = std::clamp<Duration>(wake == kForever ? Duration(1h) : wake - now(), Duration::zero(), 1h);
  const timespec timeout{wait.count() / 1'000'000'000, wait.count() % 1'000'000'000};
  if (::ppoll(polls.data(), polls.size(), &timeout, nullptr) <= 0) return;
  for (const pollfd& poll : polls) {
    if (poll.revents == 0) continue;
    const auto found = watched_.find(poll.fd);
    if (found == watched_.end()) continue;  // an earlier callback of this round took it away
    const auto ready = found->second;       // a copy: the callback may unwatch itself
    ready();
  }
}

}  // namespace ordeal::nemesis
