// The simulated network: TCP-like byte streams between hosts, with seeded latency, cuts, clogs and dead peers.
//
// What holds, as with TCP: bytes of one direction of one connection arrive whole and in order, or the connection ends.
// A cut link is silence, not an error: what is sent waits (as retransmission would) and flows again after the heal.
// A cut of one direction also starves the other: its acknowledgements do not return, so its window fills.
// A process that dies closes its connections (FIN or RST by draw; held back by a cut until it heals); a host that
// loses power says nothing, and once it is back it answers leftovers with RST. A connection attempt waits for an
// answer until its deadline, is refused by a host that is up without a listener, and gets silence from one that is
// down. A half-open connection is one whose other end has forgotten it: it learns so when it sends.
// Each direction of each connection draws from a stream of its own, by name: taking one client or fault away does not
// shift the latencies of the others.
#pragma once

#include <deque>
#include <functional>
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

enum class Latency {
  uniform,      // between latency_min and latency_max
  fixed,        // latency_min
  exponential,  // latency_min and more, by a quarter of the difference on average, latency_max at most
};

struct NetworkProfile {
  Duration latency_min{50'000};
  Duration latency_max{600'000};
  std::uint64_t slow_in = 200;  // one delivery in so many takes up to slow_max; 0: never
  Duration slow_max{30'000'000};
  std::size_t window = 1 << 20;  // unacknowledged bytes one direction may hold
  std::uint64_t split_in = 4;    // one write in so many arrives in two pieces; 0: never
  Latency latency = Latency::uniform;
};

// A directed link, as a cut names it. port 0 means every port; else only connections to or from that listening port.
struct Link {
  std::string from;
  std::string to;
  std::uint16_t port = 0;
  auto operator<=>(const Link&) const = default;
};

struct Connection;
struct MessageId;
struct ListenerState;
class MessageLog;
enum class Gone : std::uint8_t;
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
  // Everything: cuts, clogs, delays, losses, refusals, faults on messages; what is held goes on its way.
  void heal_all();
  bool is_cut(const std::string& from, const std::string& to, std::uint16_t port) const;
  void clog(const std::string& from, const std::string& to, Instant until);  // nothing arrives before `until`
  void unclog(const std::string& from, const std::string& to);               // before its time
  bool is_clogged(const std::string& from, const std::string& to) const;
  // Added to every delivery, the jitter by draw up to that much; both 0 ends it.
  void slow(const std::string& from, const std::string& to, Duration extra, Duration jitter = {});
  bool is_slow(const std::string& from, const std::string& to) const { return slowed_.contains({from, to}); }
  // One write in `one_in` from `from` to `to` is lost and resets its connection; 0 ends it.
  void lose(const std::string& from, const std::string& to, std::uint64_t one_in);
  bool is_losing(const std::string& from, const std::string& to) const { return losing_.contains({from, to}); }
  // New connections to `host` are refused as if nobody listened; port 0: to all of its ports.
  void refuse(const std::string& host, std::uint16_t port = 0) { refusing_.insert({host, port}); }
  void accept_again(const std::string& host, std::uint16_t port = 0) { refusing_.erase({host, port}); }
  bool refuses(const std::string& host, std::uint16_t port) const;

  // Single messages: sim_messages.h. Faults are tried in the order in which they were added; the first that fits acts.
  void add_message_fault(MessageFault fault);
  void remove_message_fault(const std::string& name);         // acts no more; what it holds is released
  bool has_message_fault(const std::string& name) const;      // one that can still act
  void release(const std::string& name);                      // what that hold keeps goes on its way; it holds no more
  std::size_t held(const std::string& name) const;            // messages waiting in that hold
  std::uint64_t message_hits(const std::string& name) const;  // messages that faults of that name have acted on so far
  // The message log. Empty: off, and what had not arrived by then is told as lost.
  void on_message(std::function<void(const MessageSeen&)> seen);

  void process_died(const SimScheduler& process, const std::string& host);  // sockets close: FIN or RST goes out
  void host_down(const std::string& host);                                  // power: silence
  void host_up(const std::string& host);
  // RST to both ends of each connection between the two; port 0: all, else those of that listening port.
  std::size_t reset_connections(const std::string& a, const std::string& b, std::uint16_t port = 0);
  // `host` forgets its connections with `peer`: errors here at once, silence there until it sends. How many.
  std::size_t half_open(const std::string& host, const std::string& peer, std::uint16_t port = 0);

  std::uint64_t delivered_bytes() const { return delivered_bytes_; }
  std::size_t open_connections() { return alive().size(); }

 private:
  friend class HostNetwork;
  friend class SimStream;
  friend class SimListener;
  using ConnectionPtr = std::shared_ptr<Connection>;

  // `side` is always the sender's (0: who connected, 1: who accepted).
  void send(const ConnectionPtr& connection, int side, Packet packet);
  void send_bytes(const ConnectionPtr& connection, int side, ByteView bytes);  // of a stream, through the framer
  void put(const ConnectionPtr& connection, int side, Packet packet, Duration extra);  // behind what is held
  void transmit(const ConnectionPtr& connection, int side, Packet packet, Duration extra);
  void deliver(const ConnectionPtr& connection, int side);  // in order, as far as it came and no cut holds it
  void arrive(const ConnectionPtr& connection, int side, std::uint64_t number, Packet packet);
  void hand_over(const ConnectionPtr& connection, int side, Packet packet);
  void process(const ConnectionPtr& connection, int side, Packet packet);
  void process_syn(const ConnectionPtr& connection);
  void acknowledge(Connection& connection, int reader, std::size_t bytes);
  void after_heal(Duration retransmit_max);
  // Messages, as the framer finds them in what `side` sends.
  class Pump;
  std::optional<MessageFault> message_fault(const Connection& connection, int side, const MessageId& message);
  void message_bytes(const ConnectionPtr& connection, int side, Bytes bytes);
  void remark_held(const Connection& connection, int side);  // for the message log
  void let_go(const ConnectionPtr& connection, int side);    // what waits, up to the next message that is held
  void open_streams(Connection& connection);                 // framers and streams of draws
  static void reset(Connection& connection, Gone why);
  void flush_messages(const ConnectionPtr& connection, int side);  // the stream ends: half a header leaves
  void end_side(const ConnectionPtr& connection, int side, bool abort);
  std::vector<ConnectionPtr> alive();  // in order of creation; forgets those gone
  Instant draw_arrival(Connection& connection, int side, Duration extra);
  bool cut_from(const Connection& connection, int side) const;
  bool held_back(const Connection& connection, int side) const;  // cut or clogged
  bool up(const std::string& host) const { return hosts_.contains(host) && !down_.contains(host); }
  std::uint16_t ephemeral_port(const std::string& host);

  SimLoop& loop_;
  Random random_;
  NetworkProfile profile_;
  std::set<std::string> hosts_;
  std::set<std::string> down_;
  std::map<Link, int> cuts_;
  std::map<std::pair<std::string, std::string>, Instant> clogs_;
  std::map<std::pair<std::string, std::string>, std::pair<Duration, Duration>> slowed_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> losing_;
  std::set<std::pair<std::string, std::uint16_t>> refusing_;
  std::vector<MessageFault> message_faults_;
  std::map<std::string, std::uint64_t> message_hits_;
  std::unique_ptr<MessageLog> log_;  // empty: off
  std::map<Endpoint, std::shared_ptr<ListenerState>> listeners_;
  std::map<std::uint64_t, std::weak_ptr<Connection>> connections_;
  std::map<std::string, std::uint16_t> ephemeral_;
  std::map<Link, std::uint64_t> opened_;  // connections so far, to name their streams of draws
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
