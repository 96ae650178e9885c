// Namespaces without names: a network namespace lives as long as somebody holds its descriptor or runs in it, so when
// the nemesis dies they all vanish and nothing is left to clean up.
#pragma once

#include <sys/types.h>

#include <string>

#include "broker/base/result.h"
#include "faults/real/fd.h"

namespace ordeal::nemesis {

// Moves the calling thread into a namespace and back at the end of the scope. Aborts if the way back fails, since a
// thread in the wrong network would inject faults into somebody else's.
class InNetns {
 public:
  explicit InNetns(int netns);
  ~InNetns();
  InNetns(const InNetns&) = delete;
  InNetns& operator=(const InNetns&) = delete;

 private:
  Fd home_;
};

Result<Fd> current_netns();
Result<Fd> open_netns(const std::string& path);  // one that somebody else made, such as /proc/PID/ns/net
// Creates a network namespace with its loopback up, and returns its descriptor; the caller stays where it was.
Result<Fd> new_netns();
// The calling thread leaves its network namespace for a new, empty one, for good.
Status enter_new_netns();

// /proc/sys/<path with dots as slashes> of the caller's network namespace. False when this kernel does not have it.
bool write_sysctl(const std::string& name, const std::string& value);
std::string read_sysctl(const std::string& name);

// When not root: becomes root of a new user namespace (only this process and its children see it). The error says what
// to do. The process must be single-threaded. Returns true when it had to.
Result<bool> become_root();

// Starts the first process of a new PID namespace, for the caller's later children. It dies with the caller (SIGKILL
// from the kernel, whatever killed the caller), and then the kernel kills everything in the namespace.
Result<pid_t> start_reaper();

}  // namespace ordeal::nemesis
