// One child process of the nemesis: start it in a host's network, signal it, and prove what became of it.
//
// Processes are reaped only here (through their pidfd), so a pid is never signalled after it was reused. Signals go to
// the whole process group, so that a wrapper script cannot hide the broker behind it.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "broker/base/result.h"
#include "broker/base/types.h"
#include "faults/real/fd.h"
#include "faults/real/residents.h"

namespace ordeal::nemesis {

struct SpawnSpec {
  std::vector<std::string> argv;           // argv[0] is searched in PATH
  std::map<std::string, std::string> env;  // on top of the nemesis's own
  std::string cwd;                         // empty: the nemesis's
  std::string stdin_path;                  // empty: /dev/null
  std::string stdout_path;                 // appended to; empty: /dev/null
  std::string stderr_path;                 // empty: where stdout goes
  int stdin_fd = -1;                       // instead of the paths, when not -1
  int stdout_fd = -1;
  int stderr_fd = -1;
  std::optional<Residents> starts;  // argv is a launcher: signals go to what it starts there, its exit is their exit
};

struct ExitStatus {
  int code = -1;   // exit code, or -1
  int signal = 0;  // the signal that ended it, or 0
  bool core = false;
  bool clean() const { return code == 0; }
  std::string to_string() const;
};

class Process {
 public:
  // Fails when the program cannot be executed. `netns`: the network namespace to run in; -1: the caller's.
  static Result<Process> spawn(const SpawnSpec& spec, int netns);

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  // readable once it has ended
  bool running() const { return !exit_; }
  std::vector<pid_t> acting() const;  // whom signals reach: itself, or what it started elsewhere; empty: not yet there
  const std::optional<ExitStatus>& exit() const { return exit_; }

  Status signal(int number);            // to the group, or to each of acting()
  bool reap();                          // true once it has ended; never blocks
  bool reap_within(Duration patience);  // blocks at most that long
  // Every thread of it and of its descendants is stopped (true) or none is (false); nullopt while mixed or gone.
  std::optional<bool> stopped() const;
  Status stop_and_verify(Duration patience);    // SIGSTOP; evidence is the ok
  Status resume_and_verify(Duration patience);  // SIGCONT
  int threads() const;                          // of it and its descendants

 private:
  pid_t pid_ = -1;
  Fd pidfd_;
  std::optional<Residents> starts_;
  std::optional<ExitStatus> exit_;
};

std::optional<int> signal_number(const std::string& name);  // "TERM", "SIGTERM" or "15"

}  // namespace ordeal::nemesis
