// Evidence about the network: who reaches whom right now, on any port and on each listener's port.
//
// The nemesis holds UDP sockets inside every host's namespace (a socket stays where it was opened), sends one datagram
// over each directed link and sees which arrive. No agent runs in the hosts, and a stopped or dead process there
// changes nothing. The firewall matches TCP and UDP alike, so a datagram to port 9093 stands for replication traffic.
#pragma once

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "broker/base/result.h"
#include "broker/base/types.h"
#include "faults/real/fd.h"
#include "faults/real/switch.h"

namespace ordeal::nemesis {

// Class 0 is any port without rules of its own; then client, replication, control.
inline constexpr std::array<std::uint16_t, 4> kProbePorts = {9099, 9092, 9093, 9094};
inline constexpr std::size_t kProbeClasses = kProbePorts.size();

struct LinkMatrix {
  std::size_t hosts = 0;
  std::vector<bool> open;  // [class][from][to]; the diagonal is true

  bool at(std::size_t probe_class, std::size_t from, std::size_t to) const {
    return open[(probe_class * hosts + from) * hosts + to];
  }
};

struct ProbeReport {
  LinkMatrix matrix;
  bool as_expected = false;
  std::string evidence;  // "probe matrix: 8 of 30 links closed as planned, 22 open (0.4 ms)"
  Duration took{};
};

class Prober {
 public:
  static Result<Prober> create(const std::vector<Host>& hosts);

  using Expectation = std::function<bool(std::size_t probe_class, std::size_t from, std::size_t to)>;  // open?
  // Blocks until every link that should be open has answered (then a moment more for those that should not), or until
  // `patience` has passed; lost datagrams are sent again meanwhile.
  ProbeReport measure(const Expectation& expected, Duration patience = 500ms);

 private:
  void send(std::size_t probe_class, std::size_t from, std::size_t to);
  void receive(LinkMatrix& matrix, Duration wait);

  std::vector<std::string> names_;
  std::vector<std::uint32_t> addresses_;
  std::vector<std::array<Fd, kProbeClasses>> sockets_;
  std::uint32_t round_ = 0;
};

}  // namespace ordeal::nemesis
