// The simulated network: TCP-like byte streams between hosts, with seeded latency, cuts, clogs and dead peers.
//
// What holds, as with TCP: bytes of one direction of one connection arrive whole and in order, or the connection ends.
// A cut link is silence, not an error: what is sent waits (as retransmission would) and flows again after the heal.
// A cut of one direction also starves the other: its acknowledgements do not return, so its window fills.
// A process that dies closes its connections (FIN or RST by draw; held back by a cut until it heals); a host that
// loses power says nothing, and once it is back it answers leftovers with RST. A connection attempt waits for an
// answer until its deadline, is refused by a host that is up without a listener, and gets silence from one that is
// down.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "broker/base/random.h"
#include "broker/env/network.h"
#include "faults/sim/sim_executor.h"
#include "faults/sim/sim_messages.h"

namespace ordeal::sim {

struct NetworkProfile {
  Duration latency_min{50'000};
  Duration latency_max{600'000};
  std::uint64_t slow_in = 200;  // one delivery in so many takes up to slow_max; 0: never
  Duration slow_max{30'000'000};
  std::size_t window = 1 << 20;  // unacknowledged bytes one direction may hold
  std::uint64_t split_in = 4;    // one write in so many arrives in two pieces; 0: never
};

// A directed link, as a cut names it. port 0 means every port; else only connections to or from that listening port.
struct Link {
  std::string from;
  std::string to;
  std::uint16_t port = 0;
  auto operator<=>(const Link&) const = default;
};

struct Connection;
struct ListenerState;
struct Packet;

class SimNetwork {
 public:
  SimNetwork(SimLoop& loop, Random random, NetworkProfile profile);
  ~SimNetwork();
  SimNetwork(const SimNetwork&) = delete;
  SimNetwork& operator=(const SimNetwork&) = delete;

  void add_host(const std::string& host) { hosts_.insert(host); }
  const std::set<std::string>& hosts() const { return hosts_; }

  void cut(const Link& link);   // counted: two cuts of one link need two heals
  void heal(const Link& link);  // no-op when not cut
  void heal_all();              // cuts and clogs
  bool is_cut(const std::string& from, const std::string& to, std::uint16_t port) const;
  void clog(const std::string& from, const std::string& to, Instant until);   // nothing arrives before `until`
  void slow(const std::string& from, const std::string& to, Duration extra);  // added to every delivery; 0 ends it

  // Single messages: sim_messages.h. Faults are tried in the order in which they were added; the first that fits acts.
  void add_message_fault(MessageFault fault);
  void remove_message_fault(const std::string& name);  // acts no more; what it holds is released
  void release(const std::string& name);               // what that hold keeps goes on its way; it holds no more
  std::size_t held(const std::string& name) const;     // messages waiting in that hold
  std::uint64_t message_hits(const std::string& name) const;  // messages that faults of that name have acted on so far
  void on_message(std::function<void(const MessageSeen&)> seen);  // the message log; empty: off

  void process_died(const SimScheduler& process, const std::string& host);  // sockets close: FIN or RST goes out
  void host_down(const std::string& host);                                  // power: silence
  void host_up(const std::string& host);
  // RST to both ends of each connection between the two; port 0: all, else those of that listening port.
  void reset_connections(const std::string& a, const std::string& b, std::uint16_t port = 0);

  std::uint64_t delivered_bytes() const { return delivered_bytes_; }
  std::size_t open_connections() { return alive().size(); }

 private:
  friend class HostNetwork;
  friend class SimStream;
  friend class SimListener;
  using ConnectionPtr = std::shared_ptr<Connection>;

  // `side` is always the sender's (0: who connected, 1: who accepted).
  void send(const ConnectionPtr& connection, int side, Packet packet);
  void deliver(const ConnectionPtr& connection, int side);  // in order, as far as it came and no cut holds it
  void process(const ConnectionPtr& connection, int side, Packet packet);
  void process_syn(const ConnectionPtr& connection);
  void acknowledge(Connection& connection, int reader, std::size_t bytes);
  void after_heal();
  void end_side(const ConnectionPtr& connection, int side, bool abort);
  std::vector<ConnectionPtr> alive();  // in order of creation; forgets those gone
  Instant draw_arrival(const Connection& connection, int side);
  bool cut_from(const Connection& connection, int side) const;
  bool up(const std::string& host) const { return hosts_.contains(host) && !down_.contains(host); }
  std::uint16_t ephemeral_port(const std::string& host);

  SimLoop& loop_;
  Random random_;
  NetworkProfile profile_;
  std::set<std::string> hosts_;
  std::set<std::string> down_;
  std::map<Link, int> cuts_;
  std::map<std::pair<std::string, std::string>, Instant> clogs_;
  std::map<std::pair<std::string, std::string>, Duration> slowed_;
  std::map<Endpoint, std::shared_ptr<ListenerState>> listeners_;
  std::map<std::uint64_t, std::weak_ptr<Connection>> connections_;
  std::map<std::string, std::uint16_t> ephemeral_;
  std::uint64_t next_connection_ = 1;
  std::uint64_t delivered_bytes_ = 0;
};

// The env::Network of one incarnation on one host.
class HostNetwork final : public env::Network {
 public:
  HostNetwork(SimNetwork& network, SimScheduler& scheduler, std::string host)
      : network_(network), scheduler_(scheduler), host_(std::move(host)) {}

  Result<std::unique_ptr<env::Listener>> listen(Endpoint at) override;
  env::Task<Result<std::unique_ptr<env::Stream>>> connect(Endpoint to, Instant deadline) override;

 private:
  SimNetwork& network_;
  SimScheduler& scheduler_;  // once doomed, nothing the incarnation still does reaches the network
  std::string host_;
};

}  // namespace ordeal::sim
