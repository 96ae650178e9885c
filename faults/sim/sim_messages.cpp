// Faults on single messages and the message log: what SimNetwork does with what the framers find.
//
// Without a fault on a message its bytes travel in the same pieces whether or not anyone looks: the log changes no
// draw.
#include <fmt/format.h>

#include <algorithm>

#include "faults/sim/sim_connection.h"
#include "faults/sim/sim_message_log.h"
#include "faults/sim/sim_network.h"

namespace ordeal::sim {
namespace {

bool fits(const MessageFault& fault, const MessageId& message, const std::string& from, const std::string& to) {
  if (!fault.from.empty() && fault.from != from) return false;
  if (!fault.to.empty() && fault.to != to) return false;
  if (fault.api == message.name && message.name != message.api) return true;  // says by itself which way it goes
  return fault.reply == message.reply && (fault.api.empty() || fault.api == message.api);
}

// For lengths alone: nothing to do with what is found.
class Ignore final : public Framer::Sink {
 public:
  void begin(const MessageId&, ByteView) override {}
  void bytes(ByteView) override {}
  void end() override {}
};

}  // namespace

// Takes what the framer finds in one write, and sends it: in one piece but for messages that a fault acts on.
class SimNetwork::Pump final : public Framer::Sink {
 public:
  Pump(SimNetwork& network, const ConnectionPtr& connection, int side)
      : network_(network), connection_(connection), side_(side) {}

  void begin(const MessageId& message, ByteView already) override {
    Messages& messages = mine().messages;
    std::optional<MessageFault> fault;
    if (already.empty()) fault = network_.message_fault(*connection_, side_, message);
    if (fault) {
      push();
      messages.action = fault->action;
      if (fault->action == MessageFault::Action::delay) messages.extra = fault->by;
      if (fault->action == MessageFault::Action::hold) messages.hold = fault->name;
    }
    if (!network_.log_) return;
    const std::uint64_t end = mine().sent_bytes + gathered_.size() - already.size() + message.bytes;
    network_.log_->began(*connection_, side_, message, already, end, fault);
  }

  void bytes(ByteView view) override {
    gathered_.insert(gathered_.end(), view.begin(), view.end());
    if (network_.log_) network_.log_->bytes(*connection_, side_, view);
  }

  void end() override {
    Messages& messages = mine().messages;
    if (network_.log_) network_.log_->ended(*connection_, side_);
    if (!messages.action) return;
    push();
    const bool twice = *messages.action == MessageFault::Action::duplicate;
    messages.action.reset();
    messages.extra = {};
    messages.hold.clear();
    if (!twice) return;
    if (network_.log_) network_.log_->copied(*connection_, side_, mine().sent_bytes + messages.copy.size());
    network_.message_bytes(connection_, side_, std::exchange(messages.copy, {}));
  }

  void push() {
    if (!gathered_.empty()) network_.message_bytes(connection_, side_, std::exchange(gathered_, {}));
  }

 private:
  Connection::Side& mine() { return connection_->side[side_]; }

