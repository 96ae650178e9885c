#include "faults/sim/sim_network.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/base/check.h"
#include "faults/plan/sample.h"
#include "faults/sim/sim_connection.h"
#include "faults/sim/sim_message_log.h"

namespace ordeal::sim {

namespace {
constexpr std::uint16_t kFirstEphemeral = 32768;
constexpr Duration kRetransmitMax{400'000'000};  // a healed link is noticed by the next retransmission only
}  // namespace

SimNetwork::SimNetwork(SimLoop& loop, Random random, NetworkProfile profile)
    : loop_(loop), random_(random), profile_(profile) {}
SimNetwork::~SimNetwork() = default;

void SimNetwork::cut(const Link& link) {
  loop_.digest().note("cut", loop_.now(), std::string_view(link.from), std::string_view(link.to),
                      std::uint64_t{link.port});
  ++cuts_[link];
}

void SimNetwork::heal(const Link& link) {
  auto found = cuts_.find(link);
  if (found == cuts_.end()) return;
  if (--found->second > 0) return;
  cuts_.erase(found);
  after_heal(kRetransmitMax);
}

void SimNetwork::heal_all() {
  cuts_.clear();
  clogs_.clear();
  slowed_.clear();
  losing_.clear();
  refusing_.clear();
  message_faults_.clear();
  for (const ConnectionPtr& connection : alive()) {
    for (int side = 0; side < 2; ++side) {
      for (Messages::Waiting& waiting : connection->side[side].messages.waiting) waiting.hold.clear();
      let_go(connection, side);
    }
  }
  after_heal(kRetransmitMax);
}

bool SimNetwork::is_cut(const std::string& from, const std::string& to, std::uint16_t port) const {
  return cuts_.contains(Link{from, to, 0}) || (port != 0 && cuts_.contains(Link{from, to, port}));
}

void SimNetwork::clog(const std::string& from, const std::string& to, Instant until) {
  clogs_[{from, to}] = until;
  loop_.call_at(until, [this, link = std::pair(from, to), until] {
    const auto found = clogs_.find(link);
    if (found != clogs_.end() && found->second == until) unclog(link.first, link.second);
  });
}

void SimNetwork::unclog(const std::string& from, const std::string& to) {
  if (clogs_.erase({from, to}) > 0) after_heal(Duration::zero());
}

bool SimNetwork::is_clogged(const std::string& from, const std::string& to) const {
  return clogs_.contains({from, to});
}

void SimNetwork::slow(const std::string& from, const std::string& to, Duration extra, Duration jitter) {
  slowed_.erase({from, to});
  if (extra > Duration::zero() || jitter > Duration::zero()) slowed_[{from, to}] = {extra, jitter};
}

void SimNetwork::lose(const std::string& from, const std::string& to, std::uint64_t one_in) {
  losing_.erase({from, to});
  if (one_in > 0) losing_[{from, to}] = one_in;
}

bool SimNetwork::refuses(const std::string& host, std::uint16_t port) const {
  return refusing_.contains({host, 0}) || refusing_.contains({host, port});
}

std::vector<SimNetwork::ConnectionPtr> SimNetwork::alive() {
  std::vector<ConnectionPtr> found;
  for (auto at = connections_.begin(); at != connections_.end();) {
    if (auto connection = at->second.lock()) {
      found.push_back(std::move(connection));
      ++at;
    } else {
      at = connections_.erase(at);
    }
  }
  return found;
}

std::uint16_t SimNetwork::ephemeral_port(const std::string& host) {
  auto& next = ephemeral_.try_emplace(host, kFirstEphemeral).first->second;
  const std::uint16_t port = next;
  next = next == UINT16_MAX ? kFirstEphemeral : static_cast<std::uint16_t>(next + 1);
  return port;
}

bool SimNetwork::cut_from(const Connection& connection, int side) const {
  return is_cut(connection.side[side].local.host, connection.side[1 - side].local.host, connection.side[1].local.port);
}

bool SimNetwork::held_back(const Connection& connection, int side) const {
  if (!clogs_.empty() && is_clogged(connection.side[side].local.host, connection.side[1 - side].local.host))
    return true;
  return cut_from(connection, side);
}

Instant SimNetwork::draw_arrival(Connection& connection, int side, Duration extra) {
  Connection::Side& from = connection.side[side];
  Duration latency = profile_.latency_min;
  if (profile_.latency == Latency::uniform)
    latency = Duration(from.random.between(profile_.latency_min.count(), profile_.latency_max.count()));
  if (profile_.latency == Latency::exponential) {
    const Duration more = plan::sample_exponential((profile_.latency_max - profile_.latency_min) / 4, from.random);
    latency = std::min(latency + more, profile_.latency_max);
  }
  if (profile_.slow_in != 0 && from.random.chance(1, profile_.slow_in))
    latency += Duration(from.random.between(0, profile_.slow_max.count()));
  if (!slowed_.empty()) {
    const auto slowed = slowed_.find({from.local.host, connection.side[1 - side].local.host});
    if (slowed != slowed_.end())
      latency += slowed->second.first + Duration(from.random.between(0, slowed->second.second.count()));
  }
  loop_.digest().drew(
      [&] {
        return fmt::format("latency {} to {}", from.local.to_string(), connection.side[1 - side].local.to_string());
      },
      static_cast<std::uint64_t>(latency.count()));
  return std::max(loop_.now() + latency + extra, from.last_arrival);
}

void SimNetwork::send(const ConnectionPtr& connection, int side, Packet packet) {
  if (!up(connection->side[side].local.host)) return;
  put(connection, side, std::move(packet), {});
}

void SimNetwork::put(const ConnectionPtr& connection, int side, Packet packet, Duration extra) {
  Messages& messages = connection->side[side].messages;
  if (messages.waiting.empty())
    transmit(connection, side, std::move(packet), extra);
  else {
    if (log_) log_->remark(*connection, side, packet, "behind a message that a fault holds");
    messages.waiting.push_back({std::move(packet), extra, {}});
  }
}

void SimNetwork::transmit(const ConnectionPtr& connection, int side, Packet packet, Duration extra) {
  Connection::Side& from = connection->side[side];
  if (!losing_.empty() && packet.kind == Packet::Kind::data) {
    const auto losing = losing_.find({from.local.host, connection->side[1 - side].local.host});
    if (losing != losing_.end() && from.random.chance(1, losing->second)) reset(*connection, Gone::reset_by_loss);
  }
  const std::uint64_t number = from.next_send++;
  from.last_arrival = draw_arrival(*connection, side, extra);
  loop_.call_at(from.last_arrival, [this, connection, side, number, arrived = std::move(packet)]() mutable {
    arrive(connection, side, number, std::move(arrived));
  });
}

void SimNetwork::arrive(const ConnectionPtr& connection, int side, std::uint64_t number, Packet packet) {
  Connection::Side& from = connection->side[side];
  if (number == from.next_deliver && from.wire.empty() && !held_back(*connection, side)) {
    hand_over(connection, side, std::move(packet));
    return;
  }
  from.wire.emplace(number, std::move(packet));
  deliver(connection, side);
  if (log_ && !from.wire.empty()) remark_held(*connection, side);
}

void SimNetwork::deliver(const ConnectionPtr& connection, int side) {
  Connection::Side& from = connection->side[side];
  const auto alive = from.wire.lower_bound(from.next_deliver);  // what is before it is of a life before a power cut
  if (log_)
    for (auto at = from.wire.begin(); at != alive; ++at)
      log_->remark(*connection, side, at->second, "the sender lost power", true);
  from.wire.erase(from.wire.begin(), alive);
  while (!from.wire.empty() && from.wire.begin()->first == from.next_deliver && !held_back(*connection, side)) {
    Packet packet = std::move(from.wire.begin()->second);
    from.wire.erase(from.wire.begin());
    hand_over(connection, side, std::move(packet));
  }
}

// The next packet in order has come through.
void SimNetwork::hand_over(const ConnectionPtr& connection, int side, Packet packet) {
  ++connection->side[side].next_deliver;
  loop_.digest().note("net", loop_.now(), connection->id << 1 | static_cast<std::uint64_t>(side),
                      static_cast<std::uint64_t>(packet.kind), packet.bytes.size());
  process(connection, side, std::move(packet));
}

void SimNetwork::process(const ConnectionPtr& connection, int side, Packet packet) {
  Connection::Side& to = connection->side[1 - side];
  if (log_ && packet.kind == Packet::Kind::data)
    log_->came(*connection, side, packet, up(to.local.host) && !to.closed && !to.reset, up(to.local.host));
  if (!up(to.local.host)) {
    to.missed = true;
    return;
  }
  if (packet.kind == Packet::Kind::syn) {
    process_syn(connection);
    return;
  }
  if (packet.kind == Packet::Kind::rst) {
    if (!to.reset) to.gone = Gone::reset_by_peer;
    to.reset = true;
    to.wake_all();
    return;
  }
  if (to.closed) {  // nobody holds this end any more
    if (packet.kind != Packet::Kind::fin) send(connection, 1 - side, {Packet::Kind::rst, {}});
    return;
  }
  switch (packet.kind) {
    case Packet::Kind::syn_ack:
      to.established = true;
      to.wake(to.writer);
      return;
    case Packet::Kind::data:
      delivered_bytes_ += packet.bytes.size();
      to.inbox.insert(to.inbox.end(), packet.bytes.begin(), packet.bytes.end());
      break;
    default:
      to.ended = true;
      break;
  }
  to.wake(to.reader);
}

void SimNetwork::process_syn(const ConnectionPtr& connection) {
  Connection::Side& server = connection->side[1];
  auto found = listeners_.find(server.local);
  if (found == listeners_.end() || found->second->closed || refuses(server.local.host, server.local.port)) {
    server.closed = true;
    send(connection, 1, {Packet::Kind::rst, {}});
    return;
  }
  server.owner = found->second->owner;
  server.established = true;
  found->second->backlog.push_back(connection);
  found->second->wake();
  send(connection, 1, {Packet::Kind::syn_ack, {}});
}

// The receiver took `bytes` out of its inbox: the sender's window opens, if the way back is open.
void SimNetwork::acknowledge(Connection& connection, int reader, std::size_t bytes) {
  Connection::Side& sender = connection.side[1 - reader];
  if (cut_from(connection, reader)) {
    sender.held_acks += bytes;
    return;
  }
  sender.unacknowledged -= std::min(sender.unacknowledged, bytes);
  sender.wake(sender.writer);
}

void SimNetwork::after_heal(Duration retransmit_max) {
  loop_.digest().note("heal", loop_.now());
  for (const ConnectionPtr& connection : alive()) {
    for (int side = 0; side < 2; ++side) {
      Connection::Side& from = connection->side[side];
      if (from.held_acks > 0 && !cut_from(*connection, 1 - side))
        acknowledge(*connection, 1 - side, std::exchange(from.held_acks, 0));
      if (from.wire.empty() || held_back(*connection, side)) continue;
      const Instant retransmitted = loop_.now() + Duration(from.random.between(0, retransmit_max.count()));
      loop_.call_at(retransmitted, [this, connection, side] { deliver(connection, side); });
    }
  }
}

// Closes one end: its waiters wake, and the peer is told by FIN or (abort) RST.
void SimNetwork::end_side(const ConnectionPtr& connection, int side, bool abort) {
  Connection::Side& end = connection->side[side];
  if (end.closed) return;
  end.closed = true;
  if (end.gone == Gone::no) end.gone = Gone::closed;
  end.wake_all();
  flush_messages(connection, side);
  send(connection, side, {abort ? Packet::Kind::rst : Packet::Kind::fin, {}});
}

void SimNetwork::process_died(const SimScheduler& process, const std::string& host) {
  for (auto at = listeners_.begin(); at != listeners_.end();) {
    const bool dies = at->second->owner == &process;
    if (dies) at->second->closed = true;
    at = dies ? listeners_.erase(at) : std::next(at);
  }
  for (const ConnectionPtr& connection : alive()) {
    for (int side = 0; side < 2; ++side) {
      Connection::Side& end = connection->side[side];
      if (end.owner != &process || end.local.host != host || end.closed) continue;
      end.gone = Gone::died;
      end_side(connection, side, end.readable() > 0 || end.random.chance(1, 2));
    }
  }
}

void SimNetwork::host_down(const std::string& host) {
  down_.insert(host);
  for (auto at = listeners_.begin(); at != listeners_.end();) {
    const bool dies = at->first.host == host;
    if (dies) at->second->closed = true;
    at = dies ? listeners_.erase(at) : std::next(at);
  }
  for (const ConnectionPtr& connection : alive()) {
    for (int side = 0; side < 2; ++side) {
      Connection::Side& end = connection->side[side];
      if (end.local.host != host) continue;
      end.closed = true;
      end.gone = Gone::no_power;
      end.silent = true;
      if (log_)
        for (const auto& [number, packet] : end.wire)
          log_->remark(*connection, side, packet, "the sender lost power", true);
      end.wire.clear();  // held back by a cut; its kernel will never send it again
    }
  }
}

void SimNetwork::host_up(const std::string& host) {
  down_.erase(host);
  for (const ConnectionPtr& connection : alive()) {
    for (int side = 0; side < 2; ++side) {
      Connection::Side& end = connection->side[side];
      if (end.local.host != host || !end.silent) continue;
      end.silent = false;
      // The peer's retransmission reaches a kernel that knows no such connection.
      end.next_deliver = end.next_send;
      if (std::exchange(end.missed, false)) send(connection, side, {Packet::Kind::rst, {}});
    }
  }
}

void SimNetwork::reset(Connection& connection, Gone why) {
  for (Connection::Side& end : connection.side) {
    if (end.gone == Gone::no) end.gone = why;
    end.reset = true;
    end.wake_all();
  }
}

std::size_t SimNetwork::reset_connections(const std::string& a, const std::string& b, std::uint16_t port) {
  std::size_t count = 0;
  for (const ConnectionPtr& connection : alive()) {
    const std::string& from = connection->side[0].local.host;
    const std::string& to = connection->side[1].local.host;
    if (!((from == a && to == b) || (from == b && to == a))) continue;
    if (port != 0 && connection->side[1].local.port != port) continue;
    reset(*connection, Gone::reset_by_fault);
    ++count;
  }
  return count;
}

std::size_t SimNetwork::half_open(const std::string& host, const std::string& peer, std::uint16_t port) {
  std::size_t count = 0;
  for (const ConnectionPtr& connection : alive()) {
    for (int side = 0; side < 2; ++side) {
      Connection::Side& end = connection->side[side];
      if (end.local.host != host || connection->side[1 - side].local.host != peer || end.closed) continue;
      if (port != 0 && connection->side[1].local.port != port) continue;
      end.closed = true;  // what still comes is answered with RST
      end.gone = Gone::forgotten;
      end.wake_all();
      ++count;
    }
  }
  return count;
}

}  // namespace ordeal::sim
