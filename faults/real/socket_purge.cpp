#include "faults/real/socket_purge.h"

#include <fmt/format.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>

#include "faults/real/netns.h"

namespace ordeal::nemesis {

namespace {

constexpr std::uint16_t kSockDestroy = 21;  // SOCK_DESTROY; older headers lack it
constexpr std::uint32_t kConnectedStates = 0xfff & ~((1U << TCP_LISTEN) | (1U << TCP_CLOSE) | (1U << TCP_TIME_WAIT));

// The IPv4 peer, also of an IPv6 socket that speaks IPv4 (Java's).
std::uint32_t peer_of(const inet_diag_msg& socket) {
  if (socket.idiag_family == AF_INET) return socket.id.idiag_dst[0];
  const bool mapped =
      socket.id.idiag_dst[0] == 0 && socket.id.idiag_dst[1] == 0 && socket.id.idiag_dst[2] == htonl(0xffff);
  return mapped ? socket.id.idiag_dst[3] : 0;
}

Result<std::vector<inet_diag_req_v2>> list(Netlink& netlink, std::uint8_t family, const std::set<std::uint32_t>& peers,
                                           const std::set<std::uint16_t>& ports) {
  inet_diag_req_v2 query{};
  query.sdiag_family = family;
  query.sdiag_protocol = IPPROTO_TCP;
  query.idiag_states = kConnectedStates;
  NetlinkMessage message(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP);
  message.put(query);
  std::vector<inet_diag_req_v2> found;
  const auto each = [&](const nlmsghdr& header) {
    const auto& socket = *static_cast<const inet_diag_msg*>(NLMSG_DATA(&header));
    const bool port =
        ports.empty() || ports.contains(ntohs(socket.id.idiag_sport)) || ports.contains(ntohs(socket.id.idiag_dport));
    if (!port || !peers.contains(peer_of(socket))) return;
    inet_diag_req_v2 victim = query;
    victim.id = socket.id;
    found.push_back(victim);
  };
  ORDEAL_TRY(netlink.dump(message, each, "listing connections"));
  return found;
}

}  // namespace

Result<int> destroy_connections(const Host& host, const std::set<std::uint32_t>& peers,
                                const std::set<std::uint16_t>& ports) {
  const InNetns inside(host.netns.get());
  auto netlink = Netlink::open(NETLINK_SOCK_DIAG);
  if (!netlink) return fail(netlink.error());
  int destroyed = 0;
  for (const std::uint8_t family : {AF_INET, AF_INET6}) {
    auto victims = list(*netlink, family, peers, ports);
    if (!victims) return fail(victims.error());
    for (const inet_diag_req_v2& victim : *victims) {
      NetlinkMessage message(kSockDestroy, NLM_F_ACK);
      message.put(victim);
      const Status done = netlink->request(message, "destroying a connection of " + host.id);
      if (done) {
        ++destroyed;
      } else if (done.error().code != Errc::not_found) {  // not found: it ended by itself meanwhile
        return fail(done.error());
      }
    }
  }
  return destroyed;
}

}  // namespace ordeal::nemesis
