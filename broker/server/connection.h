// One client connection: frames in, replies out, in the order of the requests.
//
// Requests are pipelined: each runs in its own task, started in order and before the next frame is looked at, so that
// appends reach the logs in order; replies that are ready early wait for those before them. Reading pauses while
// `in_flight_max` requests are unanswered. Whatever is no request ends the connection with a trace line.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "broker/env/sync.h"
#include "broker/server/dispatch.h"
#include "broker/wire/frame.h"

namespace ordeal::server {

struct ConnectionLimits {
  std::size_t frame_max = 100 << 20;
  std::size_t in_flight_max = 64;
  Duration idle_max = 600s;  // without a request in flight
};

class Connection {
 public:
  Connection(Services& services, std::unique_ptr<env::Stream> stream, std::string listener, ConnectionLimits limits);
  // Serves until the stream ends or close() is called, and until the last handler is done. The owner keeps the
  // connection until then.
  env::Task<> run();
  void drain();  // takes no further request; those being handled are still answered
  void close();
  bool idle() const { return slots_.empty(); }

 private:
  struct Slot {
    std::optional<Reply> reply;  // set when the handler is done
  };

  env::Task<Error> read_loop();
  env::Task<Status> start_request(Slice frame);
  env::Task<> handle(std::shared_ptr<Slot> slot, Request request);
  env::Task<> write_loop();
  void watch_idleness();
  void report(const Error& error);

  Services& services_;
  std::unique_ptr<env::Stream> stream_;
  const std::string listener_;
  const ConnectionLimits limits_;
  wire::FrameReader frames_;
  env::Gate gate_;
  std::deque<std::shared_ptr<Slot>> slots_;  // unanswered requests, oldest first
  env::Signal changed_;                      // a reply is ready, a reply was sent, or the connection is closing
  std::uint64_t started_ = 0;                // handlers that have begun
  bool closed_ = false;
  bool draining_ = false;
  Instant last_activity_{};
  env::TimerId idle_timer_ = 0;
};

}  // namespace ordeal::server
