// Where suspended tasks wait: a table from token to resumable frame, owned by one scheduler.
//
// Keeping frames here, and not inside the thing waited for, makes a kill simple and total: drop_all() destroys every
// suspended frame of the node in one place, in token order, whatever object they were waiting on.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "broker/env/task.h"

namespace ordeal::env {

class ParkingLot {
 public:
  using Token = std::uint64_t;

  explicit ParkingLot(Executor executor);
  ~ParkingLot();
  ParkingLot(const ParkingLot&) = delete;
  ParkingLot& operator=(const ParkingLot&) = delete;

  Token reserve();            // a token for one park(); tokens are never reused
  Task<> park(Token token);   // suspends until release(token); returns at once if that has happened already
  void release(Token token);  // resumes through the executor, never inline; unknown tokens are ignored
  void drop_all();            // destroys parked frames without resuming them; their clean-up runs on the executor
  std::size_t parked() const { return slots_.size(); }

  struct Frame {  // a type-erased, move-only completion handler; public for the implementation's templates only
    virtual ~Frame() = default;
    virtual void resume() = 0;
  };

 private:
  struct Slot {
    std::unique_ptr<Frame> frame;
    bool released = false;
  };

  Executor executor_;
  std::map<Token, Slot> slots_;  // ordered: drop order must not depend on addresses
  Token next_ = 1;
};

}  // namespace ordeal::env
