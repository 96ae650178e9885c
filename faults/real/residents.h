// Who lives in a network namespace: how faults find a broker that somebody else's program starts for us.
//
// A container's broker is no child of ours: a launcher (`docker start -a`) asks a daemon for it. What it starts lives
// in the namespace that the host was given, so that is where it is looked for, afresh for every signal, and a pid is
// signalled only through a pidfd whose process was seen in the namespace after it was opened.
#pragma once

#include <sys/types.h>

#include <set>
#include <vector>

#include "broker/base/result.h"

namespace ordeal::nemesis {

class Residents {
 public:
  // Whoever lives there now (a container that only holds the namespace) is none of ours, then and later.
  static Result<Residents> of(int netns);

  std::vector<pid_t> pids() const;  // processes, not threads
  Status signal(int number) const;  // Errc::not_found when nobody is there

 private:
  bool lives_here(pid_t pid) const;

  dev_t device_ = 0;
  ino_t inode_ = 0;
  std::set<pid_t> holders_;
};

}  // namespace ordeal::nemesis
