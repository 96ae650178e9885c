#include "faults/real/netns.h"

#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>
#include <fstream>

#include "broker/base/check.h"
#include "faults/real/netlink.h"

namespace ordeal::nemesis {

namespace {

constexpr int kLoopbackIndex = 1;

Status write_text(const std::string& path, const std::string& text) {
  Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return fail_errno("opening " + path);
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return fail_errno("writing " + path);
  }
  return {};
}

std::string sysctl_path(std::string name) {
  std::replace(name.begin(), name.end(), '.', '/');
  return "/proc/sys/" + name;
}

}  // namespace

InNetns::InNetns(int netns) : home_(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC)) {
  ORDEAL_CHECK(home_, "the own network namespace cannot be opened: {}", std::strerror(errno));
  ORDEAL_CHECK(::setns(netns, CLONE_NEWNET) == 0, "entering a network namespace: {}", std::strerror(errno));
}

InNetns::~InNetns() {
  ORDEAL_CHECK(::setns(home_.get(), CLONE_NEWNET) == 0, "leaving a network namespace: {}", std::strerror(errno));
}

Result<Fd> current_netns() {
  Fd netns(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!netns) return fail_errno("opening /proc/self/ns/net");
  return netns;
}

Result<Fd> open_netns(const std::string& path) {
  Fd netns(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!netns) return fail_errno("opening the network namespace " + path);
  return netns;
}

Status enter_new_netns() {
  if (::unshare(CLONE_NEWNET) != 0) return fail_errno("creating a network namespace");
  auto netlink = Netlink::open(NETLINK_ROUTE);
  if (!netlink) return fail(netlink.error());
  return set_up(*netlink, kLoopbackIndex);
}

Result<Fd> new_netns() {
  auto home = current_netns();
  if (!home) return fail(home.error());
  const InNetns back(home->get());  // restores the caller's namespace on every path
  ORDEAL_TRY(enter_new_netns());
  return current_netns();
}

bool write_sysctl(const std::string& name, const std::string& value) {
  return write_text(sysctl_path(name), value).has_value();
}

std::string read_sysctl(const std::string& name) {
  std::ifstream file(sysctl_path(name));
  std::string value;
  std::getline(file, value);
  return value;
}

Result<bool> become_root() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (uid == 0) {
    // Root in a container may still lack the right to make namespaces; then a user namespace may help.
    const pid_t probe = ::fork();
    if (probe == 0) ::_exit(::unshare(CLONE_NEWNET | CLONE_NEWPID) == 0 ? 0 : 1);
    int status = 1;
    if (probe > 0 && ::waitpid(probe, &status, 0) == probe && status == 0) return false;
  }
  if (::unshare(CLONE_NEWUSER) != 0) {
    const std::string why = std::strerror(errno);
    const std::string limit = read_sysctl("user.max_user_namespaces");
    std::string text =
        fmt::format("cannot create a user namespace ({}), and without root the private network needs one.", why);
    text += " Run as root, or let the administrator allow it:";
    if (limit == "0") text += " sysctl -w user.max_user_namespaces=10000";
    if (read_sysctl("kernel.unprivileged_userns_clone") == "0") text += " sysctl -w kernel.unprivileged_userns_clone=1";
    if (read_sysctl("kernel.apparmor_restrict_unprivileged_userns") == "1") {
      text += " sysctl -w kernel.apparmor_restrict_unprivileged_userns=0";
    }
    if (text.ends_with(':')) text += " unprivileged user namespaces (in a container: its seccomp profile)";
    return fail(Errc::unsupported, text);
  }
  ORDEAL_TRY(write_text("/proc/self/setgroups", "deny"));
  ORDEAL_TRY(write_text("/proc/self/uid_map", fmt::format("0 {} 1", uid)));
  ORDEAL_TRY(write_text("/proc/self/gid_map", fmt::format("0 {} 1", gid)));
  return true;
}

Result<pid_t> start_reaper() {
  if (::unshare(CLONE_NEWPID) != 0) return fail_errno("creating a PID namespace");
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("opening a pipe");
  Fd reader(ends[0]);
  Fd writer(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("starting the PID namespace");
  if (pid > 0) {
    // The kernel's promise to kill it holds only if we are alive when it asks for it: wait until it has asked. (It
    // cannot find out itself, since a parent outside its namespace has no pid there.)
    writer.close();
    char ready = 0;
    if (::read(reader.get(), &ready, 1) != 1) return fail(Errc::internal, "the PID namespace's first process died");
    return pid;
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_NAME, "ordeal-reaper");
  ::setsid();
  reader.close();
  if (::write(writer.get(), "r", 1) != 1) ::_exit(1);  // nobody reads: the parent died before it could be asked for
  ::close_range(0, ~0U, 0);                            // it must hold neither our pipes nor our namespaces
  while (true) {
    if (::waitpid(-1, nullptr, 0) < 0) ::usleep(100'000);  // orphans of the namespace end here
  }
}

}  // namespace ordeal::nemesis
