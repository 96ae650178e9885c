// Trace events of a real broker: JSON lines to a file and to whoever connects to a local socket.
//
// emit() formats and queues; a thread of its own writes. The queue is bounded: what does not fit is dropped, counted
// and reported in a `trace.dropped` event, because a verdict that depends on a complete trace must know.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "broker/base/result.h"
#include "broker/base/trace.h"
#include "broker/base/types.h"

namespace ordeal::real {

class RealTrace final : public TraceSink {
 public:
  struct Options {
    NodeId node = kNoNode;
    std::string file;                    // empty: no file
    std::string socket;                  // path of a Unix stream socket; empty: none
    Severity log_from = Severity::info;  // events this severe are also written to stderr as readable lines
    std::size_t queue_max = 65536;
  };
  static Result<std::unique_ptr<RealTrace>> open(Options options);
  ~RealTrace() override;  // writes what is queued

  void emit(Severity severity, std::string_view kind, std::initializer_list<TraceField> fields) override;

 private:
  explicit RealTrace(Options options) : options_(std::move(options)) {}
  Status start();
  void run();
  void write_out(const std::vector<std::string>& lines);
  void accept_subscribers();
  std::string dropped_line(std::uint64_t count) const;

  Options options_;
  int file_ = -1;
  int listener_ = -1;
  std::vector<int> subscribers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::string> queue_;
  std::uint64_t dropped_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ordeal::real
