// The private network: one bridge in the nemesis's own namespace, one namespace and one cable a host.
//
// Everything between two hosts crosses the bridge's forward path, where the firewall can drop it by pair of ports
// (interfaces), whatever its protocol. Neighbours are permanent, so that neither a cut nor a heal waits for ARP.
#pragma once

#include <arpa/inet.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "broker/base/result.h"
#include "faults/real/fd.h"
#include "faults/real/netlink.h"
#include "faults/real/residents.h"

namespace ordeal::nemesis {

inline constexpr const char* kHarness = "harness";
inline constexpr const char* kHarnessIp = "10.77.0.1";

struct HostSpec {
  std::string id;
  std::string ip;
  std::string netns;  // path of a namespace that is there already (/proc/PID/ns/net); empty: a new one
};

struct Host {
  std::string id;
  std::string ip;
  std::uint32_t address = 0;  // network order
  std::string port;           // its interface on the bridge
  Mac mac{};
  Fd netns;                            // none: the host is in the network of whoever called us
  std::optional<Residents> residents;  // of a namespace that was there already
};

enum class TcpProfile {
  kernel,     // as the kernel does it: after a long cut TCP may wait half a minute to notice the heal
  fast_heal,  // retransmission at most one second apart, and no giving up
};

class Switch {
 public:
  // Call in the namespace that shall hold the bridge (netns.h: enter_new_netns). Adds the harness's host itself.
  static Result<Switch> build(const std::vector<HostSpec>& hosts, TcpProfile profile);
  // Names for clients that use the caller's network as it is: no bridge, nothing that could be cut or probed.
  static Switch names_only(const std::vector<HostSpec>& hosts);

  const std::vector<Host>& hosts() const { return hosts_; }
  const Host* find(const std::string& id) const;
  const std::map<std::string, std::string>& sysctls() const { return sysctls_; }  // set and read back

 private:
  Status add_host(Netlink& netlink, const HostSpec& spec, int bridge);
  Status configure(Host& host, TcpProfile profile);
  Status introduce();  // tells every host every other's hardware address

  std::vector<Host> hosts_;
  std::map<std::string, std::string> sysctls_;
};

}  // namespace ordeal::nemesis
