// The cuts, as one nftables table in the switch's namespace.
//
// The kernel is told the whole new state in one transaction, so all links of a fault change at one instant. The table
// has an owner (our netlink socket): when this process dies, the kernel removes the table and every link is open.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "broker/base/result.h"

struct nft_ctx;

namespace ordeal::nemesis {

// Frames from one bridge port to another. `port` 0: every frame; else only TCP and UDP with that port at either end.
struct PortCut {
  std::string from;
  std::string to;
  std::uint16_t port = 0;
  auto operator<=>(const PortCut&) const = default;
};

// The drop counters in nftables' own listing of a set. Text on purpose: the JSON printer of libnftables 1.0.6 corrupts
// the heap of the process that calls it (found with two lines of it in a loop).
std::map<PortCut, std::uint64_t> parse_counters(std::string_view listing);

class Firewall {
 public:
  // In the calling thread's network namespace, which must be the switch's.
  static Result<std::unique_ptr<Firewall>> create();
  ~Firewall();

  Status set(const std::set<PortCut>& cuts);  // exactly these from now on; atomic
  const std::set<PortCut>& cuts() const { return cuts_; }
  Result<std::map<PortCut, std::uint64_t>> dropped();  // frames dropped so far by each cut now in force

 private:
  Firewall() = default;
  Result<std::string> run(const std::string& commands);

  nft_ctx* context_ = nullptr;
  std::set<PortCut> cuts_;
};

}  // namespace ordeal::nemesis
