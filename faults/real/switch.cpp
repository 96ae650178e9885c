#include "faults/real/switch.h"

#include <net/if.h>

#include <fmt/format.h>

#include "faults/real/netns.h"

namespace ordeal::nemesis {

namespace {
constexpr std::uint8_t kPrefix = 24;

const std::vector<std::pair<std::string, std::string>>& fast_heal_sysctls() {
  // With retries capped at one second apart the default of 15 retries would end a connection within a 15 s cut.
  static const std::vector<std::pair<std::string, std::string>> list = {{"net.ipv4.tcp_rto_max_ms", "1000"},
                                                                        {"net.ipv4.tcp_retries2", "200"},
                                                                        {"net.ipv4.tcp_syn_linear_timeouts", "20"}};
  return list;
}
}  // namespace

const Host* Switch::find(const std::string& id) const {
  for (const Host& host : hosts_) {
    if (host.id == id) return &host;
  }
  return nullptr;
}

Status Switch::add_host(Netlink& netlink, const HostSpec& spec, int bridge) {
  const auto& [id, ip, path] = spec;
  Host host;
  host.id = id;
  host.ip = ip;
  host.port = "p-" + id;
  if (::inet_pton(AF_INET, ip.c_str(), &host.address) != 1) {
    return fail(Errc::invalid_argument, fmt::format("host {}: '{}' is no IPv4 address", id, ip));
  }
  for (const Host& other : hosts_) {
    if (other.id == id || other.address == host.address) {
      return fail(Errc::already_exists, fmt::format("host {} ({}) clashes with {} ({})", id, ip, other.id, other.ip));
    }
  }
  const auto* octets = reinterpret_cast<const std::uint8_t*>(&host.address);
  host.mac = {0x02, 0x0d, octets[0], octets[1], octets[2], octets[3]};  // 02: locally administered
  auto netns = path.empty() ? new_netns() : open_netns(path);
  if (!netns) return fail(netns.error());
  host.netns = std::move(*netns);
  if (!path.empty()) {
    auto residents = Residents::of(host.netns.get());
    if (!residents) return fail(residents.error());
    host.residents = std::move(*residents);
  }
  ORDEAL_TRY(add_veth(netlink, host.port, "eth0", host.mac, host.netns.get()));
  ORDEAL_TRY(set_up(netlink, static_cast<int>(::if_nametoindex(host.port.c_str())), bridge));
  hosts_.push_back(std::move(host));
  return {};
}

Status Switch::configure(Host& host, TcpProfile profile) {
  const InNetns inside(host.netns.get());
  write_sysctl("net.ipv6.conf.all.disable_ipv6", "1");  // its chatter would blur the drop counters
  write_sysctl("net.ipv6.conf.default.disable_ipv6", "1");
  if (profile == TcpProfile::fast_heal) {
    for (const auto& [name, value] : fast_heal_sysctls()) {
      if (write_sysctl(name, value)) sysctls_[name] = read_sysctl(name);
    }
  }
  auto netlink = Netlink::open(NETLINK_ROUTE);
  if (!netlink) return fail(netlink.error());
  const int eth0 = static_cast<int>(::if_nametoindex("eth0"));
  ORDEAL_TRY(add_address(*netlink, eth0, host.address, kPrefix));
  return set_up(*netlink, eth0);
}

Status Switch::introduce() {
  for (const Host& host : hosts_) {
    const InNetns inside(host.netns.get());
    auto netlink = Netlink::open(NETLINK_ROUTE);
    if (!netlink) return fail(netlink.error());
    const int eth0 = static_cast<int>(::if_nametoindex("eth0"));
    for (const Host& other : hosts_) {
      if (other.id != host.id) ORDEAL_TRY(add_neighbour(*netlink, eth0, other.address, other.mac));
    }
  }
  return {};
}

Switch Switch::names_only(const std::vector<HostSpec>& hosts) {
  Switch result;
  result.hosts_.emplace_back().id = kHarness;
  for (const HostSpec& spec : hosts) result.hosts_.emplace_back().id = spec.id;
  return result;
}

Result<Switch> Switch::build(const std::vector<HostSpec>& hosts, TcpProfile profile) {
  Switch result;
  // Per namespace: with it on, a host's FORWARD rules (Docker's) would filter our bridge. Absent without br_netfilter.
  for (const char* name : {"net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables",
                           "net.bridge.bridge-nf-call-arptables"}) {
    if (!read_sysctl(name).empty() && !write_sysctl(name, "0")) {
      return fail(Errc::unsupported, fmt::format("{} cannot be switched off in the switch's namespace", name));
    }
  }
  auto netlink = Netlink::open(NETLINK_ROUTE);
  if (!netlink) return fail(netlink.error());
  ORDEAL_TRY(add_bridge(*netlink, "br0"));
  const int bridge = static_cast<int>(::if_nametoindex("br0"));
  ORDEAL_TRY(set_up(*netlink, bridge));
  ORDEAL_TRY(result.add_host(*netlink, {kHarness, kHarnessIp, {}}, bridge));
  for (const HostSpec& spec : hosts) ORDEAL_TRY(result.add_host(*netlink, spec, bridge));
  for (Host& host : result.hosts_) ORDEAL_TRY(result.configure(host, profile));
  ORDEAL_TRY(result.introduce());
  return result;
}

}  // namespace ordeal::nemesis
