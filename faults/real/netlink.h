// Just enough rtnetlink to build the switch: links, addresses, neighbours. No libraries, no subprocesses, so that the
// network stands in milliseconds and needs no tools. A socket speaks to the namespace it was opened in, for ever.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/base/result.h"
#include "faults/real/fd.h"

namespace ordeal::nemesis {

// One request under construction: header, fixed part, attributes.
class NetlinkMessage {
 public:
  NetlinkMessage(std::uint16_t type, std::uint16_t flags);

  template <class T>
  NetlinkMessage& put(const T& fixed) {
    return append(&fixed, sizeof fixed);
  }
  template <class T>
  NetlinkMessage& attribute(std::uint16_t type, const T& value) {
    return attribute_bytes(type, &value, sizeof value);
  }
  NetlinkMessage& attribute_text(std::uint16_t type, const std::string& value) {
    return attribute_bytes(type, value.c_str(), value.size() + 1);
  }
  NetlinkMessage& attribute_bytes(std::uint16_t type, const void* data, std::size_t size);
  NetlinkMessage& begin(std::uint16_t type);  // nested attributes until end()
  NetlinkMessage& end();
  std::vector<std::uint8_t>& finish();  // with its length set
  void set_sequence(std::uint32_t sequence);

 private:
  NetlinkMessage& append(const void* data, std::size_t size);
  std::vector<std::uint8_t> bytes_;
  std::vector<std::size_t> open_;
};

class Netlink {
 public:
  // In the calling thread's network namespace. `protocol`: NETLINK_ROUTE or NETLINK_SOCK_DIAG.
  static Result<Netlink> open(int protocol);

  // Sends and waits for the kernel's acknowledgement; `doing` names the request in errors.
  Status request(NetlinkMessage& message, const std::string& doing);
  // Sends a dump request and hands over each answer.
  Status dump(NetlinkMessage& message, const std::function<void(const nlmsghdr&)>& each, const std::string& doing);

 private:
  Fd socket_;
  std::uint32_t sequence_ = 0;
};

using Mac = std::array<std::uint8_t, 6>;

// Requests on a NETLINK_ROUTE socket; names are of interfaces in its namespace.
Status add_bridge(Netlink& netlink, const std::string& name);
// One end stays here; the other appears as `peer` with `peer_mac` in the namespace `peer_namespace`.
Status add_veth(Netlink& netlink, const std::string& name, const std::string& peer, const Mac& peer_mac,
                int peer_namespace);
Status set_up(Netlink& netlink, int index, int master = 0);
Status add_address(Netlink& netlink, int index, std::uint32_t ip, std::uint8_t prefix);  // ip in network order
Status add_neighbour(Netlink& netlink, int index, std::uint32_t ip, const Mac& mac);     // permanent

}  // namespace ordeal::nemesis
