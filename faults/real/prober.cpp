#include "faults/real/prober.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "faults/real/clock.h"
#include "faults/real/netns.h"

namespace ordeal::nemesis {

namespace {

constexpr std::uint32_t kMagic = 0x4f524450;
constexpr Duration kSettle = 2ms;  // a datagram crosses the bridge in microseconds; this is for a busy machine
constexpr Duration kResend = 20ms;

struct Datagram {
  std::uint32_t magic;
  std::uint32_t round;
  std::uint16_t from;
  std::uint16_t to;
  std::uint16_t probe_class;
};

sockaddr_in endpoint(std::uint32_t address, std::uint16_t port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_addr.s_addr = address;
  result.sin_port = htons(port);
  return result;
}

}  // namespace

Result<Prober> Prober::create(const std::vector<Host>& hosts) {
  Prober prober;
  for (const Host& host : hosts) {
    const InNetns inside(host.netns.get());
    std::array<Fd, kProbeClasses> sockets;
    for (std::size_t i = 0; i < kProbeClasses; ++i) {
      sockets[i] = Fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      if (!sockets[i]) return fail_errno("opening a probe socket in " + host.id);
      const sockaddr_in at = endpoint(host.address, kProbePorts[i]);
      if (::bind(sockets[i].get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) {
        return fail_errno(fmt::format("binding the probe socket {}:{}", host.ip, kProbePorts[i]));
      }
    }
    prober.names_.push_back(host.id);
    prober.addresses_.push_back(host.address);
    prober.sockets_.push_back(std::move(sockets));
  }
  return prober;
}

void Prober::send(std::size_t probe_class, std::size_t from, std::size_t to) {
  const Datagram datagram{kMagic, round_, static_cast<std::uint16_t>(from), static_cast<std::uint16_t>(to),
                          static_cast<std::uint16_t>(probe_class)};
  const sockaddr_in at = endpoint(addresses_[to], kProbePorts[probe_class]);
  // A send that fails is a link that does not work, which is what the caller finds out from the missing arrival.
  (void)::sendto(sockets_[from][0].get(), &datagram, sizeof datagram, 0, reinterpret_cast<const sockaddr*>(&at),
                 sizeof at);
}

void Prober::receive(LinkMatrix& matrix, Duration wait) {
  std::vector<pollfd> polls;
  for (const auto& sockets : sockets_) {
    for (const Fd& socket : sockets) polls.push_back({socket.get(), POLLIN, 0});
  }
  const timespec timeout{0, wait.count()};
  if (::ppoll(polls.data(), polls.size(), &timeout, nullptr) <= 0) return;
  for (const pollfd& poll : polls) {
    if ((poll.revents & POLLIN) == 0) continue;
    Datagram datagram{};
    while (::recv(poll.fd, &datagram, sizeof datagram, 0) == static_cast<ssize_t>(sizeof datagram)) {
      const bool ours = datagram.magic == kMagic && datagram.round == round_ && datagram.from < matrix.hosts &&
                        datagram.to < matrix.hosts && datagram.probe_class < kProbeClasses;
      if (!ours) continue;  // a straggler of an earlier round
      matrix.open[(datagram.probe_class * matrix.hosts + datagram.from) * matrix.hosts + datagram.to] = true;
    }
  }
}

ProbeReport Prober::measure(const Expectation& expected, Duration patience) {
  ProbeReport report;
  const std::size_t hosts = names_.size();
  report.matrix = {hosts, std::vector<bool>(kProbeClasses * hosts * hosts, false)};
  ++round_;
  const auto each = [&](const auto& fn) {
    for (std::size_t c = 0; c < kProbeClasses; ++c) {
      for (std::size_t from = 0; from < hosts; ++from) {
        for (std::size_t to = 0; to < hosts; ++to) {
          if (from != to) fn(c, from, to);
        }
      }
    }
  };
  for (std::size_t c = 0; c < kProbeClasses; ++c) {
    for (std::size_t i = 0; i < hosts; ++i) report.matrix.open[(c * hosts + i) * hosts + i] = true;
  }
  const Instant start = now();
  each([&](std::size_t c, std::size_t from, std::size_t to) { send(c, from, to); });
  Instant resend = start + kResend;
  const auto missing = [&] {
    std::size_t count = 0;
    each([&](std::size_t c, std::size_t from, std::size_t to) {
      if (expected(c, from, to) && !report.matrix.at(c, from, to)) ++count;
    });
    return count;
  };
  while (missing() > 0 && now() < start + patience) {
    receive(report.matrix, 1ms);
    if (now() < resend) continue;
    resend += kResend;
    each([&](std::size_t c, std::size_t from, std::size_t to) {
      if (expected(c, from, to) && !report.matrix.at(c, from, to)) send(c, from, to);
    });
  }
  for (const Instant until = now() + kSettle; now() < until;) receive(report.matrix, 500us);
  report.took = now() - start;
  std::size_t closed = 0;
  std::size_t total = 0;
  std::string wrong;
  each([&](std::size_t c, std::size_t from, std::size_t to) {
    const bool open = report.matrix.at(c, from, to);
    ++total;
    closed += open ? 0 : 1;
    if (open != expected(c, from, to) && wrong.size() < 200) {
      wrong += fmt::format("{}{} -> {}{} is {}", wrong.empty() ? "" : ", ", names_[from], names_[to],
                           c == 0 ? "" : fmt::format(":{}", kProbePorts[c]), open ? "open" : "closed");
    }
  });
  report.as_expected = wrong.empty();
  const double ms = static_cast<double>(report.took.count()) / 1e6;
  report.evidence = wrong.empty()
                        ? fmt::format("probe matrix equals the plan: {} of {} probes closed, {} open ({:.1f} ms)",
                                      closed, total, total - closed, ms)
                        : fmt::format("probe matrix differs from the plan: {} ({:.1f} ms)", wrong, ms);
  return report;
}

}  // namespace ordeal::nemesis
