#include "faults/real/residents.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <charconv>
#include <filesystem>

#include "faults/real/fd.h"

namespace ordeal::nemesis {

Result<Residents> Residents::of(int netns) {
  struct stat facts{};
  if (::fstat(netns, &facts) != 0) return fail_errno("looking at a network namespace");
  Residents result;
  result.device_ = facts.st_dev;
  result.inode_ = facts.st_ino;
  const std::vector<pid_t> there = result.pids();
  result.holders_.insert(there.begin(), there.end());
  return result;
}

bool Residents::lives_here(pid_t pid) const {
  struct stat facts{};  // fails for whoever has just ended, or is a zombie
  return ::stat(fmt::format("/proc/{}/ns/net", pid).c_str(), &facts) == 0 && facts.st_dev == device_ &&
         facts.st_ino == inode_;
}

std::vector<pid_t> Residents::pids() const {
  std::vector<pid_t> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (parsed.ec != std::errc{} || parsed.ptr != name.data() + name.size()) continue;
    if (!holders_.contains(pid) && lives_here(pid)) found.push_back(pid);
  }
  return found;
}

Status Residents::signal(int number) const {
  int reached = 0;
  for (const pid_t pid : pids()) {
    const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!pidfd || !lives_here(pid)) continue;  // it ended, and the pid may be somebody else's by now
    if (::syscall(SYS_pidfd_send_signal, pidfd.get(), number, nullptr, 0) == 0) {
      ++reached;
    } else if (errno != ESRCH) {
      return fail_errno(fmt::format("sending signal {} to {}", number, pid));
    }
  }
  if (reached == 0) return fail(Errc::not_found, "nothing runs in its network namespace");
  return {};
}

}  // namespace ordeal::nemesis