  SimNetwork& network_;
  const ConnectionPtr& connection_;
  int side_;
  Bytes gathered_;
};

void SimNetwork::open_streams(Connection& connection) {
  const Endpoint& to = connection.side[1].local;
  const std::string& from = connection.side[0].local.host;
  const std::uint64_t number = ++opened_[Link{from, to.host, to.port}];
  for (int side = 0; side < 2; ++side) {
    Connection::Side& end = connection.side[side];
    end.random = random_.fork(fmt::format("{}>{}:{}#{}/{}", from, to.host, to.port, number, side));
    end.messages.framer.start(protocol_of(to.port), side == 0, &connection.requests);
  }
}

void SimNetwork::send_bytes(const ConnectionPtr& connection, int side, ByteView bytes) {
  if (!up(connection->side[side].local.host)) return;
  Messages& messages = connection->side[side].messages;
  Pump pump(*this, connection, side);
  if (!message_faults_.empty() || messages.action) {
    messages.framer.feed(bytes, Framer::Mode::exact, pump);
  } else if (log_) {
    messages.framer.feed(bytes, Framer::Mode::names, pump);
  } else {
    messages.framer.flush(pump);
    pump.push();
    Ignore ignore;
    messages.framer.feed(bytes, Framer::Mode::lengths, ignore);
    message_bytes(connection, side, Bytes(bytes.begin(), bytes.end()));
  }
  pump.push();
}

void SimNetwork::flush_messages(const ConnectionPtr& connection, int side) {
  Pump pump(*this, connection, side);
  connection->side[side].messages.framer.flush(pump);
  pump.push();
  if (log_) log_->cut_short(*connection, side);
}

std::optional<MessageFault> SimNetwork::message_fault(const Connection& connection, int side,
                                                      const MessageId& message) {
  const std::string& from = connection.side[side].local.host;
  const std::string& to = connection.side[1 - side].local.host;
  for (auto at = message_faults_.begin(); at != message_faults_.end(); ++at) {
    if (!fits(*at, message, from, to)) continue;
    if (at->skip > 0) {
      --at->skip;
      continue;
    }
    MessageFault fault = *at;
    ++message_hits_[fault.name];
    loop_.digest().note("message fault", loop_.now(), connection.id, static_cast<std::uint64_t>(fault.action));
    if (--at->count == 0) message_faults_.erase(at);
    return fault;
  }
  return std::nullopt;
}

void SimNetwork::message_bytes(const ConnectionPtr& connection, int side, Bytes bytes) {
  Connection::Side& from = connection->side[side];
  Messages& messages = from.messages;
  if (messages.action == MessageFault::Action::drop) return;
  if (messages.action == MessageFault::Action::duplicate)
    messages.copy.insert(messages.copy.end(), bytes.begin(), bytes.end());
  from.unacknowledged += bytes.size();
  from.sent_bytes += bytes.size();
  Packet packet{Packet::Kind::data, std::move(bytes), from.sent_bytes};
  if (messages.hold.empty())
    put(connection, side, std::move(packet), messages.extra);
  else
    messages.waiting.push_back({std::move(packet), {}, std::exchange(messages.hold, {})});
}

void SimNetwork::let_go(const ConnectionPtr& connection, int side) {
  auto& waiting = connection->side[side].messages.waiting;
  while (!waiting.empty() && waiting.front().hold.empty()) {
    Messages::Waiting next = std::move(waiting.front());
    waiting.pop_front();
    transmit(connection, side, std::move(next.packet), next.extra);
  }
}

// What a cut or a clog keeps, as the log will tell it.
void SimNetwork::remark_held(const Connection& connection, int side) {
  const std::string why = cut_from(connection, side) ? "held back by a cut" : "held back by a clogged link";
  for (const auto& [number, packet] : connection.side[side].wire) log_->remark(connection, side, packet, why);
}

void SimNetwork::add_message_fault(MessageFault fault) {
  if (fault.count > 0) message_faults_.push_back(std::move(fault));
}

void SimNetwork::remove_message_fault(const std::string& name) {
  std::erase_if(message_faults_, [&](const MessageFault& fault) { return fault.name == name; });
  release(name);
}

bool SimNetwork::has_message_fault(const std::string& name) const {
  return std::any_of(message_faults_.begin(), message_faults_.end(),
                     [&](const MessageFault& fault) { return fault.name == name; });
}

void SimNetwork::release(const std::string& name) {
  std::erase_if(message_faults_, [&](const MessageFault& fault) {
    return fault.name == name && fault.action == MessageFault::Action::hold;
  });
  for (const ConnectionPtr& connection : alive()) {
    for (int side = 0; side < 2; ++side) {
      for (Messages::Waiting& waiting : connection->side[side].messages.waiting) {
        if (waiting.hold == name) waiting.hold.clear();
      }
      let_go(connection, side);
    }
  }
}

std::size_t SimNetwork::held(const std::string& name) const {
  std::size_t count = 0;
  for (const auto& [id, weak] : connections_) {
    const ConnectionPtr connection = weak.lock();
    if (!connection) continue;
    for (const Connection::Side& side : connection->side) {
      count += static_cast<std::size_t>(
          std::count_if(side.messages.waiting.begin(), side.messages.waiting.end(),
                        [&](const Messages::Waiting& waiting) { return waiting.hold == name; }));
    }
  }
  return count;
}

std::uint64_t SimNetwork::message_hits(const std::string& name) const {
  const auto found = message_hits_.find(name);
  return found == message_hits_.end() ? 0 : found->second;
}

void SimNetwork::on_message(std::function<void(const MessageSeen&)> seen) {
  if (log_) log_->finish();
  log_ = seen ? std::make_unique<MessageLog>(loop_, std::move(seen)) : nullptr;
}

}  // namespace ordeal::sim
