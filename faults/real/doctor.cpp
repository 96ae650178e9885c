#include "faults/real/doctor.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <cstdlib>

#include "faults/real/firewall.h"
#include "faults/real/netns.h"
#include "faults/real/prober.h"
#include "faults/real/process.h"
#include "faults/real/socket_purge.h"
#include "faults/real/switch.h"

namespace ordeal::nemesis {

using nlohmann::json;

namespace {

// The examination so far; `needed` things decide whether trials can run here at all.
class Examination {
 public:
  void record(const std::string& name, const Status& result, const std::string& costs, bool needed = true) {
    const bool ok = result.has_value();
    list_.push_back(
        {{"name", name}, {"ok", ok}, {"detail", ok ? "works" : result.error().text}, {"costs", ok ? "" : costs}});
    able_ = able_ && (ok || !needed);
  }
  json finish(bool rootless) const {
    utsname kernel{};
    ::uname(&kernel);
    return {{"kernel", kernel.release}, {"rootless", rootless}, {"able", able_}, {"capabilities", list_}};
  }

 private:
  json list_ = json::array();
  bool able_ = true;
};

Status try_pidfd() {
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!pidfd) return fail_errno("pidfd_open");
  return {};
}

Status can_open(const char* path, int flags) {
  const Fd fd(::open(path, flags | O_CLOEXEC));
  if (!fd) return fail_errno(path);
  return {};
}

Status try_docker() {
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  std::strncpy(at.sun_path, "/var/run/docker.sock", sizeof at.sun_path - 1);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) return fail_errno(at.sun_path);
  return {};
}

// A real connection over loopback, destroyed under the feet of both ends.
Status try_socket_destroy(const Host& host) {
  Fd listener;
  Fd client;
  {
    const InNetns inside(host.netns.get());
    listener = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    client = Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  }
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = host.address;
  socklen_t size = sizeof at;
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), size) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &size) != 0 ||
      ::connect(client.get(), reinterpret_cast<sockaddr*>(&at), size) != 0) {
    return fail_errno("connecting to oneself");
  }
  const auto destroyed = destroy_connections(host, {host.address}, {});
  if (!destroyed) return fail(destroyed.error());
  pollfd poll{client.get(), POLLIN, 0};
  if (*destroyed == 0 || ::poll(&poll, 1, 1000) != 1) return fail(Errc::unsupported, "the connection survived");
  return {};
}

Status try_firewall(const Switch& network) {
  auto firewall = Firewall::create();
  if (!firewall) return fail(firewall.error());
  auto prober = Prober::create(network.hosts());
  if (!prober) return fail(prober.error());
  const auto all_open = [](std::size_t, std::size_t, std::size_t) { return true; };
  if (const auto report = prober->measure(all_open); !report.as_expected) return fail(Errc::io, report.evidence);
  ORDEAL_TRY((*firewall)->set({{network.hosts()[0].port, network.hosts()[1].port, 0}}));
  const auto one_cut = [](std::size_t, std::size_t from, std::size_t) { return from != 0; };
  if (const auto report = prober->measure(one_cut); !report.as_expected) return fail(Errc::io, report.evidence);
  return {};
}

// Each thing stands on the ones before it, so the first failure ends the chain.
void examine_network(Examination& examination) {
  const std::string costs = "no trial on real processes; simulated worlds still work";
  const Status netns = enter_new_netns();
  examination.record("network namespaces", netns, costs);
  if (!netns) return;
  auto network = Switch::build({{"n1", "10.77.0.11", ""}}, TcpProfile::fast_heal);
  examination.record("bridge and veth", network ? Status() : Status(fail(network.error())), costs);
  if (!network) return;
  examination.record("nftables cuts a bridge link", try_firewall(*network), costs);
  examination.record("socket destroy", try_socket_destroy(network->hosts()[1]),
                     "after a heal old connections wait for TCP, up to half a minute after long cuts", false);
  const bool capped = network->sysctls().contains("net.ipv4.tcp_rto_max_ms");
  examination.record("tcp_rto_max_ms",
                     capped ? Status() : Status(fail(Errc::unsupported, "this kernel is older than 6.15")),
                     "TCP backs off beyond one second during cuts", false);
  const auto reaper = start_reaper();
  examination.record("PID namespaces", reaper ? Status() : Status(fail(reaper.error())), costs);
}

json examine_here() {
  Examination examination;
  const auto rootless = become_root();
  examination.record(rootless && !*rootless ? "root" : "user namespaces",
                     rootless ? Status() : Status(fail(rootless.error())), "no trial on real processes without root");
  examination.record("pidfd", try_pidfd(), "processes cannot be supervised safely");
  if (rootless) examine_network(examination);
  examination.record("FUSE", can_open("/dev/fuse", O_RDWR), "no disk faults through a fault filesystem", false);
  examination.record("loop devices", can_open("/dev/loop-control", O_RDWR), "no power cuts on real filesystems", false);
  examination.record("docker", try_docker(), "no containers as targets", false);
  return examination.finish(rootless.value_or(false));
}

}  // namespace

json examine_machine() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {{"able", false}, {"capabilities", json::array()}};
  const Fd reader(ends[0]);
  Fd writer(ends[1]);
  const pid_t child = ::fork();  // it enters namespaces that the caller must not be in
  if (child == 0) {
    const std::string text = examine_here().dump();
    ::_exit(::write(writer.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  writer.close();
  std::string text;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(reader.get(), buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(got));
  }
  int status = 0;
  if (child > 0) ::waitpid(child, &status, 0);
  json result = json::parse(text, nullptr, false);
  if (!result.is_object()) {
    return {{"able", false},
            {"capabilities",
             {{{"name", "examination"},
               {"ok", false},
               {"detail", fmt::format("it died (wait status {})", status)},
               {"costs", "everything"}}}}};
  }
  return result;
}

}  // namespace ordeal::nemesis
