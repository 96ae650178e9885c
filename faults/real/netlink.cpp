#include "faults/real/netlink.h"

#include <linux/if_link.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>

#include "broker/base/check.h"

namespace ordeal::nemesis {

NetlinkMessage::NetlinkMessage(std::uint16_t type, std::uint16_t flags) {
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  append(&header, sizeof header);
}

NetlinkMessage& NetlinkMessage::append(const void* data, std::size_t size) {
  const auto* from = static_cast<const std::uint8_t*>(data);
  bytes_.insert(bytes_.end(), from, from + size);
  bytes_.resize(NLMSG_ALIGN(bytes_.size()));
  return *this;
}

NetlinkMessage& NetlinkMessage::attribute_bytes(std::uint16_t type, const void* data, std::size_t size) {
  rtattr header{};
  header.rta_type = type;
  header.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size));
  append(&header, sizeof header);
  return append(data, size);
}

NetlinkMessage& NetlinkMessage::begin(std::uint16_t type) {
  open_.push_back(bytes_.size());
  rtattr header{};
  header.rta_type = type;
  return append(&header, sizeof header);
}

NetlinkMessage& NetlinkMessage::end() {
  ORDEAL_CHECK(!open_.empty(), "a nested attribute is closed that was not opened");
  const std::size_t at = open_.back();
  open_.pop_back();
  const auto length = static_cast<std::uint16_t>(bytes_.size() - at);
  std::memcpy(bytes_.data() + at, &length, sizeof length);
  return *this;
}

std::vector<std::uint8_t>& NetlinkMessage::finish() {
  ORDEAL_CHECK(open_.empty(), "a nested attribute is still open");
  const auto length = static_cast<std::uint32_t>(bytes_.size());
  std::memcpy(bytes_.data() + offsetof(nlmsghdr, nlmsg_len), &length, sizeof length);
  return bytes_;
}

void NetlinkMessage::set_sequence(std::uint32_t sequence) {
  std::memcpy(bytes_.data() + offsetof(nlmsghdr, nlmsg_seq), &sequence, sizeof sequence);
}

Result<Netlink> Netlink::open(int protocol) {
  Netlink netlink;
  netlink.socket_ = Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!netlink.socket_) return fail_errno("opening a netlink socket");
  return netlink;
}

Status Netlink::request(NetlinkMessage& message, const std::string& doing) {
  // NLM_F_ACK makes the kernel answer with an error message, code 0 on success.
  return dump(message, [](const nlmsghdr&) {}, doing);
}

Status Netlink::dump(NetlinkMessage& message, const std::function<void(const nlmsghdr&)>& each,
                     const std::string& doing) {
  const std::uint32_t sequence = ++sequence_;
  message.set_sequence(sequence);
  const std::vector<std::uint8_t>& bytes = message.finish();
  if (::send(socket_.get(), bytes.data(), bytes.size(), 0) < 0) return fail_errno(doing);
  std::vector<std::uint8_t> buffer(64 * 1024);
  while (true) {
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(doing);
    auto left = static_cast<unsigned>(got);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_seq != sequence) continue;  // an answer to an earlier, failed request
      if (header->nlmsg_type == NLMSG_DONE) return {};
      if (header->nlmsg_type != NLMSG_ERROR) {
        each(*header);
        continue;
      }
      const int code = -reinterpret_cast<nlmsgerr*>(NLMSG_DATA(header))->error;
      if (code == 0) return {};
      errno = code;
      if (code == ENOENT || code == ESRCH) return fail(Errc::not_found, doing + ": " + std::strerror(code));
      return fail_errno(doing);
    }
  }
}

Status add_bridge(Netlink& netlink, const std::string& name) {
  NetlinkMessage message(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  message.put(ifinfomsg{}).attribute_text(IFLA_IFNAME, name);
  message.begin(IFLA_LINKINFO).attribute_bytes(IFLA_INFO_KIND, "bridge", 6).end();
  return netlink.request(message, "creating the bridge " + name);
}

Status add_veth(Netlink& netlink, const std::string& name, const std::string& peer, const Mac& peer_mac,
                int peer_namespace) {
  NetlinkMessage message(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  message.put(ifinfomsg{}).attribute_text(IFLA_IFNAME, name);
  message.begin(IFLA_LINKINFO).attribute_bytes(IFLA_INFO_KIND, "veth", 4).begin(IFLA_INFO_DATA).begin(VETH_INFO_PEER);
  message.put(ifinfomsg{}).attribute_text(IFLA_IFNAME, peer);
  message.attribute_bytes(IFLA_ADDRESS, peer_mac.data(), peer_mac.size()).attribute(IFLA_NET_NS_FD, peer_namespace);
  message.end().end().end();
  return netlink.request(message, "creating the veth pair " + name);
}

Status set_up(Netlink& netlink, int index, int master) {
  NetlinkMessage message(RTM_NEWLINK, NLM_F_ACK);
  ifinfomsg link{};
  link.ifi_index = index;
  link.ifi_flags = IFF_UP;
  link.ifi_change = IFF_UP;
  message.put(link);
  if (master != 0) message.attribute(IFLA_MASTER, master);
  return netlink.request(message, "bringing an interface up");
}

Status add_address(Netlink& netlink, int index, std::uint32_t ip, std::uint8_t prefix) {
  NetlinkMessage message(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
  ifaddrmsg address{};
  address.ifa_family = AF_INET;
  address.ifa_prefixlen = prefix;
  address.ifa_index = static_cast<unsigned>(index);
  message.put(address).attribute(IFA_LOCAL, ip).attribute(IFA_ADDRESS, ip);
  return netlink.request(message, "giving an interface its address");
}

Status add_neighbour(Netlink& netlink, int index, std::uint32_t ip, const Mac& mac) {
  NetlinkMessage message(RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE);
  ndmsg neighbour{};
  neighbour.ndm_family = AF_INET;
  neighbour.ndm_ifindex = index;
  neighbour.ndm_state = NUD_PERMANENT;
  message.put(neighbour).attribute(NDA_DST, ip).attribute_bytes(NDA_LLADDR, mac.data(), mac.size());
  return netlink.request(message, "fixing a neighbour's address");
}

}  // namespace ordeal::nemesis
