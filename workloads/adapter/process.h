// One adapter process: a program in any language that hosts Kafka clients and speaks JSON lines on its standard input
// and output (docs/formats/adapter.md).
//
// It never blocks its callers: lines are queued, and one thread writes, reads and sorts what comes by client id. The
// first thing that is wrong (an end that nobody asked for, silence, bytes that are no message) breaks it for good, with
// a reason that names the program; every client of it then says so.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "broker/base/result.h"
#include "workloads/adapter/message.h"

namespace ordeal::adapter {

inline constexpr int kProtocol = 1;

// Generous: they tell a dead program from a busy machine, nothing finer.
struct Limits {
  std::chrono::milliseconds hello{60000};    // from the start to its first word
  std::chrono::milliseconds reply{30000};    // beyond the time a command itself may take
  std::chrono::milliseconds close{15000};    // after the grace that a workload gives its last sends
  std::chrono::milliseconds silence{30000};  // without a single line, though asked for a sign of life
  std::chrono::milliseconds shutdown{5000};  // then it is killed
};

// What the adapter said of itself.
struct Hello {
  std::string client;   // "java": the history's client kind
  std::string library;  // "kafka-clients"
  std::string version;  // of the library
  std::string runtime;  // "OpenJDK 17.0.15"; may be empty
  std::vector<std::string> features;
};

class Process {
 public:
  // Starts the program and shakes hands.
  static Result<std::shared_ptr<Process>> start(const std::vector<std::string>& argv, Limits limits = {});
  ~Process();  // asks it to shut down, then kills it
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  const Hello& hello() const { return hello_; }
  const Limits& limits() const { return limits_; }
  std::uint64_t open_client();  // a new id whose messages are kept for take()
  void close_client(std::uint64_t id);
  void post(std::string line);  // queues one line; lines of one caller keep their order
  // The next message for `id`, waiting up to `wait`. None: nothing came, or it is broken and all was taken.
  std::optional<Message> take(std::uint64_t id, std::chrono::milliseconds wait);
  std::optional<Error> broken() const;
  void fail_with(const std::string& why);  // the first reason stays

 private:
  Process(std::vector<std::string> argv, Limits limits) : argv_(std::move(argv)), limits_(limits) {}
  Status spawn();
  Status shake_hands();
  void run();  // the thread
  bool write_some();
  bool read_some();
  void on_line(std::string_view line);
  void on_end();
  void watch_silence();
  void wake() const;
  std::string name() const;

  const std::vector<std::string> argv_;
  const Limits limits_;
  Hello hello_;
  pid_t pid_ = -1;
  int in_ = -1;      // its standard input
  int out_ = -1;     // its standard output
  int wakeup_ = -1;  // an eventfd: there is something to write, or to stop for
  std::thread thread_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> outbox_;
  std::map<std::uint64_t, std::deque<Message>> inboxes_;
  std::optional<Error> broken_;
  std::uint64_t last_id_ = 0;
  bool stopping_ = false;
  bool ended_ = false;

  // Of the thread alone.
  std::string writing_;
  std::size_t written_ = 0;
  std::string reading_;
  std::size_t searched_ = 0;  // no end of line before it
  bool greeted_ = false;      // it has spoken: from now on silence means something
  std::chrono::steady_clock::time_point last_word_;
  std::chrono::steady_clock::time_point last_ping_;
};

}  // namespace ordeal::adapter
