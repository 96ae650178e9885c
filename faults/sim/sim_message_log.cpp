#include "faults/sim/sim_message_log.h"

#include <fmt/format.h>

namespace ordeal::sim {
namespace {

constexpr std::size_t kBodyMax = 8 << 20;  // longer messages go without words

// Who is at fault stands beside it in every log: sender and receiver need no names here.
std::string refusal(Gone gone, bool host_up) {
  if (!host_up) return "the receiver was down: no power";
  switch (gone) {
    case Gone::no:
    case Gone::closed:
      return "the receiver had closed the connection";
    case Gone::died:
      return "the receiver's process was dead";
    case Gone::no_power:
      return "the receiver had lost power since, and knew of no connection";
    case Gone::forgotten:
      return "the receiver had forgotten the connection";
    case Gone::reset_by_fault:
      return "connection reset by a fault";
    case Gone::reset_by_loss:
      return "connection reset: a lossy link lost data";
    case Gone::reset_by_peer:
      return "connection reset by the sender";
  }
  return "the receiver had closed the connection";
}

std::string fault_words(const char* did, const std::string& name) {
  return fmt::format("{} by {}", did, name.empty() ? "a fault" : "fault " + name);
}

}  // namespace

void MessageLog::began(Connection& connection, int side, const MessageId& message, ByteView already, std::uint64_t end,
                       const std::optional<MessageFault>& fault) {
  Messages& messages = connection.side[side].messages;
  MessageSeen seen;
  seen.sent_at = loop_.now();
  seen.from = connection.side[side].local.host;
  seen.to = connection.side[1 - side].local.host;
  seen.api = message.api;
  seen.reply = message.reply;
  seen.correlation = message.correlation;
  seen.bytes = message.bytes;
  seen.connection = connection.id;
  std::string remark;
  if (fault) {
    switch (fault->action) {
      case MessageFault::Action::drop:
        seen.lost = fault_words("dropped", fault->name);
        break;
      case MessageFault::Action::hold:
        remark = fault_words("held", fault->name);
        break;
      case MessageFault::Action::delay:
        remark = fault_words("delayed", fault->name);
        break;
      case MessageFault::Action::duplicate:
        remark = fault_words("doubled", fault->name);
        break;
    }
  }
  messages.open = true;
  messages.body.assign(already.begin(), already.end());
  messages.current = seen;
  if (seen.lost.empty()) trail(connection, side).push_back({end - message.bytes, end, std::move(seen), remark});
}

void MessageLog::bytes(Connection& connection, int side, ByteView view) {
  Messages& messages = connection.side[side].messages;
  if (messages.open && messages.body.size() <= kBodyMax)
    messages.body.insert(messages.body.end(), view.begin(), view.end());
}

void MessageLog::ended(Connection& connection, int side) {
  Messages& messages = connection.side[side].messages;
  if (!std::exchange(messages.open, false)) return;
  const Bytes body = std::exchange(messages.body, {});
  if (body.size() == messages.current.bytes) {
    if (protocol_of(connection.side[1].local.port) == Protocol::control)
      messages.current.told = words_.control.tell(connection.id, body);
    else if (side == 0)
      messages.current.told = words_.kafka.request(connection.id, body);
    else
      messages.current.told = words_.kafka.reply(connection.id, body);
  }
  Trail& sent = trail(connection, side);
  if (!messages.current.lost.empty())
    seen_(messages.current);
  else if (!sent.empty())
    sent.back().seen.told = messages.current.told;
}

void MessageLog::copied(Connection& connection, int side, std::uint64_t end) {
  const MessageSeen& first = connection.side[side].messages.current;
  trail(connection, side).push_back({end - first.bytes, end, first, "a fault's second copy"});
}

void MessageLog::cut_short(Connection& connection, int side) {
  Messages& messages = connection.side[side].messages;
  if (!std::exchange(messages.open, false)) return;
  messages.body.clear();
  Trail& sent = trail(connection, side);
  if (!messages.current.lost.empty())
    seen_(messages.current);
  else if (!sent.empty())
    sent.back().remark = "the sender ended the connection before all of it was sent";
}

void MessageLog::came(const Connection& connection, int side, const Packet& packet, bool taken, bool host_up) {
  const auto found = trails_.find({connection.id, side});
  if (found == trails_.end()) return;
  Trail& sent = found->second;
  while (!sent.empty() && sent.front().end <= packet.end) {
    Record record = std::move(sent.front());
    sent.pop_front();
    if (record.end <= packet.end - packet.bytes.size()) {  // its own packet never came
      lose(record, "the sender lost it");
    } else if (!taken) {
      lose(record, refusal(connection.side[1 - side].gone, host_up));
    } else {
      record.seen.arrived_at = loop_.now();
      record.seen.note = std::move(record.remark);
      seen_(record.seen);
    }
  }
}

void MessageLog::lose(Record& record, const std::string& why) {
  record.seen.lost = why;
  if (!record.remark.empty())
    record.seen.lost = fmt::format("{} until {:.3f} s, then: {}", record.remark,
                                   static_cast<double>(loop_.now().time_since_epoch().count()) / 1e9, why);
  seen_(record.seen);
}

void MessageLog::remark(const Connection& connection, int side, const Packet& packet, const std::string& what,
                        bool last) {
  const auto found = trails_.find({connection.id, side});
  if (found == trails_.end() || packet.kind != Packet::Kind::data) return;
  const std::uint64_t begin = packet.end - packet.bytes.size();
  for (Record& record : found->second)
    if (record.begin < packet.end && record.end > begin &&
        (record.remark.empty() || (last && !record.remark.ends_with(what))))
      record.remark += (record.remark.empty() ? "" : ", then: ") + what;
}

void MessageLog::finish() {
  for (auto& [key, sent] : trails_) {
    for (Record& record : sent) {
      record.seen.lost = record.remark.empty() ? "still on its way at the end" : record.remark;
      seen_(record.seen);
    }
  }
  trails_.clear();
}

}  // namespace ordeal::sim
